//! One pass over a FASTA, in bounded memory whatever its lines are: checks it, and yields the
//! index and the digest of every contig.

use std::collections::HashSet;
use std::io::BufRead;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use sha2::{Digest, Sha512};
use vestore_schema::Contig;

use super::index::Entry;
use super::{ReferenceError, is_contig_name, printable, upper_iupac};
use crate::variants::BYTE_ORDER_MARK;

/// The longest header line that is taken for one.
pub(super) const MAX_HEADER: usize = 64 << 10;

/// The refget digest of a sequence that comes in pieces.
#[derive(Default)]
pub(super) struct SequenceDigest(Sha512);

impl SequenceDigest {
    /// Adds upper-case bases.
    pub(super) fn add(&mut self, bases: &[u8]) {
        self.0.update(bases);
    }

    /// `SQ.` and base64url of the first 24 bytes of the SHA-512.
    pub(super) fn finish(self) -> String {
        format!("SQ.{}", URL_SAFE.encode(&self.0.finalize()[..24]))
    }
}

/// What the pass found: for each contig, its place in the file and its digest.
pub(super) struct Scan {
    pub(super) entries: Vec<Entry>,
    pub(super) contigs: Vec<Contig>,
}

/// Reads the whole FASTA. `path` is only for messages.
pub(super) fn scan(path: &Path, mut reader: impl BufRead) -> Result<Scan, ReferenceError> {
    let mut pass = Pass::new(path);
    loop {
        let chunk = reader.fill_buf().map_err(|source| ReferenceError::read(path, source))?;
        if chunk.is_empty() {
            return pass.finish();
        }
        let bytes = chunk.len();
        for line in chunk.split_inclusive(|byte| *byte == b'\n') {
            pass.piece(line)?;
        }
        reader.consume(bytes);
    }
}

/// The contig being read.
struct Open {
    entry: Entry,
    length: u64,
    digest: SequenceDigest,
    /// A line differed from the first, so it must have been the last.
    uneven: bool,
}

struct Pass<'a> {
    path: &'a Path,
    /// Bytes before the piece in hand.
    offset: u64,
    /// 1-based number of the line in hand.
    line: u64,
    /// The header in hand, without its line end; `None` within sequence.
    header: Option<Vec<u8>>,
    at_line_start: bool,
    /// Bases and bytes so far on the sequence line in hand.
    bases: u64,
    width: u64,
    carriage_return: bool,
    open: Option<Open>,
    names: HashSet<String>,
    upper: Vec<u8>,
    found: Scan,
}

impl<'a> Pass<'a> {
    fn new(path: &'a Path) -> Self {
        Self {
            path,
            offset: 0,
            line: 1,
            header: None,
            at_line_start: true,
            bases: 0,
            width: 0,
            carriage_return: false,
            open: None,
            names: HashSet::new(),
            upper: Vec::new(),
            found: Scan { entries: Vec::new(), contigs: Vec::new() },
        }
    }

    /// A line, or a piece of one when a buffer ended within it.
    fn piece(&mut self, mut piece: &[u8]) -> Result<(), ReferenceError> {
        if self.offset == 0
            && let Some(rest) = piece.strip_prefix(BYTE_ORDER_MARK)
        {
            self.offset = BYTE_ORDER_MARK.len() as u64;
            piece = rest;
        }
        if self.at_line_start && piece.first() == Some(&b'>') {
            self.close()?;
            self.header = Some(Vec::new());
        }
        let (content, ended) = match piece.strip_suffix(b"\n") {
            Some(content) => (content, true),
            None => (piece, false),
        };
        self.offset += piece.len() as u64;
        if let Some(header) = &mut self.header {
            if header.len() + content.len() > MAX_HEADER {
                return Err(ReferenceError::LongHeader { path: self.path.into(), line: self.line });
            }
            header.extend_from_slice(content);
            if ended {
                self.open_contig()?;
            }
        } else {
            self.sequence(content)?;
            self.width += piece.len() as u64;
            if ended {
                self.end_line()?;
            }
        }
        self.at_line_start = ended;
        self.line += u64::from(ended);
        Ok(())
    }

    fn open_contig(&mut self) -> Result<(), ReferenceError> {
        let header = self.header.take().unwrap_or_default();
        let word = header[1..].split(u8::is_ascii_whitespace).next().unwrap_or_default();
        let name = std::str::from_utf8(word).ok().filter(|name| is_contig_name(name)).ok_or_else(|| {
            ReferenceError::BadName { path: self.path.into(), line: self.line, header: printable(&header) }
        })?;
        if !self.names.insert(name.to_owned()) {
            return Err(ReferenceError::DuplicateName {
                path: self.path.into(),
                line: self.line,
                contig: name.to_owned(),
            });
        }
        let entry =
            Entry { name: name.to_owned(), length: 0, offset: self.offset, line_bases: 0, line_width: 0 };
        self.open = Some(Open { entry, length: 0, digest: SequenceDigest::default(), uneven: false });
        Ok(())
    }

