//! The files that a command reads, and text on its way out.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use noodles::bgzf;
use vestore::{Output, OutputError, Store};

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
