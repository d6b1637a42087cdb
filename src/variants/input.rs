//! A file of variants or regions as a stream of bytes, however it is compressed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use noodles::bgzf;
use thiserror::Error;

use super::encoding::{BYTE_ORDER_MARK, Foreign, PROBE};
use crate::reference::bgzf::{Compression, END_BLOCK};
use crate::reference::printable;

/// The most bytes of one line, or one record, that are kept in memory.
pub(super) const LONGEST: usize = 64 << 20;

/// Bytes of the rest of a first line that are searched for other line ends.
const PROBED_LINE: u64 = 1 << 20;

/// Why an input file cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InputError {
    /// The file cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is compressed or encoded in a way that is not read.
    #[error("{} is {name}; {remedy}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is.
        name: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// Reading failed, or the compressed data are damaged.
    #[error("cannot read {}, {unit} {number}{}", path.display(), remedy(source))]
    Read {
        /// The file.
        path: PathBuf,
        /// `line` or `record`.
        unit: &'static str,
        /// 1-based number of the line or record being read.
        number: u64,
        /// Why.
        source: io::Error,
    },
    /// The compressed stream ends too early.
    #[error(
        "{} is truncated at {unit} {number}; copy it again from where it is whole, or, if it is \
         complete except for its end block, run `bgzip -d -c X | bgzip > Y`",
        path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// `line` or `record`.
        unit: &'static str,
        /// 1-based number of the line or record being read.
        number: u64,
    },
    /// A line or record that cannot be read as what it should be.
    #[error("{}, {unit} {number}: {field} `{value}` {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// `line` or `record`.
        unit: &'static str,
        /// 1-based.
        number: u64,
        /// Which part of it.
        field: &'static str,
        /// What stands there.
        value: String,
        /// What is wrong, and the remedy.
        problem: &'static str,
    },
    /// A row of a table cannot be read.
    #[error(transparent)]
    Table(Box<dyn std::error::Error + Send + Sync>),
    /// A record that does not fit in memory.
    #[error(
        "{}, {unit} {number} is longer than {} MiB; is the file what it should be?",
        path.display(),
        LONGEST >> 20
    )]
    TooLong {
        /// The file.
        path: PathBuf,
        /// `line` or `record`.
        unit: &'static str,
        /// 1-based.
        number: u64,
    },
}

/// What to do about a file that cannot be read.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            ": its compressed data are damaged; copy it again from where it is whole"
        }
        _ => "",
    }
}

/// An open input, and where in it the reader is, for messages.
pub struct Input {
    path: PathBuf,
    stream: Box<dyn BufRead + Send>,
    /// What it is counted in.
    unit: &'static str,
    /// 1-based number of the line or record in hand; 0 before the first.
    number: u64,
    /// Whether a byte order mark was taken off.
    marked: bool,
}

impl Input {
    /// Opens a file, or standard input for `-`. This is where all text comes in: gzip and BGZF are decompressed, a
    /// byte order mark is taken off, and what is compressed or encoded otherwise is refused.
    ///
    /// # Errors
    /// The file cannot be opened, or is compressed or encoded in a way that is not read.
    pub fn open(path: &Path) -> Result<Self, InputError> {
        if path == Path::new("-") {
            return Self::decompress(path, Box::new(io::stdin()));
        }
        Self::open_as(path, path)
    }

    /// Opens the file at `place`; messages call it `path`.
    pub(crate) fn open_as(path: &Path, place: &Path) -> Result<Self, InputError> {
        let file = File::open(place).map_err(|source| InputError::Open { path: path.into(), source })?;
        Self::decompress(path, Box::new(file))
    }

