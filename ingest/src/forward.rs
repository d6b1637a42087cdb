//! Runs one batch of forward passes: with the ablation, the only stage of scoring that calls libtorch. A batch is first
//! launched, then read: between the two a GPU computes while the next batch is being launched.

use crate::convert::as_index;
use crate::error::ModelError;
use crate::pipeline::Interrupt;
use crate::seam::{Network, Output, Pass as _, ScoreError, Scorer};
use crate::work::{Row, Work};

/// What [`run`] gave for one batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs<O> {
    /// Of its passes, in order.
    pub outputs: Vec<O>,
    /// Whether memory ran out and the batch was run in parts; its last bits may then differ from a
    /// run that had more memory.
    pub divided: bool,
}

/// What was read of some passes of a batch.
pub(crate) struct Part<N: Network> {
    pub(crate) passes: Vec<u32>,
    pub(crate) reading: N::Reading,
}

/// A batch on its way: small tensors on the model's device, perhaps not computed yet.
pub struct Launched<N: Network> {
    parts: Vec<Part<N>>,
    divided: bool,
}

impl<N: Network> Launched<N> {
    pub(crate) fn new(parts: Vec<Part<N>>, divided: bool) -> Self {
        Self { parts, divided }
    }

    /// Waits for the batch. May be called on any thread.
    ///
    /// # Errors
    /// When the device failed.
    pub fn read(self, work: &Work<N::Pass, N::Output>) -> Result<Outputs<N::Output>, ModelError> {
        let mut outputs = Vec::new();
        for part in self.parts {
            outputs.extend(N::outputs(part.reading, &work.passes_of(&part.passes))?);
        }
        Ok(Outputs { outputs, divided: self.divided })
    }
}

/// Starts one batch. When the device runs out of memory the batch is split in two, down to single passes.
///
/// # Errors
/// When the user does not wait for it, when even a single pass does not fit, or libtorch fails otherwise.
pub fn launch<N: Network>(
    network: &N,
    work: &Work<N::Pass, N::Output>,
    batch: usize,
    interrupt: &Interrupt,
) -> Result<Launched<N>, ModelError> {
    let (parts, divided) = split_on_out_of_memory(&work.batches[batch].passes, |numbers| {
        let passes = work.passes_of(numbers);
        let reading = network.forward(&passes, &|| interrupt.check())?;
        Ok(Part { passes: numbers.to_vec(), reading })
    })?;
    Ok(Launched::new(parts, divided))
}

/// Tokens or bases from which a pass is not run a second time only to look at it: it may take minutes.
pub(crate) const LONG_PASS: usize = 1 << 20;

/// Whether the model gives the same bits for the same windows twice: samples of the first two of the first batch. Long
/// ones are not tried.
///
/// # Errors
/// As [`launch`] and [`Launched::read`].
pub(crate) fn repeats<N: Network>(
    network: &N,
    work: &Work<N::Pass, N::Output>,
    interrupt: &Interrupt,
) -> Result<bool, ModelError> {
    let Some(batch) = work.batches.first() else { return Ok(true) };
    let some = &batch.passes[..batch.passes.len().min(2)];
    let samples: Vec<N::Pass> = work.passes_of(some).into_iter().map(|pass| network.sample(pass)).collect();
    let numbers: Vec<u32> = (0..).zip(&samples).map(|(number, _)| number).collect();
    if samples.iter().any(|pass| pass.length() >= LONG_PASS) {
        return Ok(true);
    }
    let once = || -> Result<Vec<u32>, ModelError> {
        let run = |numbers: &[u32]| {
            let passes: Vec<&N::Pass> =
                numbers.iter().map(|number| &samples[as_index((*number).into())]).collect();
            N::outputs(network.forward(&passes, &|| interrupt.check())?, &passes)
        };
        Ok(bits(&split_on_out_of_memory(&numbers, run)?.0.concat()))
    };
    Ok(once()? == once()?)
}

/// Every number, so that what is not a number equals itself.
fn bits<O: Output>(outputs: &[O]) -> Vec<u32> {
    outputs.iter().flat_map(Output::numbers).map(f32::to_bits).collect()
}

/// Computes one batch: [`launch`], then [`Launched::read`].
///
/// # Errors
/// As these.
pub fn run<N: Network>(
    network: &N,
    work: &Work<N::Pass, N::Output>,
    batch: usize,
) -> Result<Outputs<N::Output>, ModelError> {
    launch(network, work, batch, &Interrupt::default())?.read(work)
}

/// The rows of `windows`, one for each in their order: plans, runs and finishes them.
///
/// # Errors
/// When a window is not one that the model can read, or the model fails.
pub fn rows<S, N>(scorer: &S, network: &N, windows: &[S::Window]) -> Result<Vec<Row>, ScoreError>
where
    S: Scorer,
    N: Network<Pass = S::Pass, Output = S::Output>,
{
    let work = scorer.plan(windows, true)?;
    let outputs = (0..work.batches()).map(|batch| Ok(run(network, &work, batch)?.outputs));
    Ok(work.finish(outputs.collect::<Result<_, ModelError>>()?))
}

/// Calls `each` with all passes, or with parts of them, in order, as memory takes them; and whether it did
/// not take them at once.
pub(crate) fn split_on_out_of_memory<T>(
    passes: &[u32],
    mut each: impl FnMut(&[u32]) -> Result<T, ModelError>,
) -> Result<(Vec<T>, bool), ModelError> {
    let (mut done, mut divided) = (Vec::new(), false);
    let mut waiting = vec![passes];
    while let Some(passes) = waiting.pop() {
        match tch::no_grad(|| each(passes)) {
            Ok(part) => done.push(part),
            Err(error) if error.is_out_of_memory() && passes.len() > 1 => {
                let (front, back) = passes.split_at(passes.len() / 2);
                waiting.extend([back, front]);
                divided = true;
            }
            Err(error) => return Err(error),
        }
    }
    Ok((done, divided))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_that_differ_in_one_bit_do_not_repeat() {
        let outputs = [vec![1.0, f32::NAN], vec![2.0]];
        assert_eq!(bits(&outputs), bits(&outputs.clone()));
        for (output, number, value) in [(0, 0, 1.000_000_1), (1, 0, -2.0)] {
            let mut other = outputs.clone();
            other[output][number] = value;
            assert_ne!(bits(&outputs), bits(&other));
        }
    }
}
