//! Planned variants as bytes: how they are ordered, hashed, and kept in files of compressed frames.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;
use vestore_schema::{Position, Status, Variant};

use crate::narrow::{to_u32, to_usize};

/// Bytes before the alleles: contig, position, status, lengths of both alleles.
pub(super) const FIXED: usize = 17;

/// A temporary file cannot be written or read back.
#[derive(Debug, Error)]
#[error("cannot {action} temporary file {}; is there room in that folder? Another may be given", path.display())]
pub struct SpillError {
    /// What was tried.
    action: &'static str,
    /// The file or its folder.
    path: PathBuf,
    /// Why.
    source: io::Error,
}

impl SpillError {
    pub(super) fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self { action, path: path.into(), source }
    }
}

/// Appends the row of `variant` to `bytes`. The same bytes are what a plan's digest hashes:
/// little-endian contig, position, status (0 for none, else 1 + its place in [`Status::ALL`]),
/// lengths, alleles.
pub(super) fn encode(variant: &Variant, status: Option<Status>, bytes: &mut Vec<u8>) {
    let code = (1..).zip(Status::ALL).find(|(_, known)| Some(*known) == status).map_or(0, |(code, _)| code);
    encode_parts(variant.contig, variant.position, code, (&variant.reference, &variant.alternate), bytes);
}

fn encode_parts(
    contig: u32,
    position: Position,
    code: u8,
    (reference, alternate): (&str, &str),
    bytes: &mut Vec<u8>,
) {
    bytes.extend_from_slice(&contig.to_le_bytes());
    bytes.extend_from_slice(&position.zero_based().to_le_bytes());
    bytes.push(code);
    bytes.extend_from_slice(&to_u32(reference.len()).to_le_bytes());
    bytes.extend_from_slice(&to_u32(alternate.len()).to_le_bytes());
    bytes.extend_from_slice(reference.as_bytes());
    bytes.extend_from_slice(alternate.as_bytes());
}

/// Set in the status byte of a row that ends with values.
const VALUED: u8 = 0x80;

/// As [`encode`], with values behind the alleles: their number (u32), then each as big-endian float32, so that their
/// bytes order as their bits do.
pub(super) fn encode_valued(variant: &Variant, status: Option<Status>, values: &[f32], bytes: &mut Vec<u8>) {
    let start = bytes.len();
    encode(variant, status, bytes);
    bytes[start + 8] |= VALUED;
    bytes.extend_from_slice(&to_u32(values.len()).to_le_bytes());
    for value in values {
        bytes.extend_from_slice(&value.to_be_bytes());
    }
}

/// A row as a file has it at a line, not yet normalized, with values. The line stands before them, in place of two.
pub(super) fn encode_raw(
    contig: u32,
    position: Position,
    alleles: (&str, &str),
    line: u64,
    values: &[f32],
    bytes: &mut Vec<u8>,
) {
    let start = bytes.len();
    encode_parts(contig, position, 0, alleles, bytes);
    bytes[start + 8] |= VALUED;
    bytes.extend_from_slice(&to_u32(values.len() + 2).to_le_bytes());
    bytes.extend_from_slice(&line.to_be_bytes());
    for value in values {
        bytes.extend_from_slice(&value.to_be_bytes());
    }
}

/// Bytes of the number of values.
const VALUE_COUNT: usize = 4;

/// One encoded row, borrowed from the bytes that begin with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a>(&'a [u8]);

impl<'a> Row<'a> {
    /// The row that `bytes`, which [`encode`] made, begin with.
    pub(super) fn first_of(bytes: &'a [u8]) -> Self {
        let row = Self(bytes);
        let mut length = row.alleles_end();
        if bytes[8] & VALUED != 0 {
            length += VALUE_COUNT + 4 * row.word(length) as usize;
        }
        Self(&bytes[..length])
    }

    fn alleles_end(self) -> usize {
        FIXED + self.word(9) as usize + self.word(13) as usize
    }

    /// The values behind the alleles.
    pub(crate) fn values(self) -> impl Iterator<Item = f32> {
        let (words, _) = self.0.get(self.alleles_end() + VALUE_COUNT..).unwrap_or_default().as_chunks::<4>();
        words.iter().map(|word| f32::from_be_bytes(*word))
    }