    /// Takes over an open stream; `path` is only for messages.
    pub(super) fn decompress(path: &Path, mut raw: Box<dyn Read + Send>) -> Result<Self, InputError> {
        let mut input =
            Self { path: path.into(), stream: Box::new(io::empty()), unit: "line", number: 0, marked: false };
        let mut head = Vec::with_capacity(Compression::PROBE);
        (&mut raw)
            .take(Compression::PROBE as u64)
            .read_to_end(&mut head)
            .map_err(|source| input.failed(source))?;
        let compression = Compression::of(&head);
        input.refuse_foreign(&head, false)?;
        let whole = BufReader::with_capacity(64 << 10, Cursor::new(head).chain(raw));
        input.stream = match compression {
            Compression::None => Box::new(whole),
            Compression::Gzip => Box::new(BufReader::with_capacity(64 << 10, MultiGzDecoder::new(whole))),
            Compression::Bgzf => Box::new(bgzf::io::Reader::new(Ending { inner: whole, tail: Vec::new() })),
        };
        let head = input.peek(PROBE)?;
        input.refuse_foreign(&head, compression != Compression::None)?;
        if head.starts_with(BYTE_ORDER_MARK) {
            input.read_exact(&mut [0; BYTE_ORDER_MARK.len()])?;
            input.marked = true;
        }
        Ok(input)
    }

    fn refuse_foreign(&self, head: &[u8], inner: bool) -> Result<(), InputError> {
        match Foreign::of(head, inner) {
            None => Ok(()),
            Some(Foreign { name, remedy }) => {
                Err(InputError::Foreign { path: self.path.clone(), name, remedy })
            }
        }
    }

    /// The next bytes, at most `most` of them; nothing is consumed.
    pub(crate) fn peek(&mut self, most: usize) -> Result<Vec<u8>, InputError> {
        let mut head = Vec::with_capacity(most);
        let read = (&mut self.stream).take(most as u64).read_to_end(&mut head);
        read.map_err(|source| self.failed(source))?;
        let rest = std::mem::replace(&mut self.stream, Box::new(io::empty()));
        self.stream = Box::new(Cursor::new(head.clone()).chain(rest));
        Ok(head)
    }

    /// Whether the data began with a byte order mark, which was taken off.
    pub(crate) fn was_marked(&self) -> bool {
        self.marked
    }

    /// Whether the data begin with `magic`; nothing is consumed.
    pub(crate) fn begins_with(&mut self, magic: &[u8]) -> Result<bool, InputError> {
        Ok(self.peek(magic.len())? == magic)
    }

    /// Counts in records from here on.
    pub(crate) fn count_records(&mut self) {
        (self.unit, self.number) = ("record", 0);
    }

    /// Goes on to the next record.
    pub(super) fn next_record(&mut self) {
        self.number += 1;
    }

    /// 1-based number of the line or record in hand.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the next line into `line`, without its end, and only its first `columns` columns (each
    /// but the last followed by a tab): a line of many samples is skipped over, not stored. `false`
    /// at the end of the file.
    ///
    /// # Errors
    /// Reading failed, the data are damaged, or a line does not fit in memory.
    pub fn read_line(&mut self, line: &mut Vec<u8>, columns: usize) -> Result<bool, InputError> {
        let more = self.read_columns(line, columns)?;
        if self.number == 1 {
            self.check_line_ends(line)?;
        }
        Ok(more)
    }

