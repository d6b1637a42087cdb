//! bigBed of SNV scores as a UCSC positional heatmap: a column for each position, a row for each alternate base.
//! The columns are those of <https://genome.ucsc.edu/goldenPath/help/heatmap.html>.

use std::io::{self, Seek, Write};

use arrow::array::RecordBatch;
use vestore_schema::{Assembly, Direction, Position};

use super::ExportError;
use super::bbi::{BbiWriter, Kind};
use super::cell::write_score;
use super::position::{BASES, Snv, snvs};
use super::spread::Spread;
use crate::store::StoreError;

const HEATMAP: Kind = Kind { magic: 0x8789_f2eb, fields: (19, 12), auto_sql: AUTO_SQL, items_per_block: 1 };

/// Names and types of the columns, which browsers go by.
const AUTO_SQL: &str = "table bedHeatmap
\"Scores of single-nucleotide variants: BED12 and the columns of a positional heatmap\"
    (
    string chrom; \"Contig\"
    uint chromStart; \"First position, 0-based\"
    uint chromEnd; \"End, exclusive\"
    string name; \"Name of the score\"
    uint score; \"Unused\"
    char[1] strand; \"Unused\"
    uint thickStart; \"As chromStart\"
    uint thickEnd; \"As chromEnd\"
    uint reserved; \"Unused\"
    int blockCount; \"Positions\"
    int[blockCount] blockSizes; \"One base each\"
    int[blockCount] chromStarts; \"Positions relative to chromStart\"
    int _rowCount; \"Alternate bases\"
    string[_rowCount] _labels; \"Names of the rows\"
    lstring _colorBounds; \"Scores that have a colour, ascending\"
    lstring _colorValues; \"Their colours\"
    lstring _scoreArray; \"Scores, row by row; empty where there is none\"
    lstring _labelArray; \"Mouseover texts, row by row\"
    lstring legend; \"Track, score and its meaning\"
    )
";

/// Positions of one item, and the widest gap within it in bases. A browser reads and packs whole items.
const ITEM_POSITIONS: usize = 4096;
const WIDEST_GAP: u32 = 1000;
/// Bytes of a block from which the next item begins another.
const BLOCK_BYTES: usize = 64 << 10;

/// Blue, light grey and vermillion of the palette of Okabe and Ito, which the colour-blind can tell apart.
const COOL: &str = "#0072b2";
const NEUTRAL: &str = "#f0f0f0";
const WARM: &str = "#d55e00";

/// How scores become colours: bounds, ascending, with a colour each.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scale(Vec<(f32, &'static str)>);

impl Scale {
    /// Vermillion is what suggests an effect. Scores of both signs are neutral at 0.
    pub(super) fn new(spread: &Spread, direction: Option<Direction>) -> Self {
        let Spread { low, high, .. } = *spread;
        // The bounds have to ascend.
        let high = if high > low { high } else { low + low.abs().max(1.0) };
        let descends = match direction {
            Some(Direction::Low) => true,
            Some(Direction::Magnitude) => low < 0.0 && high <= 0.0,
            Some(Direction::High) | None => false,
        };
        let (from, to) = if descends { (WARM, COOL) } else { (COOL, WARM) };
        if low < 0.0 && high > 0.0 {
            return Self(vec![(low, from), (0.0, NEUTRAL), (high, to)]);
        }
        let (from, to) = if descends { (WARM, NEUTRAL) } else { (NEUTRAL, WARM) };
        Self(vec![(low, from), (high, to)])
    }

    fn bounds(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for (at, (bound, _)) in self.0.iter().enumerate() {
            if at > 0 {
                text.push(b',');
            }
            write_score(*bound, &mut text);
        }
        text
    }

    fn colours(&self) -> String {
        self.0.iter().map(|(_, colour)| *colour).collect::<Vec<_>>().join(",")
    }
}

/// Names of what is written, without tabs.
pub(super) struct Labels<'a> {
    /// The score's, in front of each item.
    pub(super) name: &'a str,
    /// Above each item.
    pub(super) legend: &'a str,
}

/// Writes the SNVs of `rows`, whose score is the last column. `names` is `assembly` with the names that contigs have
/// in the file.
pub(super) fn write(
    (assembly, names): (&Assembly, &Assembly),
    scale: &Scale,
    labels: &Labels<'_>,
    rows: impl Iterator<Item = Result<RecordBatch, StoreError>>,
    out: &mut (impl Write + Seek),
) -> Result<(), ExportError> {
    let mut items = Items {
        writer: BbiWriter::new(HEATMAP, names, out)?,
        scale,
        labels,
        item: Item::default(),
        block: Vec::new(),
        covers: None,
        count: 0,
    };
    snvs(assembly, rows, |snv| Ok(items.add(snv)?))?;
    items.close()?;
    items.flush()?;
    Ok(items.writer.finish(items.count)?)
}