    /// The line and the values of a row that [`encode_raw`] made.
    pub(crate) fn line_and_values(self) -> (u64, impl Iterator<Item = f32>) {
        let at = self.alleles_end() + VALUE_COUNT;
        let line = self.0[at..].first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        (line, self.values().skip(2))
    }

    pub(crate) fn contig(self) -> u32 {
        self.word(0)
    }

    pub(crate) fn position(self) -> Position {
        Position::new(self.word(4))
    }

    pub(crate) fn reference_text(self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.reference())
    }

    pub(crate) fn alternate_text(self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.alternate())
    }

    pub(super) fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// Contig and position as one number that orders as they do.
    pub(super) fn place(self) -> u64 {
        u64::from(self.word(0)) << 32 | u64::from(self.word(4))
    }

    fn reference(self) -> &'a [u8] {
        &self.0[FIXED..FIXED + self.word(9) as usize]
    }

    fn alternate(self) -> &'a [u8] {
        &self.0[FIXED + self.word(9) as usize..self.alleles_end()]
    }

    fn word(self, at: usize) -> u32 {
        u32::from_le_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }

    fn code(self) -> u8 {
        self.0[8] & !VALUED
    }

    /// Begins of the alleles as a number that orders as they do; equal numbers say nothing.
    pub(super) fn alleles_prefix(self) -> u32 {
        let at = |allele: &[u8], at: usize| allele.get(at).copied().unwrap_or_default();
        let alternate = self.alternate();
        u32::from_be_bytes(match self.reference() {
            [] => [0; 4],
            [only] => [*only, 0, at(alternate, 0), at(alternate, 1)],
            // A longer reference comes after its begin, whatever the alternates.
            [first, second, ..] => [*first, (*second).max(1), 0, 0],
        })
    }

    /// As variants are ordered; of equal ones the scorable comes first, then the bits of the first `ordering` values
    /// decide.
    pub(super) fn compare(self, other: Self, ordering: usize) -> Ordering {
        let values = |row: Self| {
            let start = row.alleles_end() + VALUE_COUNT;
            row.0.get(start..start + 4 * ordering).unwrap_or_default()
        };
        self.compare_variant(other)
            .then_with(|| (self.code() != 0).cmp(&(other.code() != 0)))
            .then_with(|| values(self).cmp(values(other)))
    }

    /// As variants are ordered, whatever their status.
    pub(super) fn compare_variant(self, other: Self) -> Ordering {
        self.place()
            .cmp(&other.place())
            .then_with(|| self.reference().cmp(other.reference()))
            .then_with(|| self.alternate().cmp(other.alternate()))
    }

    pub(super) fn decode(self) -> (Variant, Option<Status>) {
        // Alleles are ASCII: the readers take nothing else.
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned().into_boxed_str();
        let variant = Variant {
            contig: self.word(0),
            position: self.position(),
            reference: text(self.reference()),
            alternate: text(self.alternate()),
        };
        let status = usize::from(self.code()).checked_sub(1).and_then(|code| Status::ALL.get(code).copied());
        (variant, status)
    }
}

/// Where a frame of a file begins.
#[derive(Clone, Copy, Debug)]
struct Frame {
    first_row: u64,
    offset: u64,
}

/// Writes rows in frames: stored length, length, zstd data. Each frame can be read by itself.
pub(super) struct RowWriter {
    path: PathBuf,
    file: BufWriter<File>,
    compressor: zstd::bulk::Compressor<'static>,
    frame: Vec<u8>,
    frame_size: usize,
    frames: Vec<Frame>,
    longest_frame: usize,
    rows: u64,
    offset: u64,
}

impl RowWriter {
    /// Creates the file; a frame is written whenever `frame_size` bytes have come together.
    pub(super) fn create(path: PathBuf, frame_size: usize) -> Result<Self, SpillError> {
        let failed = |source| SpillError::new("create", &path, source);
        let file = BufWriter::new(File::create(&path).map_err(failed)?);
        let mut compressor = zstd::bulk::Compressor::new(1).map_err(failed)?;
        compressor.include_checksum(true).map_err(failed)?;
        Ok(Self {
            file,
            compressor,
            frame: Vec::new(),
            frame_size,
            frames: Vec::new(),
            longest_frame: 0,
            rows: 0,
            offset: 0,
            path,
        })
    }