    fn read_columns(&mut self, line: &mut Vec<u8>, columns: usize) -> Result<bool, InputError> {
        line.clear();
        self.number += 1;
        let mut tabs = 0;
        loop {
            let chunk = match self.stream.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.failed(error)),
            };
            if chunk.is_empty() {
                break;
            }
            let stop = chunk.iter().position(|byte| {
                tabs += usize::from(*byte == b'\t');
                *byte == b'\n' || tabs == columns
            });
            let taken = stop.unwrap_or(chunk.len());
            line.extend_from_slice(&chunk[..taken]);
            let ended = stop.map(|at| chunk[at]);
            self.stream.consume(taken + usize::from(ended.is_some()));
            if line.len() > LONGEST {
                return Err(InputError::TooLong {
                    path: self.path.clone(),
                    unit: self.unit,
                    number: self.number,
                });
            }
            match ended {
                None => {}
                Some(b'\n') => {
                    if line.last() == Some(&b'\r') {
                        line.pop();
                    }
                    return Ok(true);
                }
                Some(_) => {
                    if self.number == 1 {
                        // Lines that end otherwise would be skipped with it.
                        let mut rest = Vec::new();
                        let read = (&mut self.stream).take(PROBED_LINE).read_until(b'\n', &mut rest);
                        read.map_err(|source| self.failed(source))?;
                        self.check_line_ends(&rest)?;
                        if rest.last() == Some(&b'\n') {
                            return Ok(true);
                        }
                    }
                    self.stream.skip_until(b'\n').map_err(|source| self.failed(source))?;
                    return Ok(true);
                }
            }
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(!line.is_empty())
    }

    /// Reads whole lines into `lines`, which is cleared first: about `size` bytes of them. `false` when there
    /// are no more.
    pub(crate) fn read_lines(&mut self, lines: &mut Vec<u8>, size: usize) -> Result<bool, InputError> {
        lines.clear();
        let filled = fill(&mut *self.stream, lines, size);
        if self.number == 0 {
            self.check_line_ends(lines.split(|byte| *byte == b'\n').next().unwrap_or_default())?;
        }
        self.number += memchr::memchr_iter(b'\n', lines).count() as u64;
        if matches!(filled, Ok(true)) {
            return Ok(!lines.is_empty());
        }
        // In the line after those that were counted.
        self.number += 1;
        filled.map_err(|source| self.failed(source))?;
        Err(self.too_long())
    }

    /// Reads what is at hand into `piece`, which is cleared first: at most a buffer of bytes. `false` at the
    /// end.
    pub(crate) fn read_some(&mut self, piece: &mut Vec<u8>) -> Result<bool, InputError> {
        piece.clear();
        loop {
            match self.stream.fill_buf() {
                Ok(chunk) => piece.extend_from_slice(chunk),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.failed(error)),
            }
            self.stream.consume(piece.len());
            self.number += memchr::memchr_iter(b'\n', piece).count() as u64;
            return Ok(!piece.is_empty());
        }
    }

    /// Refuses a first line that is several, with the line ends that Macs once had.
    fn check_line_ends(&self, first: &[u8]) -> Result<(), InputError> {
        let first = first.trim_ascii_end();
        match memchr::memchr(b'\r', first) {
            None => Ok(()),
            Some(_) => Err(self.malformed(
                "text",
                first,
                "has carriage returns alone for line ends; run `tr '\\r' '\\n' < X > Y`",
            )),
        }
    }

    /// Fills `bytes`. `false` when the stream ends before the first of them.
    pub(super) fn read_exact(&mut self, bytes: &mut [u8]) -> Result<bool, InputError> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.stream.read(&mut bytes[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(self.failed(io::ErrorKind::UnexpectedEof.into())),
                Ok(more) => filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
        Ok(true)
    }

    /// Appends `count` bytes to `bytes`; `false` when the stream ends before. No more memory is taken than
    /// bytes come.
    pub(super) fn read_more(&mut self, bytes: &mut Vec<u8>, count: u64) -> Result<bool, InputError> {
        let read = (&mut self.stream).take(count).read_to_end(bytes);
        read.map(|read| read as u64 == count).map_err(|source| self.failed(source))
    }

    /// The error of a part of the line or record in hand.
    #[must_use]
    pub fn malformed(&self, field: &'static str, value: &[u8], problem: &'static str) -> InputError {
        InputError::Malformed {
            path: self.path.clone(),
            unit: self.unit,
            number: self.number.max(1),
            field,
            value: printable(value),
            problem,
        }
    }

    /// The error of a record that is too long.
    pub(super) fn too_long(&self) -> InputError {
        InputError::TooLong { path: self.path.clone(), unit: self.unit, number: self.number }
    }

    fn failed(&self, source: io::Error) -> InputError {
        let (path, unit, number) = (self.path.clone(), self.unit, self.number.max(1));
        if matches!(source.kind(), io::ErrorKind::UnexpectedEof | MISSING_END) {
            InputError::Truncated { path, unit, number }
        } else {
            InputError::Read { path, unit, number, source }
        }
    }
}

