//! `vestore verify`

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use vestore::{Damage, ReferenceError, Store};
use vestore_schema::Segment;

use super::engine;
use super::reference_arguments::ReferenceArguments;
use super::shared::{plural, print_finding, say, writer};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store, or address of a published one (https://…)
    store: PathBuf,
    /// Remove damaged segments from their tracks; the command that scored them then recomputes their rows
    #[arg(long)]
    drop_damaged: bool,
    /// Recompute this many rows with their models and compare; the same number picks the same rows. Imported tracks
    /// have no model and are skipped
    #[arg(long, value_name = "N")]
    rescore: Option<u64>,
    #[command(flatten)]
    reference: ReferenceArguments,
    /// Hide the progress bar
    #[arg(long)]
    quiet: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let store = arguments.reference.open(&arguments.store)?;
    // Whoever drops is the one writer, so that nothing changes between looking and dropping.
    let mut writer = arguments.drop_damaged.then(|| writer(&store)).transpose()?;
    let segments = store.all_segments()?;
    let bytes = segments.iter().map(|segment| segment.bytes).sum();
    let bar = if arguments.quiet { ProgressBar::hidden() } else { ProgressBar::new(bytes) };
    bar.set_style(ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {eta}")?);
    let damage = store.verify(|read| bar.set_position(read))?;
    bar.finish_and_clear();
    for found in &damage {
        print_finding(format_args!("{found}"))?;
    }
    let lost = damage.iter().filter(|found| found.is_loss()).count();
    say(format_args!(
        "{}, {} checked: {lost} damaged, {}; {} retired",
        plural(segments.len() as u64, "segment"),
        plural(bytes, "byte"),
        plural((damage.len() - lost) as u64, "orphan"),
        store.retired()?
    ));
    let reference_differs = !check_reference(&store, arguments.reference.file.is_some())?;
    // By track: what was imported comes from a file, what was scored from a run.
    let mut damaged: BTreeMap<String, Vec<Segment>> = BTreeMap::new();
    for found in damage {
        if let Damage::Segment { segment, .. } = found {
            damaged.entry(segment.track.clone()).or_default().push(segment);
        }
    }
    let (tracks, mut left) = (store.snapshot()?.tracks, lost);
    for (name, segments) in damaged {
        let place = arguments.store.display();
        let track = tracks.iter().find(|track| track.name == name);
        if store.is_published() {
            say(format_args!(
                "track {name} is damaged in this copy: upload its files again, or publish again"
            ));
        } else if track.is_some_and(|track| track.external.is_some()) {
            say(format_args!(
                "track {name} was imported: `vestore track remove {place} {name}`, then import its file again"
            ));
        } else if let Some(track) = track.filter(|track| !track.mean.is_empty()) {
            let of: Vec<&str> = track.mean.iter().map(|track| track.name.as_str()).collect();
            say(format_args!(
                "track {name} is a mean: `vestore track remove {place} {name}`, then \
                 `vestore track mean {place} {name} --tracks {}`",
                of.join(",")
            ));
        } else if let Some(writer) = &mut writer {
            let rows = writer.drop_segments(&segments)?;
            left -= segments.len();
            say(format_args!(
                "{} of track {name} dropped; the command that made the track recomputes them alone",
                plural(rows, "row")
            ));
        } else {
            say(format_args!(
                "`vestore verify {place} --drop-damaged` drops the damaged rows of track {name}; the command that \
                 made the track then recomputes them alone"
            ));
        }
    }
    drop(writer);
    match arguments.rescore {
        _ if left > 0 || reference_differs => Ok(ExitCode::FAILURE),
        None => Ok(ExitCode::SUCCESS),
        Some(count) => {
            let mut words: Vec<OsString> = vec![arguments.store.clone().into()];
            words.extend(["--rescore".into(), count.to_string().into()]);
            words
                .extend(arguments.reference.file.iter().flat_map(|file| ["--reference".into(), file.into()]));
            words.extend(arguments.quiet.then(|| "--quiet".into()));
            engine::run(&["verify".into()], words)
        }
    }
}

/// Digests the whole reference and says what is wrong with it; whether nothing is. A missing one is not damage: rows
/// can be queried without it. One that was `given` must be there.
fn check_reference(store: &Store, given: bool) -> anyhow::Result<bool> {
    let checked = store.open_reference().and_then(|mut reference| reference.check_whole(store.assembly()));
    match checked {
        Ok(()) => {
            let contigs = plural(store.assembly().contigs.len() as u64, "contig");
            say(format_args!("reference {}: {contigs} checked", store.reference().display()));
        }
        Err(
            missing @ (ReferenceError::Missing { .. }
            | ReferenceError::Open { .. }
            | ReferenceError::Unpublished { .. }),
        ) if !given => {
            say(format_args!("remark: the reference was not checked: {:#}", anyhow::Error::from(missing)));
        }
        Err(error) => {
            print_finding(format_args!("{:#}", anyhow::Error::from(error)))?;
            return Ok(false);
        }
    }
    Ok(true)
}
