//! `vestore score`

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::HumanDuration;
use vestore::{Report, Writer};
use vestore_ingest::{Estimate, Network, Outcome, Progress as _, Scorer, estimate, new_run};
use vestore_schema::Track;

use super::family::{Family, ModelTask, TOKEN};
use super::interrupt;
use super::progress::significant;
use super::scoring::{Prepared, Scoring, Task};
use super::shared::{grouped, plural, say};

#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true).args(["variants", "region", "bed"])))]
pub(super) struct Arguments {
    /// Folder of the store
    store: PathBuf,
    /// Score with this model of the store
    #[arg(long, value_name = "NAME")]
    model: String,
    #[command(flatten)]
    scoring: Scoring,
    /// Store embeddings of reference and alternate: pooled over the window, or of a regulatory model over the variant's
    /// bins
    #[arg(long, value_enum, default_value_t = EmbeddingsArgument::None)]
    embeddings: EmbeddingsArgument,
    /// Print the plan and estimated time; change nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum EmbeddingsArgument {
    None,
    Pooled,
    Variant,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let embeddings = arguments.embeddings != EmbeddingsArgument::None;
    let of_variant = arguments.embeddings == EmbeddingsArgument::Variant;
    let task = Task::Score { embeddings, of_variant, dry_run: arguments.dry_run };
    execute(&arguments.store, &arguments.model, &arguments.scoring, task)
}

/// Runs a task and reports the outcome.
pub(super) fn execute(
    store: &std::path::Path,
    model: &str,
    scoring: &Scoring,
    task: Task<'_>,
) -> anyhow::Result<ExitCode> {
    scoring.progress.choose();
    let mut prepared = scoring.prepare(store, model, task)?;
    let writer = prepared.writer.take();
    let mut report = std::mem::take(&mut prepared.report);
    let (job, track) = (prepared.job(), &prepared.track);
    let pending = job.pending()?;
    let stored = prepared.variants() - pending;
    if pending == 0 {
        report.finish()?;
    }
    // A shard without variants is complete once that is recorded.
    let done = pending == 0 && !(writer.is_some() && prepared.is_unrecorded()?);
    if done && stored == 0 {
        say(format_args!("nothing to do: no variant of the input is one of this reference"));
        return Ok(ExitCode::SUCCESS);
    }
    if done {
        say(format_args!(
            "nothing to do: {} in track {}; the model was not run",
            if stored == 1 {
                "1 variant has a row".to_owned()
            } else {
                format!("all {} have a row", plural(stored, "variant"))
            },
            track.name
        ));
        return Ok(ExitCode::SUCCESS);
    }
    if prepared.is_interrupted() {
        say(format_args!("stopped before anything was scored"));
        return Ok(interrupt::code());
    }
    let task = ScoreTask { prepared: &prepared, writer, report, stored, pending, scoring };
    prepared.run(task)
}

/// The pending variants of a track: scored where there is a writer, else their estimate.
struct ScoreTask<'a> {
    prepared: &'a Prepared,
    writer: Option<Writer>,
    report: Report,
    /// Variants that have rows already.
    stored: u64,
    pending: u64,
    scoring: &'a Scoring,
}