/// Reads about `size` bytes of whole lines; `false` when a line has no end within reason.
fn fill(mut stream: &mut (dyn BufRead + Send), lines: &mut Vec<u8>, size: usize) -> io::Result<bool> {
    while lines.len() < size {
        let chunk = match stream.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            chunk => chunk?,
        };
        if chunk.is_empty() {
            return Ok(true);
        }
        let taken = chunk.len();
        lines.extend_from_slice(chunk);
        stream.consume(taken);
    }
    Ok((&mut stream).take(LONGEST as u64).read_until(b'\n', lines)? < LONGEST)
}

/// Not `UnexpectedEof`, which the BGZF reader takes for the end when it is between two blocks.
const MISSING_END: io::ErrorKind = io::ErrorKind::BrokenPipe;

/// Compressed BGZF bytes, whose end must be the end block: without it the file may have been cut
/// between two blocks, which nothing else would show.
struct Ending<R> {
    inner: R,
    /// The last bytes read.
    tail: Vec<u8>,
}

impl<R: Read> Read for Ending<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        if read == 0 && !buffer.is_empty() && self.tail != END_BLOCK {
            return Err(MISSING_END.into());
        }
        let keep = END_BLOCK.len();
        let recent = &buffer[read.saturating_sub(keep)..read];
        self.tail.drain(..(self.tail.len() + recent.len()).saturating_sub(keep).min(self.tail.len()));
        self.tail.extend_from_slice(recent);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::fixture::{bgzf, gzip};

    fn lines(bytes: Vec<u8>, columns: usize) -> Result<Vec<String>, InputError> {
        let mut input = Input::decompress(Path::new("x.vcf"), Box::new(Cursor::new(bytes)))?;
        let mut line = Vec::new();
        let mut lines = Vec::new();
        while input.read_line(&mut line, columns)? {
            lines.push(String::from_utf8(line.clone()).unwrap());
        }
        Ok(lines)
    }

    #[test]
    fn lines_are_the_same_however_they_are_compressed_and_ended() {
        let text = b"a\tb\tc\td\r\n\r\ne\tf\r\ng";
        for bytes in [text.to_vec(), gzip(text), bgzf(text)] {
            assert_eq!(lines(bytes, 9).unwrap(), ["a\tb\tc\td", "", "e\tf", "g"]);
        }
        assert_eq!(lines(text.to_vec(), 2).unwrap(), ["a\tb", "", "e\tf", "g"]);
        assert_eq!(lines(Vec::new(), 2).unwrap(), [""; 0]);
        assert_eq!(lines(bgzf(b""), 2).unwrap(), [""; 0]);
        let two = [gzip(b"a\nb\n"), gzip(b"c\n")].concat();
        assert_eq!(lines(two, 2).unwrap(), ["a", "b", "c"]);
    }

    #[test]
    fn a_byte_order_mark_is_taken_off_and_foreign_files_are_refused_by_name() {
        let text = b"\xef\xbb\xbf1\t5\n";
        for bytes in [text.to_vec(), gzip(text), bgzf(text)] {
            assert_eq!(lines(bytes, 9).unwrap(), ["1\t5"]);
        }
        let xz = b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46";
        for bytes in [xz.to_vec(), gzip(xz), bgzf(xz)] {
            let error = lines(bytes, 9).unwrap_err().to_string();
            assert_eq!(
                error,
                "x.vcf is compressed with xz; decompress it, or pipe it in: `xz -dc X | vestore … -`"
            );
        }
        let wide: Vec<u8> = "1\t5\tA\tC\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(
            lines(gzip(&wide), 9).unwrap_err().to_string().contains("encoded as UTF-16; convert it: `iconv")
        );
        assert!(lines(gzip(&bgzf(b"1\t5\n")), 9).unwrap_err().to_string().contains("compressed twice"));
    }

    #[test]
    fn a_cut_stream_is_an_error_wherever_it_is_cut() {
        let mut text = Vec::new();
        for line in 0..30_000_u32 {
            writeln!(text, "{}", line.wrapping_mul(2_654_435_761)).unwrap();
        }
        for whole in [gzip(&text), bgzf(&text)] {
            assert_eq!(lines(whole.clone(), 1).unwrap().len(), 30_000);
            for cut in [1, 5, 8, 20, 27, 28, 29, 30, 40, 46, 100, 1000, whole.len() / 2] {
                let error = lines(whole[..whole.len() - cut].to_vec(), 1).expect_err("cut");
                assert!(matches!(error, InputError::Truncated { .. }), "cut by {cut}: {error:?}");
            }
        }
    }

    #[test]
    fn damaged_blocks_are_an_error() {
        let mut damaged = bgzf(&b"ACGT\n".repeat(1000));
        damaged[30] ^= 0xff;
        assert!(matches!(lines(damaged, 1), Err(InputError::Read { .. })));
    }

    #[test]
    fn damage_within_a_chunk_of_lines_names_its_line() {
        let mut cut = bgzf(&b"ACGT\n".repeat(100_000));
        cut.truncate(cut.len() / 2);
        let mut input = Input::decompress(Path::new("x.vcf.gz"), Box::new(Cursor::new(cut))).unwrap();
        let error = input.read_lines(&mut Vec::new(), 8 << 20).unwrap_err();
        assert!(matches!(error, InputError::Truncated { number: 10_000.., .. }), "{error}");
    }

    #[test]
    fn a_line_without_end_does_not_fill_the_memory() {
        let endless = Box::new(io::repeat(b'x'));
        let mut input = Input::decompress(Path::new("x.vcf"), endless).unwrap();
        let error = input.read_line(&mut Vec::new(), 5).unwrap_err();
        assert_eq!(error.to_string(), "x.vcf, line 1 is longer than 64 MiB; is the file what it should be?");
        let endless = Box::new(io::Cursor::new(b"#x\n".to_vec()).chain(io::repeat(b'x')));
        let mut input = Input::decompress(Path::new("x.vcf"), endless).unwrap();
        let error = input.read_lines(&mut Vec::new(), 1000).unwrap_err();
        assert!(error.to_string().starts_with("x.vcf, line 2 is longer"), "{error}");
        // Samples may be as long as they like.
        let start = Cursor::new(b"1\t2\t3\t".to_vec());
        let long = start.chain(io::repeat(b'x').take(100 << 20)).chain(Cursor::new(b"\nnext\n".to_vec()));
        let mut input = Input::decompress(Path::new("x.vcf"), Box::new(long)).unwrap();
        let mut line = Vec::new();
        assert!(input.read_line(&mut line, 3).unwrap());
        assert_eq!(line, b"1\t2\t3");
        assert!(input.read_line(&mut line, 3).unwrap());
        assert_eq!(line, b"next");
    }

    #[test]
    fn the_beginning_can_be_looked_at_without_consuming_it() {
        let mut input =
            Input::decompress(Path::new("x"), Box::new(Cursor::new(bgzf(b"BCF\x02\x02rest")))).unwrap();
        assert!(input.begins_with(b"BCF\x02").unwrap());
        assert!(!input.begins_with(b"VCF").unwrap());
        let mut bytes = [0; 9];
        assert!(input.read_exact(&mut bytes).unwrap());
        assert_eq!(&bytes, b"BCF\x02\x02rest");
        assert!(!input.read_exact(&mut bytes).unwrap());
    }
}
