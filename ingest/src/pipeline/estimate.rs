//! What a run would do, and how long it would take.

use std::time::Instant;

use super::{Job, PipelineError};
use crate::convert::whole;
use crate::forward;
use crate::pipeline::unit::Units;
use crate::seam::{Network, Scorer};

/// Units that are planned in full; more are extrapolated from these.
const SAMPLE: usize = 64;

/// What a run would do.
#[derive(Clone, Copy, Debug)]
pub struct Estimate {
    /// Variants without a row.
    pub variants: u64,
    /// Forward passes of the model.
    pub forwards: u64,
    /// Tokens or bases in them.
    pub tokens: u64,
    /// Bytes of the segments, at four per number and two for the key.
    pub bytes: u64,
    /// Seconds, from running one batch.
    pub seconds: f64,
    /// Whether forwards and tokens are counted, or extrapolated from the first units.
    pub exact: bool,
}

/// Counts what a run would do and times one batch of it.
///
/// # Errors
/// When the plan, the store or the reference cannot be read, or the model fails.
pub fn estimate<S, N>(job: &Job<'_>, scorer: &S, model: &N) -> Result<Estimate, PipelineError>
where
    S: Scorer,
    N: Network<Pass = S::Pass, Output = S::Output>,
{
    let variants = job.pending()?;
    let mut reference = job.reference.reopen()?;
    let (mut planned, mut forwards, mut tokens, mut rate) = (0_u64, 0_u64, 0_u64, None);
    for unit in Units::new(job)?.take(SAMPLE) {
        let prepared = job.prepare(unit?, scorer, &mut reference)?;
        planned += prepared.unit.rows.len() as u64;
        for batch in 0..prepared.work.batches() {
            let (count, size) = prepared.work.size(batch);
            forwards += count as u64;
            tokens += size as u64;
            if rate.is_none() {
                // The first run of a batch pays for memory that later ones find, which is little of a long one.
                if size < forward::LONG_PASS {
                    forward::run(model, &prepared.work, batch)?;
                }
                let started = Instant::now();
                forward::run(model, &prepared.work, batch)?;
                rate = Some(started.elapsed().as_secs_f64() / size.max(1) as f64);
            }
        }
    }
    let scale = if planned == 0 { 0.0 } else { variants as f64 / planned as f64 };
    let tokens_in_all = tokens as f64 * scale;
    let targets = job.track.targets.map_or(0, |targets| u64::from(targets.count));
    let numbers = targets * job.track.effect_columns.len() as u64;
    Ok(Estimate {
        variants,
        forwards: whole((forwards as f64 * scale).round()),
        tokens: whole(tokens_in_all.round()),
        bytes: variants * (2 + 4 * (job.track.columns.len() as u64 + numbers)),
        seconds: tokens_in_all * rate.unwrap_or(0.0),
        exact: planned == variants,
    })
}