impl ModelTask for ScoreTask<'_> {
    type Output = ExitCode;

    fn run<S, N>(self, scorer: &S, networks: Vec<N>) -> anyhow::Result<ExitCode>
    where
        S: Scorer,
        N: Network<Pass = S::Pass, Output = S::Output>,
    {
        let Self { prepared, writer, mut report, stored, pending, scoring } = self;
        let (job, track) = (prepared.job(), &prepared.track);
        let Some(mut writer) = writer else {
            report.finish()?;
            let unit = Family::of(&prepared.store, &prepared.record)?.input_unit();
            let found = estimate(&job, scorer, &networks[0])?;
            tell_estimate(&track.name, &found, stored, unit);
            tell_shards(&prepared.shards, &found);
            return Ok(ExitCode::SUCCESS);
        };
        let depth = networks[0].depth() as u64;
        writer.put_track_with_targets(track, &scorer.targets())?;
        let unit = Family::of(&prepared.store, &prepared.record)?.input_unit();
        let batch_tokens = (unit == TOKEN).then_some(prepared.batch_tokens);
        let mut run = new_run(&job, &prepared.device_name(), prepared.threads, batch_tokens)?;
        let progress = scoring.bar(&prepared.device_name());
        progress.begin("variants", 0, pending);
        let started = Instant::now();
        let outcome = job.run(scorer, networks, &mut writer, &mut run, &mut report, &progress);
        progress.finish();
        let outcome = outcome?;
        report.finish()?;
        tell_outcome(&outcome, track, stored, pending, started);
        for remark in &run.remarks {
            say(format_args!("remark: {remark}"));
        }
        if outcome.batches > 0 {
            tell_evaluations(&outcome, depth);
        }
        Ok(match (outcome.rows < pending, outcome.interrupted) {
            (false, _) => ExitCode::SUCCESS,
            (true, true) => interrupt::code(),
            (true, false) => ExitCode::FAILURE,
        })
    }
}

fn tell_estimate(track: &str, found: &Estimate, stored: u64, unit: &str) {
    let about = if found.exact { "" } else { "about " };
    say(format_args!(
        "dry run for track {track}: {} to score, {} a row already\n\
         {about}{}, {about}{}, about {}, about {:#}",
        plural(found.variants, "variant"),
        if stored == 1 { "1 has".to_owned() } else { format!("{} have", grouped(stored)) },
        plural(found.forwards, "forward"),
        plural(found.tokens, unit),
        plural(found.bytes, "byte"),
        HumanDuration(std::time::Duration::from_secs_f64(found.seconds))
    ));
}

/// Says what each shard takes, by what a variant of this one does.
fn tell_shards(shards: &[u64], found: &Estimate) {
    for (part, variants) in (1..).zip(shards) {
        let seconds = found.seconds / found.variants.max(1) as f64 * *variants as f64;
        say(format_args!(
            "shard {part}/{}: {}, about {:#}",
            shards.len(),
            plural(*variants, "variant"),
            HumanDuration(Duration::from_secs_f64(seconds))
        ));
    }
}

/// Says how much the shared prefixes saved.
fn tell_evaluations(outcome: &Outcome, depth: u64) {
    say(format_args!(
        "{:.0} layer evaluations per batch instead of {}",
        outcome.evaluations as f64 / outcome.batches as f64,
        depth + depth * (depth - 1)
    ));
}

fn tell_outcome(outcome: &Outcome, track: &Track, stored: u64, pending: u64, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    // Stages overlap, and several devices add up.
    let share = |busy: Duration| (100.0 * busy.as_secs_f64() / seconds.max(1e-9)).min(100.0);
    let (model, writing) =
        (share(outcome.stages.model + outcome.stages.reading), share(outcome.stages.writing));
    let statuses: Vec<String> =
        outcome.statuses.iter().map(|(status, count)| format!("{} {status}", grouped(*count))).collect();
    say(format_args!(
        "track {}: {} written in {seconds:.1} s ({} variants/s{}): {}{}",
        track.name,
        plural(outcome.rows, "row"),
        significant(outcome.rows as f64 / seconds.max(1e-9)),
        if outcome.rows > 0 {
            format!(", model {model:.0} % and writing {writing:.0} % of the time")
        } else {
            String::new()
        },
        if statuses.is_empty() { "none".to_owned() } else { statuses.join(", ") },
        if stored > 0 {
            format!(
                "; {} there already",
                if stored == 1 { "1 was".to_owned() } else { format!("{} were", grouped(stored)) }
            )
        } else {
            String::new()
        }
    ));
    if outcome.rows < pending {
        say(format_args!(
            "stopped with {} to go; what is written is safe, the same command continues from there",
            plural(pending - outcome.rows, "variant")
        ));
    }
}
