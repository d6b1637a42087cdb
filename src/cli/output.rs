//! What the command line prints, and what it reads besides what it was given by name.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use vestore::Store;

/// Prints a remark.
#[expect(clippy::print_stderr, reason = "remarks of the command line go here")]
pub(super) fn say(text: fmt::Arguments<'_>) {
    eprintln!("{}", vestore::visible_lines(&text.to_string()));
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
    named.into_iter().flatten().chain([store.reference()]).map(Path::to_owned).collect()
}