/// The item in hand.
#[derive(Default)]
struct Item {
    contig: u32,
    /// Each position with its reference base and the score of each alternate.
    columns: Vec<(Position, usize, [Option<f32>; BASES.len()])>,
}

struct Items<'a, W> {
    writer: BbiWriter<'a, W>,
    scale: &'a Scale,
    labels: &'a Labels<'a>,
    item: Item,
    /// The block in hand, and the contig and bases that it covers.
    block: Vec<u8>,
    covers: Option<(u32, u32, u32)>,
    count: u64,
}

impl<W: Write + Seek> Items<'_, W> {
    fn add(&mut self, snv: Snv) -> io::Result<()> {
        if let Some((position, reference, scores)) = self.item.columns.last_mut()
            && (self.item.contig, *position, *reference) == (snv.contig, snv.position, snv.reference)
        {
            scores[snv.alternate] = Some(snv.value);
            return Ok(());
        }
        if let Some((last, ..)) = self.item.columns.last() {
            let gap = snv.position.zero_based().saturating_sub(last.zero_based());
            let other = self.item.contig != snv.contig || gap == 0;
            if other || gap > WIDEST_GAP || self.item.columns.len() == ITEM_POSITIONS {
                self.close()?;
            }
        }
        let mut scores = [None; BASES.len()];
        scores[snv.alternate] = Some(snv.value);
        self.item.contig = snv.contig;
        self.item.columns.push((snv.position, snv.reference, scores));
        Ok(())
    }

    /// Puts the item in hand into the block.
    fn close(&mut self) -> io::Result<()> {
        let columns = std::mem::take(&mut self.item.columns);
        let (Some((first, ..)), Some((last, ..))) = (columns.first(), columns.last()) else { return Ok(()) };
        let (contig, start, end) = (self.item.contig, first.zero_based(), last.zero_based() + 1);
        if self.block.len() >= BLOCK_BYTES || self.covers.is_some_and(|(of, ..)| of != contig) {
            self.flush()?;
        }
        let from = self.covers.map_or(start, |(_, from, _)| from);
        self.covers = Some((contig, from, end));
        self.writer.summarize(contig, start..end, 1.0)?;
        self.count += 1;

        let block = &mut self.block;
        for word in [contig, start, end] {
            block.extend_from_slice(&word.to_le_bytes());
        }
        let name = self.labels.name;
        write!(block, "{name}\t0\t.\t{start}\t{end}\t0\t{}\t", columns.len())?;
        block.extend_from_slice("1,".repeat(columns.len()).as_bytes());
        block.push(b'\t');
        for (position, ..) in &columns {
            write!(block, "{},", position.zero_based() - start)?;
        }
        write!(block, "\t{}\t{}\t", BASES.len(), BASES.join(","))?;
        block.extend_from_slice(&self.scale.bounds());
        write!(block, "\t{}\t", self.scale.colours())?;
        // Each cell ends with a comma: whether one behind an empty last cell counts is not left to the reader.
        for alternate in 0..BASES.len() {
            for (_, _, scores) in &columns {
                if let Some(score) = scores[alternate] {
                    write_score(score, block);
                }
                block.push(b',');
            }
        }
        block.push(b'\t');
        for (alternate, base) in BASES.iter().enumerate() {
            for (_, reference, scores) in &columns {
                if let Some(score) = scores[alternate] {
                    write!(block, "{}>{base} ", BASES[*reference])?;
                    write_score(score, block);
                }
                block.push(b',');
            }
        }
        write!(block, "\t{}\0", self.labels.legend)?;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some((contig, start, end)) = self.covers.take() {
            self.writer.block(contig, start..end, &self.block)?;
            self.block.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(low: f32, high: f32, direction: Option<Direction>) -> (String, String) {
        let spread = Spread { least: low, greatest: high, low, high, first: None, others: 0 };
        let scale = Scale::new(&spread, direction);
        (String::from_utf8(scale.bounds()).unwrap(), scale.colours())
    }

    #[test]
    fn vermillion_is_the_end_that_suggests_an_effect() {
        let text = |parts: [&str; 2]| (parts[0].to_owned(), parts[1].to_owned());
        assert_eq!(scale(-3.0, 1.5, Some(Direction::Low)), text(["-3,0,1.5", "#d55e00,#f0f0f0,#0072b2"]));
        assert_eq!(scale(-3.0, 1.5, None), text(["-3,0,1.5", "#0072b2,#f0f0f0,#d55e00"]));
        assert_eq!(scale(0.0, 1.0, Some(Direction::High)), text(["0,1", "#f0f0f0,#d55e00"]));
        assert_eq!(scale(-2.0, -1.0, Some(Direction::Magnitude)), text(["-2,-1", "#d55e00,#f0f0f0"]));
        // Bounds ascend even where all scores are equal.
        assert_eq!(scale(0.5, 0.5, None).0, "0.5,1.5");
        assert_eq!(scale(-4e9, -4e9, None).0, "-4e9,0");
    }
}