    pub(super) fn push(&mut self, row: Row<'_>) -> Result<(), SpillError> {
        if self.frame.is_empty() {
            self.frames.push(Frame { first_row: self.rows, offset: self.offset });
        }
        self.frame.extend_from_slice(row.bytes());
        self.rows += 1;
        if self.frame.len() >= self.frame_size { self.write_frame() } else { Ok(()) }
    }

    fn write_frame(&mut self) -> Result<(), SpillError> {
        let failed = |source| SpillError::new("write", &self.path, source);
        let stored = self.compressor.compress(&self.frame).map_err(failed)?;
        self.file.write_all(&(stored.len() as u64).to_le_bytes()).map_err(failed)?;
        self.file.write_all(&(self.frame.len() as u64).to_le_bytes()).map_err(failed)?;
        self.file.write_all(&stored).map_err(failed)?;
        self.offset += 16 + stored.len() as u64;
        self.longest_frame = self.longest_frame.max(self.frame.len());
        self.frame.clear();
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<RowFile, SpillError> {
        if !self.frame.is_empty() {
            self.write_frame()?;
        }
        self.file.flush().map_err(|source| SpillError::new("write", &self.path, source))?;
        let Self { path, frames, longest_frame, rows, .. } = self;
        Ok(RowFile { path, frames, longest_frame, rows })
    }
}

/// A finished file of rows.
pub(super) struct RowFile {
    path: PathBuf,
    frames: Vec<Frame>,
    longest_frame: usize,
    rows: u64,
}

impl RowFile {
    /// Bytes of its longest frame, expanded.
    pub(super) fn longest_frame(&self) -> usize {
        self.longest_frame
    }

    pub(super) fn len(&self) -> u64 {
        self.rows
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads from row number `from` on; only the frame that holds it is read to get there.
    pub(super) fn read(&self, from: u64) -> Result<RowReader, SpillError> {
        let failed = |source| SpillError::new("read", &self.path, source);
        let mut reader = RowReader {
            file: BufReader::new(File::open(&self.path).map_err(failed)?),
            path: self.path.clone(),
            frames_left: 0,
            stored: Vec::new(),
            frame: Vec::new(),
            at: 0,
        };
        let frame = self.frames.partition_point(|frame| frame.first_row <= from).saturating_sub(1);
        if let Some(found) = self.frames.get(frame).filter(|_| from < self.rows) {
            reader.file.seek(SeekFrom::Start(found.offset)).map_err(failed)?;
            reader.frames_left = self.frames.len() - frame;
            for _ in found.first_row..from {
                reader.next()?;
            }
        }
        Ok(reader)
    }
}

/// Reads the rows of a file, one frame in memory at a time.
pub(super) struct RowReader {
    path: PathBuf,
    file: BufReader<File>,
    frames_left: usize,
    stored: Vec<u8>,
    frame: Vec<u8>,
    at: usize,
}

impl RowReader {
    pub(super) fn next(&mut self) -> Result<Option<Row<'_>>, SpillError> {
        if self.at == self.frame.len() {
            if self.frames_left == 0 {
                return Ok(None);
            }
            self.frames_left -= 1;
            self.read_frame().map_err(|source| SpillError::new("read", &self.path, source))?;
        }
        let row = Row::first_of(&self.frame[self.at..]);
        self.at += row.bytes().len();
        Ok(Some(row))
    }

    fn read_frame(&mut self) -> io::Result<()> {
        let mut word = [0; 8];
        self.file.read_exact(&mut word)?;
        self.stored.resize(to_usize(u64::from_le_bytes(word)), 0);
        self.file.read_exact(&mut word)?;
        let size = to_usize(u64::from_le_bytes(word));
        self.file.read_exact(&mut self.stored)?;
        self.frame = zstd::bulk::decompress(&self.stored, size)?;
        self.at = 0;
        Ok(())
    }
}
