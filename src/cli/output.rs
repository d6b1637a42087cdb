//! What the command line prints, and what it reads besides what it was given by name.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use noodles::bgzf;
use vestore::{Output, OutputError, Store};

/// Prints a remark.
pub(super) fn say(text: fmt::Arguments<'_>) {
    // Nobody may be reading; the work goes on all the same.
    let _ = writeln!(io::stderr().lock(), "{}", vestore::visible_lines(&text.to_string()));
}

/// A number of things for people: `1 contig`, `300,000 bases`.
pub(super) fn counted(count: u64, noun: &str) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{text} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Prints warnings, also where everything else is to be quiet.
pub(super) fn warn(warnings: &[String]) {
    for warning in warnings {
        say(format_args!("warning: {warning}"));
    }
}

/// Prints a line of data.
pub(super) fn print(text: fmt::Arguments<'_>) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{}", vestore::visible_lines(&text.to_string()))
}

/// The files that a command reads: those that were `named`, and the store's reference.
pub(super) fn inputs<'a>(
    store: &'a Store,
    named: impl IntoIterator<Item = Option<&'a Path>>,
) -> Vec<PathBuf> {
    named.into_iter().flatten().map(Path::to_owned).chain([store.reference()]).collect()
}

/// Text on its way out, as it is or as BGZF.
pub(super) enum Text {
    Plain(Output),
    Compressed(bgzf::io::Writer<Output>),
}

impl Text {
    pub(super) fn new(output: Output, compressed: bool) -> Self {
        if compressed { Self::Compressed(bgzf::io::Writer::new(output)) } else { Self::Plain(output) }
    }

    /// Writes out what is left and gives the file its name.
    pub(super) fn finish(self) -> Result<(), OutputError> {
        match self {
            Self::Plain(output) => output.finish(),
            Self::Compressed(zipped) => zipped.finish().map_err(OutputError::Stdout)?.finish(),
        }
    }
}

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(output) => output.write(bytes),
            Self::Compressed(zipped) => zipped.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(output) => output.flush(),
            Self::Compressed(zipped) => zipped.flush(),
        }
    }
}
