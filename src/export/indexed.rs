//! Lines as BGZF with a tabix index: TBI, or CSI where a contig is longer than TBI can tell.

use std::io::{self, Write};

use noodles::bgzf;
use noodles::csi::binning_index::index::Header;
use noodles::csi::binning_index::index::header::ReferenceSequenceNames;
use noodles::csi::binning_index::index::reference_sequence::bin::Chunk;
use noodles::csi::binning_index::index::reference_sequence::index::BinnedIndex;
use noodles::csi::binning_index::{Indexer, index::header::Builder};
use noodles::{csi, tabix};
use vestore_schema::{Assembly, Position};

use super::vcf::LineSink;

/// Longest contig of a TBI index, in bases.
const TBI_LONGEST: u32 = 1 << 29;
/// Smallest bin of a CSI index (2^14 bases, as in TBI), and its levels: 2^32 bases fit.
const CSI_SHAPE: (u8, u8) = (14, 6);

/// What the name of an index ends in, behind that of its file: `.tbi`, or `.csi` where contigs are too long for it.
#[must_use]
pub fn index_ending(assembly: &Assembly) -> &'static str {
    if fits_tbi(assembly) { ".tbi" } else { ".csi" }
}

fn fits_tbi(assembly: &Assembly) -> bool {
    assembly.contigs.iter().all(|contig| contig.length < TBI_LONGEST)
}

/// What the lines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lines {
    /// Contig and 1-based position in the first two columns.
    Tsv,
    /// VCF records.
    Vcf,
}

enum Index {
    Tbi(Box<tabix::index::Indexer>),
    Csi { indexer: Box<Indexer<BinnedIndex>>, names: ReferenceSequenceNames, header: Header },
}

/// Writes lines as BGZF and indexes them.
pub(super) struct Indexed<W: Write> {
    writer: bgzf::io::Writer<W>,
    index: Index,
}

impl<W: Write> Indexed<W> {
    pub(super) fn new(out: W, lines: Lines, assembly: &Assembly) -> Self {
        let header = match lines {
            Lines::Vcf => Builder::vcf(),
            Lines::Tsv => Builder::gff().set_start_position_index(1).set_end_position_index(None),
        };
        let index = if fits_tbi(assembly) {
            let mut indexer = tabix::index::Indexer::default();
            indexer.set_header(header.build());
            Index::Tbi(Box::new(indexer))
        } else {
            let indexer = Indexer::new(CSI_SHAPE.0, CSI_SHAPE.1).unwrap_or_default();
            Index::Csi {
                indexer: Box::new(indexer),
                names: ReferenceSequenceNames::new(),
                header: header.build(),
            }
        };
        Self { writer: bgzf::io::Writer::new(out), index }
    }

    /// Ends the stream; gives it back with the index.
    pub(super) fn finish(self) -> io::Result<(W, Vec<u8>)> {
        let out = self.writer.finish()?;
        let mut bytes = Vec::new();
        match self.index {
            Index::Tbi(indexer) => {
                tabix::io::Writer::new(&mut bytes).write_index(&indexer.build())?;
            }
            Index::Csi { indexer, names, mut header } => {
                let count = names.len();
                *header.reference_sequence_names_mut() = names;
                csi::io::Writer::new(&mut bytes).write_index(&indexer.set_header(header).build(count))?;
            }
        }
        Ok((out, bytes))
    }
}

impl<W: Write> LineSink for Indexed<W> {
    fn header(&mut self, text: &[u8]) -> io::Result<()> {
        self.writer.write_all(text)
    }

    fn line(&mut self, line: &[u8], contig: &str, position: Position, length: u32) -> io::Result<()> {
        let from = self.writer.virtual_position();
        self.writer.write_all(line)?;
        let chunk = Chunk::new(from, self.writer.virtual_position());
        let place = |one_based: u64| {
            let one_based = usize::try_from(one_based).map_err(io::Error::other)?;
            noodles::core::Position::try_from(one_based).map_err(io::Error::other)
        };
        let start = position.one_based();
        let (start, end) = (place(start)?, place(start + u64::from(length.max(1)) - 1)?);
        match &mut self.index {
            Index::Tbi(indexer) => indexer.add_record(contig, start, end, chunk),
            Index::Csi { indexer, names, .. } => {
                let (number, _) = names.insert_full(contig.into());
                indexer
                    .add_record(Some((number, start, end, true)), chunk)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
            }
        }
    }
}
