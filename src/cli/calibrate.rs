//! `vestore calibrate`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use indicatif::ProgressBar;
use vestore::{
    CalibrateOptions, CalibrationTaken, Places, Store, calibrate, open_variants, remove_calibration,
};
use vestore_schema::{Context, Direction, Scale};

use super::places::tell;
use super::reference_arguments::RefMismatchArguments;
use super::shared::{Usage, misplaced, one_of, plural, print, say, typed, warn};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store
    store: PathBuf,
    /// Calibrate this track
    #[arg(long, value_name = "NAME")]
    track: String,
    /// Calibrate this score column
    #[arg(long, value_name = "COLUMN")]
    score: String,
    /// Compare with the track's rows in this region (`17:43,044,295-43,125,483`), in the regions of a BED file, or of the
    /// variants of a VCF, BCF, TSV, CSV or Parquet file, such as common variants; without, with all its rows. May be
    /// repeated
    #[arg(long, value_name = "FILE|REGION")]
    background: Vec<String>,
    /// Subtract the mean score of SNVs with the same alleles in the same context before comparing: one base
    /// (trinucleotide) or two bases (pentanucleotide) on each side, both strands together. Other variants get no
    /// percentile
    #[arg(long, value_name = "CONTEXT", value_parser = one_of(&Context::ALL, Context::as_str))]
    by: Option<Context>,
    /// State which values are extreme; by default the score kind decides (`vestore track list` shows it)
    #[arg(long, value_name = "DIRECTION", value_parser = one_of(&Direction::ALL, Direction::as_str))]
    direction: Option<Direction>,
    /// Replace another calibration of this column
    #[arg(long)]
    replace: bool,
    /// Remove the calibration of this column
    #[arg(long, conflicts_with_all = ["background", "by", "direction", "replace"])]
    remove: bool,
    #[command(flatten)]
    ref_mismatch: RefMismatchArguments,
    /// Hide the progress bar
    #[arg(long)]
    quiet: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let store = Store::open(&arguments.store)?;
    let Arguments { track, score, .. } = arguments;
    if arguments.remove {
        remove_calibration(&store, track, score, &typed())?;
        say(format_args!("calibration of {track}.{score} removed"));
        return Ok(ExitCode::SUCCESS);
    }
    let (places, background) = places(arguments, &store)?;
    let options = CalibrateOptions {
        track: track.clone(),
        column: score.clone(),
        direction: arguments.direction,
        context: arguments.by,
        places,
        background,
        replace: arguments.replace,
    };
    let bar = if arguments.quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    let taken = calibrate(&store, options, &typed(), |rows| {
        bar.set_message(format!("{rows} rows read"));
        bar.tick();
    });
    bar.finish_and_clear();
    describe(&taken?)?;
    Ok(ExitCode::SUCCESS)
}

/// Where the background lies, and what people call it.
fn places(arguments: &Arguments, store: &Store) -> anyhow::Result<(Places, String)> {
    let mut places = Places::default();
    let mut named = Vec::new();
    for text in &arguments.background {
        let path = Path::new(text);
        let is_bed = || {
            let name = text.to_ascii_lowercase();
            [".bed", ".bed.gz", ".bed.bgz"].iter().any(|ending| name.ends_with(ending))
        };
        if !path.is_file() {
            if text.contains('/') {
                return Err(Usage(format!("no such file: `{text}`; expected a file or a region")).into());
            }
            places.add(store, text).map_err(misplaced)?;
            named.push(text.clone());
            continue;
        }
        let report = if is_bed() {
            places.add_bed(store, path)
        } else {
            places.add_file(store, open_variants(path)?, arguments.ref_mismatch.ref_mismatch)
        };
        tell(&report.map_err(misplaced)?);
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        named.push(vestore::visible(&name).into_owned());
    }
    let background = if named.is_empty() { "all rows".to_owned() } else { named.join(" and ") };
    Ok((places, background))
}

fn describe(taken: &CalibrationTaken) -> anyhow::Result<()> {
    let CalibrationTaken { calibration, known, left_out, empty_classes, is_whole } = taken;
    let lines = [
        ("track", calibration.track.clone()),
        ("score", calibration.column.clone()),
        ("background", format!("{}: {}", calibration.background, plural(calibration.rows, "score"))),
        ("direction", calibration.direction.text().to_owned()),
        ("columns", Scale::ALL.map(|scale| calibration.name(scale)).join(", ")),
        ("id", calibration.id.to_string()),
    ];
    for (name, value) in lines {
        print(format_args!("{name:<12}{value}"))?;
    }
    if let Some(context) = calibration.context {
        print(format_args!(
            "{:<12}{}, {} subtracted",
            "context",
            context.as_str(),
            plural((context.classes() - empty_classes) as u64, "mean")
        ))?;
    }
    if *left_out > 0 {
        say(format_args!("{} of the background without a score, or in no context", plural(*left_out, "row")));
    }
    if *empty_classes > 0 {
        warn(&[format!(
            "{empty_classes} of {} classes of the context have no score in the background: their variants get no \
             percentile",
            calibration.context.map_or(0, Context::classes)
        )]);
    }
    if !is_whole {
        say(format_args!(
            "percentiles are within 0.0001 of those of all scores; the most extreme 65,536 distinct scores are exact"
        ));
    }
    if *known {
        say(format_args!("the store has this calibration; nothing was changed"));
    }
    Ok(())
}
