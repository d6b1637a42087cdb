//! The variants that a file names: records of a VCF or BCF, or rows of a table.

use std::path::Path;

use arrow::array::StringArray;

use super::keys::KeyColumns;
use super::records::Records;
use super::source::Source;
use super::start::layouts;
use super::table::ParquetBlocks;
use super::text::TextBlocks;
use super::{Block, Blocks, ImportError, Rules};
use crate::variants::{Input, InputError, Record, VariantRecords, VariantSource};

/// First bytes of a text that decide whether it is a table.
const HEAD: usize = 64 << 10;

/// Opens a file of variants, which its content tells apart: a VCF or BCF (`-` for standard input), or a table (TSV, CSV,
/// Parquet) with columns for contig, position (1-based), reference and alternate under one of their usual names. Its
/// other columns are not read.
///
/// # Errors
/// The file cannot be read, or its columns name only a part of a variant.
pub fn open_variants(path: &Path) -> Result<VariantSource, ImportError> {
    let keys = KeyColumns::default();
    if path.metadata().is_ok_and(|found| found.is_file()) {
        let source = Source::open(path, &std::env::temp_dir())?;
        if source.is_parquet()? {
            let blocks = ParquetBlocks::open(&source, &keys, Some(&[])).map_err(without_flag)?;
            return Ok(source_of(path, Blocks::Parquet(Box::new(blocks))));
        }
    }
    let mut input = Input::open(path)?;
    if !is_table(path, &input.peek(HEAD)?)? {
        return Ok(VariantSource::new(input)?);
    }
    let blocks = TextBlocks::new(path, Records::of(input)?, &keys, Some(&[]), Rules::default())
        .map_err(without_flag)?;
    Ok(source_of(path, Blocks::Text(Box::new(blocks))))
}

/// Whether a text is a table, by its first line that is neither a comment nor cut off.
fn is_table(path: &Path, head: &[u8]) -> Result<bool, ImportError> {
    let whole = if head.len() < HEAD { head.len() } else { memchr::memrchr(b'\n', head).unwrap_or(0) };
    let keys = KeyColumns::default();
    for line in head[..whole].split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() || line.starts_with(b"##") {
            continue;
        }
        if line.starts_with(b"#CHROM\tPOS\tID\tREF\tALT") {
            return Ok(false);
        }
        let mut partly = None;
        for layout in layouts(line) {
            match keys.places(path, &layout.names) {
                Ok(_) => return Ok(true),
                Err(error) if KeyColumns::usual_in(&layout.names) > 1 => partly = Some(error),
                Err(_) => {}
            }
        }
        match partly {
            Some(error) => return Err(without_flag(error)),
            None if line.starts_with(b"#") => {}
            None => return Ok(false),
        }
    }
    Ok(false)
}

/// The command lines that read variants have no `--columns`.
fn without_flag(error: ImportError) -> ImportError {
    match error {
        ImportError::Key { path, key, usual, candidates, known } => {
            ImportError::VariantColumn { path, key, usual, candidates, known }
        }
        error => error,
    }
}

fn source_of(path: &Path, blocks: Blocks) -> VariantSource {
    VariantSource::of(path, Box::new(TableVariants { blocks, block: None }))
}

/// Rows of a table as records of one alternate allele each.
struct TableVariants {
    blocks: Blocks,
    /// The block in hand.
    block: Option<Place>,
}

struct Place {
    block: Block,
    row: usize,
    /// Place of the row's contig among the block's, and the rows left of it.
    contig: usize,
    left: usize,
}

impl VariantRecords for TableVariants {
    fn read(&mut self, record: &mut Record) -> Result<bool, InputError> {
        loop {
            if let Some(place) = &mut self.block
                && place.take(record)
            {
                return Ok(true);
            }
            let next = self.blocks.next().map_err(|error| match error {
                ImportError::Input(error) => error,
                error => InputError::Table(Box::new(error)),
            })?;
            let Some(block) = next else { return Ok(false) };
            let left = block.contigs.first().map_or(0, |(_, rows)| *rows);
            self.block = Some(Place { block, row: 0, contig: 0, left });
        }
    }
}