    fn sequence(&mut self, content: &[u8]) -> Result<(), ReferenceError> {
        let bases = content.strip_suffix(b"\r").unwrap_or(content);
        let bad = |found: u8, path: &Path, line| ReferenceError::InvalidBase {
            path: path.into(),
            line,
            found: printable(&[found]),
        };
        if self.carriage_return && !content.is_empty() {
            return Err(bad(b'\r', self.path, self.line));
        }
        self.carriage_return = bases.len() < content.len();
        let Some(&first) = bases.first() else { return Ok(()) };
        let Some(open) = &mut self.open else {
            return Err(ReferenceError::NotFasta { path: self.path.into(), found: printable(bases) });
        };
        if open.uneven {
            return Err(ReferenceError::UnevenLines {
                path: self.path.into(),
                line: self.line,
                contig: open.entry.name.clone(),
            });
        }
        self.upper.clear();
        self.upper.extend(bases.iter().map(|base| upper_iupac(*base)));
        if let Some(at) = self.upper.iter().position(|base| *base == 0) {
            return Err(bad(bases.get(at).copied().unwrap_or(first), self.path, self.line));
        }
        open.digest.add(&self.upper);
        open.length += bases.len() as u64;
        self.bases += bases.len() as u64;
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), ReferenceError> {
        let (bases, width) = (std::mem::take(&mut self.bases), std::mem::take(&mut self.width));
        self.carriage_return = false;
        let Some(open) = &mut self.open else { return Ok(()) };
        let entry = &mut open.entry;
        if entry.line_bases == 0 && bases > 0 {
            (entry.line_bases, entry.line_width) = (bases, width);
        } else if bases > entry.line_bases {
            return Err(ReferenceError::UnevenLines {
                path: self.path.into(),
                line: self.line,
                contig: entry.name.clone(),
            });
        }
        // A blank line before the first base would shift the contig's offset.
        open.uneven |= bases != entry.line_bases || width != entry.line_width || bases == 0;
        Ok(())
    }

    fn close(&mut self) -> Result<(), ReferenceError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let Open { mut entry, length, digest, .. } = open;
        if length == 0 {
            return Err(ReferenceError::EmptyContig { path: self.path.into(), contig: entry.name });
        }
        entry.length = u32::try_from(length).map_err(|_| ReferenceError::LongContig {
            path: self.path.into(),
            contig: entry.name.clone(),
            length,
        })?;
        self.found.contigs.push(Contig {
            name: entry.name.clone(),
            length: entry.length,
            digest: digest.finish(),
        });
        self.found.entries.push(entry);
        Ok(())
    }

    fn finish(mut self) -> Result<Scan, ReferenceError> {
        if self.header.is_some() {
            self.open_contig()?;
        }
        if self.width > 0 {
            // The last line lacks its end; the index counts it as if it had one.
            self.width = self.bases + 1;
            self.end_line()?;
        }
        self.close()?;
        if self.found.entries.is_empty() {
            return Err(ReferenceError::NotFasta { path: self.path.into(), found: String::new() });
        }
        Ok(self.found)
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::super::index::to_text;
    use super::*;

    fn scan_text(text: &str) -> Result<Scan, ReferenceError> {
        let whole = scan(Path::new("x.fa"), text.as_bytes());
        // However the buffer cuts the lines, the result is the same.
        let pieces = scan(Path::new("x.fa"), BufReader::with_capacity(3, text.as_bytes()));
        match (&whole, &pieces) {
            (Ok(whole), Ok(pieces)) => {
                assert_eq!(whole.entries, pieces.entries);
                assert_eq!(whole.contigs, pieces.contigs);
            }
            (Err(whole), Err(pieces)) => {
                assert_eq!(std::mem::discriminant(whole), std::mem::discriminant(pieces), "{text:?}");
            }
            _ => panic!("{text:?} differs by buffer"),
        }
        whole
    }

    fn index_of(text: &str) -> String {
        to_text(&scan_text(text).unwrap().entries)
    }

    #[test]
    fn digests_are_refget_digests_of_upper_case() {
        let scanned = scan_text(">a\nAC\ngt\n>b\nACGT").unwrap();
        for contig in &scanned.contigs {
            assert_eq!(contig.digest, "SQ.aKF498dAxcJAqme6QYQ7EZ07-fiw8Kw2");
            assert_eq!(contig.length, 4);
        }
    }

    #[test]
    fn the_index_is_the_one_that_faidx_writes() {
        assert_eq!(index_of(">a one\nACGT\nAC\n>b\nGG\n"), "a\t6\t7\t4\t5\nb\t2\t18\t2\t3\n");
        assert_eq!(index_of(">a\r\nACGT\r\nAC\r\n"), "a\t6\t4\t4\t6\n");
        assert_eq!(index_of(">a\nACGT"), "a\t4\t3\t4\t5\n");
        assert_eq!(index_of(">a\nAC\nGT\n\n\n>b\nNN\n\n"), "a\t4\t3\t2\t3\nb\t2\t14\t2\t3\n");
    }

    #[test]
    fn what_is_no_reference_is_refused_by_name() {
        for (text, part) in [
            ("", "not a FASTA file"),
            ("ACGT\n", "not a FASTA file"),
            (">a\nAC\n>b\n>c\nA\n", "`b` is empty"),
            (">a\nAC\n>b", "`b` is empty"),
            (">a\nAC\n>a\nAC\n", "line 3: contig `a` appears twice"),
            (">a\nAC\nA\nAC\n", "line 4: lines of contig `a`"),
            (">a\nAC\nACG\n", "line 3: lines of contig `a`"),
            (">a\n\nAC\n", "line 3: lines of contig `a`"),
            (">a\nAC\r\nAC\nAC\n", "line 4: lines of contig `a`"),
            (">a\nAC\nA-\n", "line 3: `-` is not a base"),
            (">a\nA C\n", "line 2: ` ` is not a base"),
            (">a\nA\rC\n", "line 2: `\\r` is not a base"),
            (">\nAC\n", "line 1: header `>` names no contig"),
            ("> a\nAC\n", "line 1: header `> a` names no contig"),
        ] {
            let error = scan_text(text).err().unwrap_or_else(|| panic!("{text:?} was taken")).to_string();
            assert!(error.contains(part) && error.contains("x.fa"), "{text:?}: {error}");
        }
    }
}
