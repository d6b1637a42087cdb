//! Files and folders that people name for output. One place decides what may be written, and whatever is written
//! appears under its name only when it is whole.

mod check;
mod error;
mod folder;
mod unfinished;

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use self::check::{Place, place};
pub use self::check::{check_output_folder, check_published_folder};
pub use self::error::OutputError;
pub use self::folder::{OutputFolder, create_folder};
use self::unfinished::Unfinished;
pub use self::unfinished::remove_unfinished_outputs;

/// Bytes that are gathered before a write.
const BUFFER: usize = 1 << 20;

/// What holds for the outputs of one command.
#[derive(Clone, Copy, Debug, Default)]
pub struct OutputRules<'a> {
    /// Replace a file that exists.
    pub force: bool,
    /// Files that the command reads, and folders whose files it reads. An output is never one of them, nor an index
    /// beside one. `-` is stdin.
    pub inputs: &'a [PathBuf],
}

/// Stdout, a device, or a file that appears under its name once [`Output::finish`] was called. Dropped before, it
/// leaves nothing.
#[derive(Debug)]
pub struct Output(Kind);

#[derive(Debug)]
enum Kind {
    Stdout(BufWriter<io::Stdout>),
    Device { out: BufWriter<File>, path: PathBuf },
    File { out: BufWriter<NamedTempFile>, path: PathBuf, force: bool, unfinished: Unfinished },
}

impl Output {
    /// Opens an output, before any work is done for it. Nothing and `-` are stdout.
    ///
    /// # Errors
    /// When the path is an address, an input, inside a store, a folder, or exists and may not be replaced; when its
    /// folder cannot be written.
    pub fn create(path: Option<&Path>, rules: &OutputRules<'_>) -> Result<Self, OutputError> {
        let Some(path) = path else {
            return Ok(Self(Kind::Stdout(BufWriter::with_capacity(BUFFER, io::stdout()))));
        };
        match place(path, rules)? {
            Place::Stdout => Self::create(None, rules),
            Place::Device => {
                let out = OpenOptions::new().write(true).open(path).map_err(OutputError::io(path))?;
                Ok(Self(Kind::Device { out: BufWriter::with_capacity(BUFFER, out), path: path.to_owned() }))
            }
            Place::File { folder, path } => {
                let file = temporary(&folder, &path)?;
                let unfinished = Unfinished::new(file.path(), &path)?;
                let out = BufWriter::with_capacity(BUFFER, file);
                Ok(Self(Kind::File { out, path, force: rules.force, unfinished }))
            }
        }
    }

    /// As [`Output::create`]; a file that begins with the line `header`, as an earlier run of the same command wrote
    /// it, may be replaced too.
    ///
    /// # Errors
    /// As [`Output::create`].
    pub fn report(path: &Path, header: &str, rules: &OutputRules<'_>) -> Result<Self, OutputError> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if is_compressed(ending) {
            return Err(OutputError::CompressedReport { path: path.to_owned() });
        }
        let force = rules.force || begins_with(path, header);
        Self::create(Some(path), &OutputRules { force, ..*rules })
    }

    /// Refuses to write `what`, which is not text, to a terminal.
    ///
    /// # Errors
    /// When the output is one.
    pub fn refuse_terminal(&self, what: &'static str) -> Result<(), OutputError> {
        let terminal = match &self.0 {
            Kind::Stdout(_) => io::stdout().is_terminal(),
            Kind::Device { out, .. } => out.get_ref().is_terminal(),
            Kind::File { .. } => false,
        };
        if terminal { Err(OutputError::Terminal { what }) } else { Ok(()) }
    }

    /// Writes out what is left and gives the file its name.
    ///
    /// # Errors
    /// When the system refuses, or something has the name meanwhile and may not be replaced.
    pub fn finish(self) -> Result<(), OutputError> {
        match self.0 {
            Kind::Stdout(mut out) => out.flush().map_err(OutputError::Stdout),
            Kind::Device { mut out, path } => out.flush().map_err(OutputError::io(&path)),
            Kind::File { mut out, path, force, unfinished } => {
                out.flush().map_err(OutputError::io(&path))?;
                let file = out.into_inner().map_err(|error| OutputError::io(&path)(error.into_error()))?;
                let name = || if force { file.persist(&path) } else { file.persist_noclobber(&path) };
                match unfinished.complete(name) {
                    Ok(_) => Ok(()),
                    Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                        Err(OutputError::Exists { path })
                    }
                    Err(error) => Err(OutputError::io(&path)(error.error)),
                }
            }
        }
    }
}

/// Whether files of this extension are BGZF.
pub(crate) fn is_compressed(extension: &str) -> bool {
    ["gz", "bgz", "bgzf", "gzip"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// A new file in `folder`, which nobody else has, for what becomes `path`.
fn temporary(folder: &Path, path: &Path) -> Result<NamedTempFile, OutputError> {
    let mut builder = tempfile::Builder::new();
    // As the umask allows, like any file that a program makes.
    builder.prefix(".vestore-").suffix(".partial").permissions(Permissions::from_mode(0o666));
    builder.tempfile_in(folder).map_err(OutputError::io(path))
}

/// Whether the first line of a plain file is `header`.
fn begins_with(path: &Path, header: &str) -> bool {
    let plain = path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    let Some(file) = plain.then(|| File::open(path).ok()).flatten() else { return false };
    let mut line = Vec::new();
    let read = BufReader::new(file).take(header.len() as u64 + 1).read_until(b'\n', &mut line);
    read.is_ok() && line.strip_suffix(b"\n") == Some(header.as_bytes())
}

impl Seek for Output {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &mut self.0 {
            Kind::Stdout(_) | Kind::Device { .. } => Err(io::ErrorKind::NotSeekable.into()),
            Kind::File { out, .. } => out.seek(to),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Stdout(out) => out.write(bytes),
            Kind::Device { out, .. } => out.write(bytes),
            Kind::File { out, .. } => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Kind::Stdout(out) => out.flush(),
            Kind::Device { out, .. } => out.flush(),
            Kind::File { out, .. } => out.flush(),
        }
    }
}

#[cfg(test)]
mod tests;
