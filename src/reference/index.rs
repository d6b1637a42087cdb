//! Where each contig's bases lie in the FASTA: the `.fai` index.

use std::collections::HashSet;

use super::is_contig_name;
use super::scan::MAX_HEADER;
use crate::narrow::to_usize;
use crate::variants::BYTE_ORDER_MARK;

/// One contig's line of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The first word of the header.
    pub(super) name: String,
    /// Length in bases.
    pub(super) length: u32,
    /// Byte of the first base.
    pub(super) offset: u64,
    /// Bases on each line but the last.
    pub(super) line_bases: u64,
    /// Bytes of each line but the last, its terminator included.
    pub(super) line_width: u64,
}

impl Entry {
    /// The byte of the base that comes after `before` others.
    pub(super) fn byte_of(&self, before: u32) -> u64 {
        let before = u64::from(before);
        self.offset + before / self.line_bases * self.line_width + before % self.line_bases
    }

    /// One past the byte of the last base.
    pub(super) fn end(&self) -> u64 {
        self.byte_of(self.length - 1) + 1
    }

    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split('\t');
        let name = fields.next().filter(|name| is_contig_name(name))?.to_owned();
        let mut number = || fields.next()?.parse::<u64>().ok();
        let (length, offset, line_bases, line_width) = (number()?, number()?, number()?, number()?);
        let length = u32::try_from(length).ok().filter(|length| *length > 0)?;
        // A file that ends without a line end may be indexed as having lines without one.
        let least = u64::from(u64::from(length) > line_bases);
        let lines_fit = (least..=2).contains(&line_width.checked_sub(line_bases)?) && line_bases > 0;
        // Bounded, so that no product of these numbers overflows later.
        (lines_fit && offset < 1 << 48 && line_width < 1 << 48).then_some(Self {
            name,
            length,
            offset,
            line_bases,
            line_width,
        })
    }
}

/// The contigs of a `.fai` file; `None` when it is none, or holds a name twice or an empty contig.
pub(super) fn parse(text: &str) -> Option<Vec<Entry>> {
    let entries: Vec<Entry> = text.lines().map(Entry::parse).collect::<Option<_>>()?;
    let names: HashSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    (!entries.is_empty() && names.len() == entries.len()).then_some(entries)
}

/// The text of a `.fai` file.
pub(super) fn to_text(entries: &[Entry]) -> String {
    let line = |entry: &Entry| {
        format!(
            "{}\t{}\t{}\t{}\t{}\n",
            entry.name, entry.length, entry.offset, entry.line_bases, entry.line_width
        )
    };
    entries.iter().map(line).collect()
}

/// Whether the index fits the FASTA of `size` bytes that `read` reads (offset, number of bytes):
/// between two contigs there is exactly the header of the second, and after the last nothing.
pub(super) fn fits<E>(
    entries: &[Entry],
    size: u64,
    mut read: impl FnMut(u64, usize) -> Result<Vec<u8>, E>,
) -> Result<bool, E> {
    let mut end = 0;
    for entry in entries {
        let Some(gap) = entry.offset.checked_sub(end).filter(|gap| *gap <= MAX_HEADER as u64) else {
            return Ok(false);
        };
        if entry.offset > size
            || entry.end() > size
            || !is_header(&read(end, to_usize(gap))?, &entry.name, end == 0)
        {
            return Ok(false);
        }
        end = entry.end();
    }
    let rest = size - end;
    Ok(rest <= MAX_HEADER as u64 && read(end, to_usize(rest))?.iter().all(u8::is_ascii_whitespace))
}

/// Whether `gap` is the end of a line, blank lines, and the header of `name`.
fn is_header(gap: &[u8], name: &str, first: bool) -> bool {
    let gap = if first { gap.strip_prefix(BYTE_ORDER_MARK).unwrap_or(gap) } else { gap };
    let Some(start) = gap.iter().position(|byte| !matches!(byte, b'\n' | b'\r')) else { return false };
    let Some(header) = gap[start..].strip_prefix(b">").and_then(|rest| rest.strip_suffix(b"\n")) else {
        return false;
    };
    let word = header.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    (first || start > 0) && word == name.as_bytes() && !header.contains(&b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    const FASTA: &[u8] = b">a one\nACGT\nAC\n\n>b\nGG\n";

    fn fits_fasta(index: &str, fasta: &[u8]) -> bool {
        let read = |at: u64, bytes: usize| Ok::<_, ()>(fasta[at as usize..at as usize + bytes].to_vec());
        parse(index).is_some_and(|entries| fits(&entries, fasta.len() as u64, read).unwrap())
    }

    #[test]
    fn an_index_round_trips_and_finds_bases() {
        let text = "a\t6\t7\t4\t5\nb\t2\t19\t2\t3\n";
        let entries = parse(text).unwrap();
        assert_eq!(to_text(&entries), text);
        assert_eq!(FASTA[entries[0].byte_of(3) as usize..][..3], *b"T\nA");
        assert_eq!(FASTA[entries[0].byte_of(4) as usize], b'A');
        assert!(fits_fasta(text, FASTA));
    }

    #[test]
    fn what_does_not_fit_is_told() {
        for stale in [
            "",
            "a\t6\t7\t4\t5\n",
            "a\t5\t7\t4\t5\nb\t2\t19\t2\t3\n",
            "a\t6\t7\t4\t5\nc\t2\t19\t2\t3\n",
            "a\t6\t7\t4\t5\nb\t3\t19\t2\t3\n",
            "a\t6\t7\t4\t5\nb\t1\t19\t2\t3\n",
            "b\t2\t19\t2\t3\na\t6\t7\t4\t5\n",
            "a\t6\t7\t4\t5\na\t2\t19\t2\t3\n",
            "a\t0\t7\t4\t5\nb\t2\t19\t2\t3\n",
            "a\t6\t7\t0\t1\nb\t2\t19\t2\t3\n",
            "a\t6\t99999999999999999\t4\t5\n",
            "a\u{1b}\t6\t7\t4\t5\nb\t2\t19\t2\t3\n",
        ] {
            assert!(!fits_fasta(stale, FASTA), "{stale}");
        }
    }
}
