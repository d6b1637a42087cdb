//! What the command lines of both programs share; `ingest/src/cli.rs` includes this file as a module of its own.

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use vestore::{
    FigureError, FilterError, FormError, HgvsError, ImportError, OutputError, PlaceNameError, PlacesError,
    Store, StoreError, Writer,
};
use vestore_schema::{LocusError, NameError};

pub(super) use vestore::grouped;

/// The exit code of what a signal ended, as shells report SIGINT. What was interrupted can be resumed, unlike what
/// failed.
pub(super) const INTERRUPTED: u8 = 130;

/// A command line that makes no sense although each of its parts does.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);

/// Prints an error and returns its exit code: 0 when stdout was closed, 2 for a wrong command line, else 1.
/// `is_usage` knows the usage errors of one program alone.
pub(super) fn report(error: &anyhow::Error, is_usage: impl Fn(&(dyn Error + 'static)) -> bool) -> ExitCode {
    // Whoever read our output has seen enough.
    let broken_pipe = |cause: &(dyn Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(broken_pipe) {
        return ExitCode::SUCCESS;
    }
    say(format_args!("vestore: {error:#}{}", vestore::remedy_of(error.as_ref())));
    let usage = error.chain().any(|cause| {
        cause.is::<Usage>()
            || cause.is::<NameError>()
            || cause.is::<FilterError>()
            || cause.is::<FormError>()
            || cause.downcast_ref().is_some_and(OutputError::is_usage)
            || cause.downcast_ref().is_some_and(FigureError::is_usage)
            || matches!(
                cause.downcast_ref(),
                Some(
                    ImportError::ColumnName { .. }
                        | ImportError::Name(_)
                        | ImportError::PresetColumns { .. }
                        | ImportError::Direction { .. }
                )
            )
            || matches!(cause.downcast_ref(), Some(LocusError::Malformed { .. }))
            || cause.downcast_ref().is_some_and(HgvsError::is_usage)
            || matches!(cause.downcast_ref(), Some(PlaceNameError::NotARegion { .. }))
            || is_usage(cause)
    });
    if usage { ExitCode::from(2) } else { ExitCode::FAILURE }
}

/// The error behind one of places, which decides the exit code.
pub(super) fn misplaced(error: PlacesError) -> anyhow::Error {
    match error {
        PlacesError::Locus(error) => error.into(),
        PlacesError::Reference(error) => error.into(),
        PlacesError::File(error) => error.into(),
        PlacesError::Hgvs(error) => error.into(),
        PlacesError::Name(error) => error.into(),
        PlacesError::Store(error) => error.into(),
    }
}

/// Whether stderr is for programs: a JSON object per line.
static EVENTS: AtomicBool = AtomicBool::new(false);

/// How progress is shown.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ProgressForm {
    Bar,
    Json,
}

impl ProgressForm {
    /// With JSON, everything on stderr is events from now on.
    pub(super) fn choose(self) {
        EVENTS.store(self == Self::Json, Ordering::Relaxed);
    }
}

/// Prints an event to stderr: a JSON object with the time, its name and `fields`.
pub(super) fn event(name: &str, fields: impl IntoIterator<Item = (&'static str, serde_json::Value)>) {
    let mut object = serde_json::Map::new();
    object.insert("time".to_owned(), vestore::utc(now()).into());
    object.insert("event".to_owned(), name.into());
    object.extend(fields.into_iter().map(|(field, value)| (field.to_owned(), value)));
    let _ = writeln!(io::stderr().lock(), "{}", serde_json::Value::Object(object));
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}

/// Prints a remark to stderr.
pub(super) fn say(text: fmt::Arguments<'_>) {
    if EVENTS.load(Ordering::Relaxed) {
        return event("message", [("text", text.to_string().into())]);
    }
    // Nobody may be reading; the work continues.
    let _ = writeln!(io::stderr().lock(), "{}", vestore::visible_lines(&text.to_string()));
}

/// Prints warnings, also with `--quiet`.
pub(super) fn warn(warnings: &[String]) {
    for warning in warnings {
        say(format_args!("warning: {warning}"));
    }
}

/// Prints a line of data to stdout. An error when it is closed, unlike `println!`, which panics.
pub(super) fn print(text: fmt::Arguments<'_>) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{}", vestore::visible_lines(&text.to_string()))
}

/// As [`print`], of what decides the exit code: a closed stdout changes nothing about it.
pub(super) fn print_finding(text: fmt::Arguments<'_>) -> io::Result<()> {
    match print(text) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// A number of things for people: `1 contig`, `300,000 bases`.
pub(super) fn plural(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// Takes the right to write; says when that makes the store unreadable for older programs.
pub(super) fn writer(store: &Store) -> Result<Writer, StoreError> {
    let writer = store.writer(&typed())?;
    note_format(store);
    Ok(writer)
}

/// As [`writer`]; with `wait`, once no other process has that right.
pub(super) fn writer_or_wait(store: &Store, wait: bool) -> Result<Writer, StoreError> {
    loop {
        match writer(store) {
            Err(StoreError::Locked { holder, .. }) if wait => {
                say(format_args!("waiting: {} is being written by {holder}", store.root().display()));
                store.wait_for_writer()?;
            }
            taken => return taken,
        }
    }
}

/// Says that a change of the store raises its format, where it does.
pub(super) fn note_format(store: &Store) {
    if let Some(notice) = store.format_notice() {
        say(format_args!("{notice}"));
    }
}

/// The command line as typed, which other processes read while this one writes.
pub(super) fn typed() -> String {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    ["vestore".to_owned()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}

/// Parses one of `all`, each of which the command line calls by `name`.
pub(super) fn one_of<T: Copy + Send + Sync>(
    all: &'static [T],
    name: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(all.iter().map(|value| name(*value))).try_map(move |text| {
        all.iter()
            .copied()
            .find(|value| name(*value) == text)
            .ok_or("a possible value has a meaning; this is a bug")
    })
}

/// How a list or a summary is printed.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ListFormat {
    Table,
    Json,
}
