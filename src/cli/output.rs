//! Where the command line writes: data to stdout or a file, remarks to stderr.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Prints a remark.
#[expect(clippy::print_stderr, reason = "remarks of the command line go here")]
pub(super) fn say(text: fmt::Arguments<'_>) {
    eprintln!("{text}");
}

/// Prints a line of data.
pub(super) fn print(text: fmt::Arguments<'_>) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Stdout, or a file that appears under its name only when it is whole.
pub(super) enum Output {
    Stdout(BufWriter<io::Stdout>),
    File { out: BufWriter<File>, temporary: PathBuf, path: PathBuf },
}

impl Output {
    /// `-` and nothing are stdout.
    pub(super) fn create(path: Option<&Path>) -> anyhow::Result<Self> {
        match path {
            None => Ok(Self::Stdout(BufWriter::with_capacity(1 << 20, io::stdout()))),
            Some(path) if path.as_os_str() == "-" => Self::create(None),
            Some(path) => {
                let mut temporary = path.as_os_str().to_owned();
                temporary.push(".partial");
                let temporary = PathBuf::from(temporary);
                let file =
                    File::create(&temporary).with_context(|| format!("cannot write {}", path.display()))?;
                Ok(Self::File {
                    out: BufWriter::with_capacity(1 << 20, file),
                    temporary,
                    path: path.to_owned(),
                })
            }
        }
    }

    /// Gives the file its name.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Stdout(mut out) => Ok(out.flush()?),
            Self::File { mut out, temporary, path } => {
                out.flush()?;
                std::fs::rename(&temporary, &path).with_context(|| format!("cannot write {}", path.display()))
            }
        }
    }
}

impl Seek for Output {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Stdout(_) => Err(io::ErrorKind::NotSeekable.into()),
            Self::File { out, .. } => out.seek(to),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::File { out, .. } => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File { out, .. } => out.flush(),
        }
    }
}
