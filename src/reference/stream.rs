//! A FASTA read once from its start, for those who need every base in its own case and no position: no index
//! is made, lines may be of any length, and plain gzip will do.

use std::path::{Path, PathBuf};

use super::scan::MAX_HEADER;
use super::{ReferenceError, is_contig_name, printable, upper_iupac};
use crate::variants::Input;

/// A piece of a FASTA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FastaPiece<'a> {
    /// A contig of this name begins.
    Contig(&'a str),
    /// Its next bases: IUPAC letters in their own case, upper or lower.
    Bases(&'a [u8]),
}

/// Hands the contigs of a FASTA (plain, BGZF or gzip; `-` is standard input) to `visit`, piece by piece, in
/// bounded memory.
///
/// # Errors
/// The file cannot be read, is truncated, is not a FASTA, holds letters that are no bases; or `visit` fails.
pub fn read_fasta<E: From<ReferenceError>>(
    path: &Path,
    mut visit: impl FnMut(FastaPiece<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut input = Input::open(path).map_err(ReferenceError::from)?;
    let mut place = Place { path: path.to_owned(), line: 1, contig: None, bases: 0 };
    let (mut chunk, mut header, mut at_line_start) = (Vec::new(), None::<Vec<u8>>, true);
    while input.read_some(&mut chunk).map_err(ReferenceError::from)? {
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            let ended = piece.ends_with(b"\n");
            let content = piece.strip_suffix(b"\n").unwrap_or(piece);
            if at_line_start && content.first() == Some(&b'>') {
                header = Some(Vec::new());
            }
            if let Some(text) = &mut header {
                text.extend_from_slice(content);
                if text.len() > MAX_HEADER {
                    return Err(ReferenceError::LongHeader { path: place.path, line: place.line }.into());
                }
                if ended {
                    visit(FastaPiece::Contig(place.open(&header.take().unwrap_or_default())?))?;
                }
            } else {
                // A line's end may be two bytes, of which a chunk holds the first alone.
                let bases = content.strip_suffix(b"\r").unwrap_or(content);
                place.check(bases)?;
                if !bases.is_empty() {
                    visit(FastaPiece::Bases(bases))?;
                }
            }
            at_line_start = ended;
            place.line += u64::from(ended);
        }
    }
    if let Some(text) = header {
        place.open(&text)?;
    }
    Ok(place.close()?)
}

/// Where the reader is, for messages.
struct Place {
    path: PathBuf,
    /// 1-based.
    line: u64,
    contig: Option<String>,
    /// Bases of the contig so far.
    bases: u64,
}

impl Place {
    /// Takes up the contig that `header` names.
    fn open(&mut self, header: &[u8]) -> Result<&str, ReferenceError> {
        if self.contig.is_some() {
            self.close()?;
        }
        let word = header[1..].split(u8::is_ascii_whitespace).next().unwrap_or_default();
        let name = std::str::from_utf8(word).ok().filter(|name| is_contig_name(name)).ok_or_else(|| {
            let header = printable(header.trim_ascii_end());
            ReferenceError::BadName { path: self.path.clone(), line: self.line, header }
        })?;
        self.bases = 0;
        Ok(self.contig.insert(name.to_owned()))
    }

    fn check(&mut self, bases: &[u8]) -> Result<(), ReferenceError> {
        if self.contig.is_none() && !bases.is_empty() {
            return Err(ReferenceError::NotFasta { path: self.path.clone(), found: printable(bases) });
        }
        if let Some(other) = bases.iter().find(|base| upper_iupac(**base) == 0) {
            let (path, found) = (self.path.clone(), printable(&[*other]));
            return Err(ReferenceError::InvalidBase { path, line: self.line, found });
        }
        self.bases += bases.len() as u64;
        Ok(())
    }

    /// Whether the contig that ends had any bases; a file must have a contig.
    fn close(&mut self) -> Result<(), ReferenceError> {
        let path = self.path.clone();
        match self.contig.take() {
            None => Err(ReferenceError::NotFasta { path, found: String::new() }),
            Some(contig) if self.bases == 0 => Err(ReferenceError::EmptyContig { path, contig }),
            Some(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{bgzf, gzip};

    fn read(bytes: &[u8]) -> Result<String, ReferenceError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.fa");
        std::fs::write(&path, bytes).unwrap();
        let mut found = String::new();
        read_fasta(&path, |piece| {
            match piece {
                FastaPiece::Contig(name) => found.extend(["|", name, ":"]),
                FastaPiece::Bases(bases) => found.push_str(std::str::from_utf8(bases).unwrap()),
            }
            Ok::<_, ReferenceError>(())
        })?;
        Ok(found)
    }

    #[test]
    fn every_base_comes_in_its_own_case_however_it_is_kept() {
        let text = b">a one\r\nACgt\r\nN\r\n\r\nAAAAAA\n>b\nryc";
        let marked = [crate::variants::BYTE_ORDER_MARK, text].concat();
        for bytes in [text.to_vec(), gzip(text), bgzf(text), marked.clone(), bgzf(&marked)] {
            assert_eq!(read(&bytes).unwrap(), "|a:ACgtNAAAAAA|b:ryc");
        }
        let long = [&b">a\n"[..], &b"acgT".repeat(100_000)].concat();
        assert_eq!(read(&gzip(&long)).unwrap().len(), 400_003);
    }

    #[test]
    fn what_is_no_fasta_is_refused_with_its_line() {
        for (text, part) in [
            ("", "not a FASTA file"),
            ("ACGT\n", "not a FASTA file"),
            (">a\nAC\n>b\n>c\nA\n", "`b` is empty"),
            (">a\nAC\n>b", "`b` is empty"),
            (">a\nAC\nA-\n", "line 3: `-` is not a base"),
            (">a\nA\rC\n", "line 2: `\\r` is not a base"),
            ("> a\nAC\n", "line 1: header `> a` names no contig"),
            (">a\u{1b}[31m\nAC\n", "line 1: header `>a\\u{1b}[31m` names no contig"),
        ] {
            let error =
                read(text.as_bytes()).err().unwrap_or_else(|| panic!("{text:?} was taken")).to_string();
            assert!(error.contains(part) && error.contains("x.fa"), "{text:?}: {error}");
        }
        let cut = gzip(&b">a\nACGT\n".repeat(1000));
        assert!(read(&cut[..cut.len() - 9]).is_err_and(|error| error.to_string().contains("truncated")));
    }
}
