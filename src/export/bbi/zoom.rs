//! Zoom levels of bigWig and bigBed: summaries of stretches of equal length.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;

use super::compress;
use super::tree::Leaf;
use crate::narrow::{to_score, to_u32};

/// Records of one block.
pub(super) const BLOCK_RECORDS: usize = 512;
/// Bytes of a record.
const RECORD: usize = 32;

/// Number, range, sum and sum of squares of values.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Summary {
    count: u64,
    least: f64,
    greatest: f64,
    sum: f64,
    squares: f64,
}

impl Summary {
    /// Adds `bases` of one value.
    pub(super) fn add(&mut self, value: f32, bases: u32) {
        let (value, bases) = (f64::from(value), u64::from(bases));
        if self.count == 0 {
            (self.least, self.greatest) = (value, value);
        }
        self.count += bases;
        self.least = self.least.min(value);
        self.greatest = self.greatest.max(value);
        self.sum += value * bases as f64;
        self.squares += value * value * bases as f64;
    }

    /// As the summary of the whole file stands in it.
    pub(super) fn total(&self) -> Vec<u8> {
        let mut bytes = self.count.to_le_bytes().to_vec();
        for number in [self.least, self.greatest, self.sum, self.squares] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes
    }
}

/// One zoom level, kept in a temporary file until all values are written.
pub(super) struct Level {
    pub(super) reduction: u32,
    spool: BufWriter<File>,
    length: u64,
    leaves: Vec<Leaf>,
    block: Vec<u8>,
    first: (u32, u32),
    /// Contig, start and end of the stretch in hand.
    open: Option<(u32, u32, u32, Summary)>,
    last: (u32, u32),
}

impl Level {
    pub(super) fn new(reduction: u32) -> io::Result<Self> {
        Ok(Self {
            reduction,
            spool: BufWriter::new(tempfile::tempfile()?),
            length: 0,
            leaves: Vec::new(),
            block: Vec::new(),
            first: (0, 0),
            open: None,
            last: (0, 0),
        })
    }

    /// Adds a value of the bases `start..end` of a contig, which come after those added before.
    pub(super) fn add(&mut self, contig: u32, bases: Range<u32>, value: f32, length: u32) -> io::Result<()> {
        let mut from = bases.start;
        while from < bases.end {
            let start = from / self.reduction * self.reduction;
            let stop = start.saturating_add(self.reduction);
            let to = bases.end.min(stop);
            match &mut self.open {
                Some((of, at, _, summary)) if (*of, *at) == (contig, start) => summary.add(value, to - from),
                _ => {
                    self.close()?;
                    let mut summary = Summary::default();
                    summary.add(value, to - from);
                    self.open = Some((contig, start, stop.min(length), summary));
                }
            }
            from = to;
        }
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        let Some((contig, start, end, summary)) = self.open.take() else { return Ok(()) };
        let crosses = !self.block.is_empty() && self.first.0 != contig;
        if crosses || self.block.len() == BLOCK_RECORDS * RECORD {
            self.flush()?;
        }
        if self.block.is_empty() {
            self.first = (contig, start);
        }
        self.last = (contig, end);
        for word in [contig, start, end, to_u32(summary.count)] {
            self.block.extend_from_slice(&word.to_le_bytes());
        }
        for number in [summary.least, summary.greatest, summary.sum, summary.squares] {
            self.block.extend_from_slice(&to_score(number).to_le_bytes());
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let stored = compress(&self.block)?;
        self.spool.write_all(&stored)?;
        let (offset, size) = (self.length, stored.len() as u64);
        self.leaves.push(Leaf { first: self.first, last: self.last, offset, size });
        self.length += size;
        self.block.clear();
        Ok(())
    }

    /// Copies the level to `out`, at `offset` of the file: a count and the blocks. Gives their places, the
    /// number of bytes written, and the most bytes of a block before compression.
    pub(super) fn finish(mut self, offset: u64, out: &mut impl Write) -> io::Result<(Vec<Leaf>, u64, usize)> {
        self.close()?;
        if !self.block.is_empty() {
            self.flush()?;
        }
        let mut spool = self.spool.into_inner().map_err(io::IntoInnerError::into_error)?;
        spool.seek(SeekFrom::Start(0))?;
        out.write_all(&to_u32(self.leaves.len()).to_le_bytes())?;
        io::copy(&mut spool.take(self.length), out)?;
        for leaf in &mut self.leaves {
            leaf.offset += offset + 4;
        }
        Ok((self.leaves, self.length + 4, BLOCK_RECORDS * RECORD))
    }
}