impl Place {
    /// Takes the next row; `false` at the end of the block.
    fn take(&mut self, record: &mut Record) -> bool {
        if self.row == self.block.lines.len() {
            return false;
        }
        while self.left == 0 {
            self.contig += 1;
            self.left = self.block.contigs[self.contig].1;
        }
        let set = |text: &mut String, from: &str| {
            text.clear();
            text.push_str(from);
        };
        let of = |column: &'_ StringArray| column.value(self.row).to_owned();
        record.number = self.block.lines[self.row];
        set(&mut record.contig, &self.block.contigs[self.contig].0);
        record.one_based = self.block.one_based[self.row];
        record.reference = of(&self.block.references);
        record.alternates = of(&self.block.alternates);
        self.row += 1;
        self.left -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use parquet::arrow::ArrowWriter;

    use super::*;
    use crate::fixture::bgzf;

    fn read(path: &Path) -> Result<Vec<(u64, String)>, ImportError> {
        let mut source = open_variants(path)?;
        let (mut record, mut found) = (Record::default(), Vec::new());
        while source.read(&mut record)? {
            let Record { number, contig, one_based, reference, alternates } = &record;
            found.push((*number, format!("{contig}-{one_based}-{reference}-{alternates}")));
        }
        Ok(found)
    }

    fn read_bytes(bytes: &[u8]) -> Result<Vec<(u64, String)>, ImportError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("variants");
        std::fs::write(&path, bytes).unwrap();
        read(&path)
    }

    fn rows(rows: &[(u64, &str)]) -> Vec<(u64, String)> {
        rows.iter().map(|(line, text)| (*line, (*text).to_owned())).collect()
    }

    #[test]
    fn tables_and_vcf_name_the_same_variants() {
        let expected = rows(&[(2, "1-5-A-C"), (3, "1-6-A-T"), (4, "2-6-A-G")]);
        let csv = b"id,CHROM,POS,REF,ALT\nx,1,5,A,C\n\"a,b\",1,6,A,T\n,2,6,A,G\n";
        assert_eq!(read_bytes(csv).unwrap(), expected);
        let tsv = b"alternate\treference\tposition\tcontig\nC\tA\t5\t1\r\nT\tA\t6\t1\nG\tA\t6\t2\n";
        assert_eq!(read_bytes(tsv).unwrap(), expected);
        assert_eq!(read_bytes(&bgzf(tsv)).unwrap(), expected);
        let hashed = b"##of us\n#chrom\tpos\tref\talt\n1\t5\tA\tC,T\n";
        assert_eq!(read_bytes(hashed).unwrap(), rows(&[(3, "1-5-A-C"), (3, "1-5-A-T")]));
        let remarked = b"# of us\n#x\nchrom,pos,ref,alt\n1,5,A,C\n";
        assert_eq!(read_bytes(remarked).unwrap(), rows(&[(4, "1-5-A-C")]));
        for cut in [0, 3, 8, 11, 14, 17, 20, 40] {
            let mut vcf = b"##fileformat=VCFv4.2\n##x=".to_vec();
            vcf.resize(HEAD - cut - 1, b'y');
            vcf.extend_from_slice(
                b"\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n1\t5\t.\tA\tC\t.\t.\t.\n",
            );
            assert_eq!(read_bytes(&vcf).unwrap(), rows(&[(4, "1-5-A-C")]), "{cut}");
        }
        let vcf = b"#CHROM\tPOS\tID\tREF\tALT\n1\t5\t.\tA\tC\n1\t6\t.\tA\tT\n2\t6\t.\tA\tG\n";
        assert_eq!(read_bytes(vcf).unwrap(), expected);
        assert_eq!(read_bytes(b"1\t5\t.\tA\tC\n").unwrap(), rows(&[(1, "1-5-A-C")]));

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.parquet");
        let text = |values: [&str; 3]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
        let batch = RecordBatch::try_from_iter([
            ("alt", text(["C", "T", "G"])),
            ("chrom", text(["1", "1", "2"])),
            ("other", text(["", "", ""])),
            ("pos", Arc::new(Int64Array::from(vec![5, 6, 6])) as ArrayRef),
            ("ref", text(["A", "A", "A"])),
        ])
        .unwrap();
        let mut writer =
            ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        assert_eq!(read(&path).unwrap(), rows(&[(1, "1-5-A-C"), (2, "1-6-A-T"), (3, "2-6-A-G")]));
    }

    #[test]
    fn a_table_that_names_no_variants_is_refused_with_the_column_that_is_missing() {
        for (text, part) in [
            (
                "chrom,pos,ref,new\n1,5,A,C\n",
                "no column could be the alternate: expected one of `alternate`, `alt`",
            ),
            ("chrom\tpos\tbp\tref\talt\n1\t5\t5\tA\tC\n", "more than one column could be the position"),
            ("chrom,pos,ref,alt\n1,x,A,C\n", "line 2: position `x` is not a position"),
            ("chrom,pos,ref,alt\n1,5,A\n", "line 2: 3 columns; the header has 4"),
            ("a,b,c,d\n1,5,A,C\n", "is not a VCF line"),
        ] {
            let error = read_bytes(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("--columns"), "{error}");
        }
    }
}
