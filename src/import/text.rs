//! Rows of TSV, CSV and VCF.

use std::path::{Path, PathBuf};

use arrow::array::{Float32Builder, StringBuilder};
use memchr::{memchr, memchr_iter};

use super::cell::{one_based, score};
use super::info::{InfoColumn, InfoValues, field};
use super::keys::KeyColumns;
use super::preset::{Preset, SPLICEAI_FIELD, of_list, spliceai_place, spliceai_scores};
use super::records::{CHUNK, Cells, Record, Records, malformed};
use super::start::{Layout, Start, is_index};
use super::{Block, ImportError, Rules};
use crate::reference::printable;
use crate::variants::{HeaderContig, InfoNumber, VariantHeader, too_many_alleles};

/// Rows that decide which columns hold numbers, when nobody names them.
const SAMPLE: usize = 1000;
/// The key among the columns of a VCF.
pub(super) const VCF: [usize; 4] = [0, 1, 3, 4];
/// The column of a VCF's identifiers.
pub(super) const ID: usize = 2;
/// The last column of a VCF that is read.
pub(super) const INFO: usize = 7;

enum Kind {
    /// The places of the key and of the scores.
    Table { layout: Layout, keys: [usize; 4], scores: Vec<usize> },
    /// The INFO fields, and whether a record had each.
    Vcf { fields: Vec<InfoColumn>, seen: Vec<bool> },
    /// The places of the columns among the scores of SpliceAI's INFO field.
    SpliceAi { places: Vec<usize> },
}

pub(super) struct TextBlocks {
    path: PathBuf,
    records: Records,
    kind: Kind,
    pub(super) columns: Vec<(String, String)>,
    /// Of a VCF, those that its header declares.
    pub(super) contigs: Vec<HeaderContig>,
    cells: Cells,
    rules: Rules,
}

impl TextBlocks {
    /// Reads `columns`, or without them all columns of numbers.
    pub(super) fn new(
        path: &Path,
        mut records: Records,
        keys: &KeyColumns,
        columns: Option<&[(String, String)]>,
        rules: Rules,
    ) -> Result<Self, ImportError> {
        let same = |name: &String| (name.clone(), name.clone());
        let (given, columns) = (columns.is_some(), columns.unwrap_or_default());
        let (mut columns, mut contigs, mut nearest) = (columns.to_vec(), Vec::new(), String::new());
        let kind = match Start::read(&mut records, |names| keys.places(path, names).is_ok())? {
            Start::Nothing => return Err(ImportError::Empty { path: path.into() }),
            Start::Vcf(header) if rules.preset.is_some() => {
                let kind = spliceai(path, rules, &header, &columns)?;
                keys.check_vcf(path)?;
                contigs.clone_from(&header.contigs);
                kind
            }
            Start::Vcf(header) => {
                keys.check_vcf(path)?;
                contigs.clone_from(&header.contigs);
                if !given {
                    let one = |number| matches!(number, InfoNumber::PerAlternate | InfoNumber::Count(1));
                    let numbers = header.infos.iter().filter(|info| info.numeric && one(info.number));
                    columns = numbers.map(|info| same(&info.id)).collect();
                }
                let fields = columns.iter().map(|(_, id)| InfoColumn::new(path, id, &header));
                let fields: Vec<_> = fields.collect::<Result<_, _>>()?;
                // Declared ones may be missing from every record.
                let seen = fields.iter().map(|field| header.info(&field.id).is_some()).collect();
                Kind::Vcf { fields, seen }
            }
            Start::Table(layout) => {
                if let Some(preset) = rules.preset {
                    preset.check_table(path, &layout.names)?;
                }
                let keys = keys.places(path, &layout.names)?;
                if !given {
                    let sampled = sample(&records, &layout);
                    let could = |at: &usize| !keys.contains(at) && !is_index(&layout.names[*at]);
                    let could: Vec<usize> = (0..layout.names.len()).filter(could).collect();
                    let chosen = could.iter().filter(|at| sampled[**at].is_numbers());
                    columns = chosen.map(|at| same(&layout.names[*at])).collect();
                    if columns.is_empty() {
                        // The first of those with the most numbers.
                        let wrong = could.iter().filter(|at| sampled[**at].other.is_some()).rev();
                        if let Some(at) = wrong.max_by_key(|at| sampled[**at].numbers)
                            && let Some((line, value)) = &sampled[*at].other
                        {
                            nearest = format!(
                                ": the nearest is `{}`, and line {line} has `{value}`, which is not a number",
                                layout.names[*at]
                            );
                        }
                        // A quote that is not closed hides the rows behind it.
                        for _ in 0..SAMPLE {
                            records.next()?;
                        }
                    }
                }
                let scores =
                    columns.iter().map(|(_, from)| layout.place(path, from)).collect::<Result<_, _>>()?;
                Kind::Table { layout, keys, scores }
            }
        };
        if !given && columns.is_empty() {
            return Err(ImportError::NoScores { path: path.into(), nearest });
        }
        Ok(Self { path: path.into(), records, kind, columns, contigs, cells: Cells::default(), rules })
    }

    pub(super) fn next(&mut self) -> Result<Option<Block>, ImportError> {
        let mut rows = Rows::new(&self.path, &self.columns, self.rules);
        let mut taken = 0;
        while taken < CHUNK {
            let Some(record) = self.records.next()? else { break };
            taken += record.text.len() + 1;
            if record.text.is_empty() || record.text.starts_with(b"#") {
                continue;
            }
            match &mut self.kind {
                Kind::Table { layout, keys, scores } => {
                    layout.split(&self.path, record.line, record.text, &mut self.cells)?;
                    let cell = |at: usize| self.cells.get(record.text, at);
                    let alternates = check_alleles(&self.path, record.line, cell(keys[2]), cell(keys[3]))?;
                    taken += cell(keys[2]).len() * (alternates - 1);
                    rows.table_row(record.line, keys.map(cell), scores.iter().map(|at| cell(*at)))?;
                }
                Kind::Vcf { fields, seen } => {
                    let columns = vcf_columns(&self.path, record)?;
                    let alternates =
                        check_alleles(&self.path, record.line, columns[VCF[2]], columns[VCF[3]])?;
                    // The rows repeat the reference allele.
                    taken += columns[VCF[2]].len() * (alternates - 1);
                    let mut values = Vec::with_capacity(fields.len());
                    for (field, seen) in fields.iter().zip(seen) {
                        let found = field.values(&self.path, record.line, columns[INFO], alternates)?;
                        *seen |= !matches!(found, InfoValues::Missing);
                        values.push(found);
                    }
                    for (number, alternate) in columns[VCF[3]].split(|byte| *byte == b',').enumerate() {
                        if alternate != b"." {
                            let keys = [columns[VCF[0]], columns[VCF[1]], columns[VCF[2]], alternate];
                            rows.row(record.line, keys, values.iter().map(|values| values.of(number)))?;
                        }
                    }
                }
                Kind::SpliceAi { places } => {
                    let columns = vcf_columns(&self.path, record)?;
                    let (old, new) = (columns[VCF[2]], columns[VCF[3]]);
                    taken += old.len() * (check_alleles(&self.path, record.line, old, new)? - 1);
                    let value = field(columns[INFO], SPLICEAI_FIELD);
                    let by_alternate = spliceai_scores(value, new)
                        .map_err(|problem| rows.wrong(record.line, SPLICEAI_FIELD, value, problem))?;
                    for alternate in new.split(|byte| *byte == b',').filter(|alternate| *alternate != b".") {
                        let scores = by_alternate.get(alternate).copied().unwrap_or_default();
                        let keys = [columns[VCF[0]], columns[VCF[1]], old, alternate];
                        if rows.key(record.line, keys)? {
                            for (values, place) in rows.values.iter_mut().zip(places.iter()) {
                                values.append_option(scores[*place]);
                            }
                        }
                    }
                }
            }
        }
        if taken > 0 {
            return Ok(Some(rows.finish()));
        }
        if let Kind::Vcf { fields, seen } = &self.kind
            && let Some((field, _)) = fields.iter().zip(seen).find(|(_, seen)| !**seen)
        {
            return Err(ImportError::Cell {
                path: self.path.clone(),
                unit: "line",
                number: 1,
                column: "INFO field".to_owned(),
                value: field.id.clone(),
                problem: "is neither declared in the header nor in any record".to_owned(),
            });
        }
        Ok(None)
    }
}

/// What is read of a file of SpliceAI.
fn spliceai(
    path: &Path,
    rules: Rules,
    header: &VariantHeader,
    columns: &[(String, String)],
) -> Result<Kind, ImportError> {
    let known = rules.preset.filter(|preset| *preset != Preset::SpliceAi);
    if let Some(other) = known {
        return Err(other.other(path, "a VCF"));
    }
    if header.info(SPLICEAI_FIELD).is_none() {
        return Err(Preset::SpliceAi.other(path, "a VCF that does not declare it"));
    }
    let place = |(_, from): &(String, String)| {
        spliceai_place(from).ok_or_else(|| Preset::SpliceAi.other(path, &format!("no score `{from}`")))
    };
    Ok(Kind::SpliceAi { places: columns.iter().map(place).collect::<Result<_, _>>()? })
}

/// The number of alternates of a record; an error where their rows would fill memory.
pub(super) fn check_alleles(path: &Path, line: u64, old: &[u8], new: &[u8]) -> Result<usize, ImportError> {
    let count = 1 + memchr_iter(b',', new).count();
    match too_many_alleles(old.len(), new.len(), count) {
        None => Ok(count),
        Some(problem) => Err(malformed(path, line, "reference", old, problem).into()),
    }
}

/// The columns of a record up to INFO.
pub(super) fn vcf_columns<'a>(path: &Path, record: Record<'a>) -> Result<[&'a [u8]; INFO + 1], ImportError> {
    let mut columns = [b"".as_slice(); INFO + 1];
    let mut found = record.text.splitn(INFO + 2, |byte| *byte == b'\t');
    for column in &mut columns {
        *column = found.next().ok_or_else(|| {
            malformed(path, record.line, "text", record.text, "is not a VCF record; expected eight columns")
        })?;
    }
    Ok(columns)
}

/// What the first rows hold in one column.
#[derive(Clone, Default)]
struct Sampled {
    numbers: u64,
    /// The first cell that is neither a number nor missing, and its line.
    other: Option<(u64, String)>,
}

impl Sampled {
    /// Whether it holds numbers and missing values only, and at least one number.
    fn is_numbers(&self) -> bool {
        self.numbers > 0 && self.other.is_none()
    }
}

/// What each column holds in the first rows.
fn sample(records: &Records, layout: &Layout) -> Vec<Sampled> {
    let mut columns = vec![Sampled::default(); layout.names.len()];
    let mut cells = Cells::default();
    let rows = records.sample(SAMPLE);
    for record in rows.filter(|record| !record.text.is_empty() && !record.text.starts_with(b"#")) {
        if cells.split(record.text, layout.separator).is_err() {
            continue;
        }
        for (at, column) in columns.iter_mut().enumerate().take(cells.len()) {
            let cell = cells.get(record.text, at);
            match score(cell) {
                Some(number) => column.numbers += u64::from(!number.is_nan()),
                None => drop(column.other.get_or_insert_with(|| (record.line, printable(cell)))),
            }
        }
    }
    columns
}

/// Rows of a block in the making.
struct Rows<'a> {
    path: &'a Path,
    columns: &'a [(String, String)],
    contigs: Vec<(String, usize)>,
    lines: Vec<u64>,
    one_based: Vec<u64>,
    references: StringBuilder,
    alternates: StringBuilder,
    values: Vec<Float32Builder>,
    rules: Rules,
    unplaced: u64,
}

impl<'a> Rows<'a> {
    fn new(path: &'a Path, columns: &'a [(String, String)], rules: Rules) -> Self {
        Self {
            path,
            columns,
            contigs: Vec::new(),
            lines: Vec::new(),
            one_based: Vec::new(),
            references: StringBuilder::new(),
            alternates: StringBuilder::new(),
            values: columns.iter().map(|_| Float32Builder::new()).collect(),
            rules,
            unplaced: 0,
        }
    }

    /// A row of a table; one of several alternates has as many scores in each cell.
    fn table_row<'v>(
        &mut self,
        line: u64,
        keys: [&[u8]; 4],
        values: impl Iterator<Item = &'v [u8]> + Clone,
    ) -> Result<(), ImportError> {
        if memchr(b',', keys[3]).is_none() {
            return self.row(line, keys, values);
        }
        let alternates: Vec<&[u8]> = keys[3].split(|byte| *byte == b',').collect();
        let mut lists: Vec<Vec<&[u8]>> = Vec::new();
        for (value, (_, column)) in values.zip(self.columns) {
            let list: Vec<&[u8]> = value.split(|byte| *byte == b',').collect();
            if list.len() != alternates.len() {
                let problem = format!(
                    "is not one score for each of {} alternate alleles; write a row for each allele",
                    alternates.len()
                );
                return Err(self.wrong(line, column, value, problem));
            }
            lists.push(list);
        }
        for (number, alternate) in alternates.into_iter().enumerate() {
            let keys = [keys[0], keys[1], keys[2], alternate];
            self.row(line, keys, lists.iter().map(|list| list[number]))?;
        }
        Ok(())
    }

    fn row<'v>(
        &mut self,
        line: u64,
        keys: [&[u8]; 4],
        values: impl Iterator<Item = &'v [u8]>,
    ) -> Result<(), ImportError> {
        if !self.key(line, keys)? {
            return Ok(());
        }
        for (at, text) in values.enumerate() {
            let value = match (score(text), self.rules.list) {
                (Some(value), _) => Some(value),
                (None, Some(rule)) => of_list(text, rule),
                (None, None) => None,
            };
            let Some(value) = value else {
                let list = self.rules.list.is_none() && memchr(b';', text).is_some();
                let problem = if list {
                    "is a list; choose one of its values with --list max, min or first"
                } else {
                    "is not a number"
                };
                return Err(self.wrong(line, &self.columns[at].1, text, problem.to_owned()));
            };
            self.values[at].append_option(Some(value).filter(|value| !value.is_nan()));
        }
        Ok(())
    }

    /// Takes the key of a row, whose values are to follow; `false` for a row without a position, which is counted.
    fn key(
        &mut self,
        line: u64,
        [contig, place, reference, alternate]: [&[u8]; 4],
    ) -> Result<bool, ImportError> {
        if place == b"." && self.rules.preset.is_some_and(Preset::skips_missing_positions) {
            self.unplaced += 1;
            return Ok(false);
        }
        let wrong = |field, value, problem| Err(malformed(self.path, line, field, value, problem).into());
        match self.contigs.last_mut() {
            Some((last, count)) if last.as_bytes() == contig => *count += 1,
            _ => match std::str::from_utf8(contig) {
                Ok(name) if !name.is_empty() => self.contigs.push((name.to_owned(), 1)),
                _ => return wrong("contig", contig, "is not a contig name"),
            },
        }
        let Some(one_based) = one_based(place) else {
            return wrong("position", place, "is not a position; expected a whole number from 1");
        };
        self.one_based.push(one_based);
        self.lines.push(line);
        for (builder, bytes) in [(&mut self.references, reference), (&mut self.alternates, alternate)] {
            // What is not an allele is rejected when it is normalized.
            builder.append_value(String::from_utf8_lossy(bytes));
        }
        Ok(true)
    }

    fn wrong(&self, line: u64, column: &str, value: &[u8], problem: String) -> ImportError {
        ImportError::Cell {
            path: self.path.into(),
            unit: "line",
            number: line,
            column: column.to_owned(),
            value: printable(value),
            problem,
        }
    }

    fn finish(mut self) -> Block {
        Block {
            contigs: self.contigs,
            lines: self.lines,
            one_based: self.one_based,
            references: self.references.finish(),
            alternates: self.alternates.finish(),
            values: self.values.iter_mut().map(Float32Builder::finish).collect(),
            unplaced: self.unplaced,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::bgzf;

    /// Line, position, alleles and scores of a row.
    type Row = (u64, u64, String, Vec<f32>);

    fn open(bytes: &[u8], columns: &[&str]) -> Result<Vec<Row>, ImportError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, bytes).unwrap();
        let columns: Vec<_> = columns.iter().map(|name| ((*name).to_owned(), (*name).to_owned())).collect();
        let wanted = Some(columns.as_slice()).filter(|columns| !columns.is_empty());
        let records = Records::open(&path, &path)?;
        let mut blocks = TextBlocks::new(&path, records, &KeyColumns::default(), wanted, Rules::default())?;
        let mut rows = Vec::new();
        while let Some(block) = blocks.next()? {
            for row in 0..block.one_based.len() {
                let values = block.values.iter().map(|values| values.value(row)).collect();
                rows.push((
                    block.lines[row],
                    block.one_based[row],
                    block.alternates.value(row).to_owned(),
                    values,
                ));
            }
        }
        Ok(rows)
    }

    #[test]
    fn a_bcf_is_refused_with_its_remedy() {
        for bytes in
            [b"BCF\x02\x02\x10\x00".to_vec(), bgzf(b"BCF\x02\x02\x10\x00\x00\x00##fileformat=VCFv4.3\n")]
        {
            let error = open(&bytes, &[]).expect_err("no text").to_string();
            assert!(error.contains("run `bcftools view` on it"), "{error}");
        }
    }

    #[test]
    fn the_key_and_the_numbers_are_found() {
        let rows = open(
            b"# three\n#\n# lines\n#CHROM\tPOS\tREF\tALT\tgenome\tam\t\n1\t5\tA\tC\t\"x\t0.5\t7\n#1\t6\tA\tC\tx\t1\t7\n",
            &[],
        );
        assert_eq!(rows.unwrap(), [(5, 5, "C".to_owned(), vec![0.5])]);
        let rows = open(b",chrom,pos,ref,alt,a,b\n0,1,5.0,A,\"C,G\",\"1,2\",\"3,4\"\n", &["a", "b"]);
        assert_eq!(
            rows.unwrap(),
            [(2, 5, "C".to_owned(), vec![1.0, 3.0]), (2, 5, "G".to_owned(), vec![2.0, 4.0])]
        );
    }

    #[test]
    fn a_file_without_scores_says_what_keeps_it_from_having_them() {
        for (text, part) in [
            ("", "x is empty; expected"),
            (
                "chrom\tpos\tref\talt\ta\ts\n1\t5\tA\tC\tx\t1\n1\t6\tA\tC\tx\t0.1;0.2\n",
                "nearest is `s`, and line 3 has `0.1;0.2`",
            ),
            ("#c\nchrom\tpos\tref\talt\ts\n1\t5\tA\tC\tN.D.\n", "nearest is `s`, and line 3 has `N.D.`"),
            ("chrom\tpos\tref\talt\ts\n1\t5\tA\tC\t0,5\n", "nearest is `s`, and line 2 has `0,5`"),
            ("chrom\tpos\tref\talt\ts\n1\t5\tA\tC\t.\n", "no column of numbers beside the key; name some"),
            (
                "chrom,pos,ref,alt,s\n1,5,A,C,\"0.1\n1,6,A,C,0.2\n",
                "line 2: text `1,5,A,C,\\\"0.1` has a quote that is not closed",
            ),
            (
                "chrom,pos,ref,alt,\"s\n1,5,A,C,0.1\n",
                "line 1: text `chrom,pos,ref,alt,\\\"s` has a quote that is not closed",
            ),
            ("chrom\tpos\tref\talt\ts\r1\t5\tA\tC\t1\r", "has carriage returns alone for line ends"),
        ] {
            let error = open(text.as_bytes(), &[]).expect_err(text).to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn what_a_table_does_not_say_clearly_is_refused() {
        for (text, part) in [
            ("chrom\tpos\tref\talt\ts\n1\t5\tA\tC\n", "line 2: 4 columns; the header has 5"),
            ("chrom\tpos\tref\talt\ts\n1\t5\tA\tC\t1\t\n", "line 2: 6 columns; the header has 5"),
            ("chrom\tpos\tref\talt\ts\n1\t5.5\tA\tC\t1\n", "line 2: position `5.5`"),
            ("chrom,pos,ref,alt,s\n1,5,A,\"C,G\",1\n", "line 2: s `1` is not one score for each of 2"),
            (
                "##INFO=<ID=s,Number=1,Type=Float>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n1\t5\t.\tA\tC\t.\t.\ts=0.1;s2=1\n1\t5\t.\tA\tC\t.\t.\ts=a\n",
                "line 4: s `a` is not a number",
            ),
        ] {
            let error = open(text.as_bytes(), &["s"]).expect_err(text).to_string();
            assert!(error.contains(part), "{error}");
        }
        let vcf = b"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n1\t5\t.\tA\tC\t.\t.\tt=1\n";
        assert_eq!(open(vcf, &["t"]).unwrap().len(), 1);
        assert!(open(vcf, &["s"]).unwrap_err().to_string().contains("INFO field `s` is neither declared"));
    }

    #[test]
    fn a_site_whose_rows_would_fill_memory_is_refused() {
        let (reference, alternates) = ("A".repeat(100_000), "C,".repeat(30_000) + "G");
        let vcf = format!(
            "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n1\t5\t.\t{reference}\t{alternates}\t.\t.\ts=1\n"
        );
        let tsv = format!("chrom\tpos\tref\talt\ts\n1\t5\t{reference}\t{alternates}\t1\n");
        for text in [vcf, tsv] {
            let error = open(text.as_bytes(), &["s"]).unwrap_err().to_string();
            assert!(
                error.contains("line 2: reference `AAA") && error.contains("bcftools norm -m-"),
                "{error}"
            );
        }
    }

    /// A site of many alternates takes time in proportion to them: what is quadratic never ends here.
    #[test]
    fn a_million_alternates_at_one_site_are_read() {
        let (mut alternates, mut values) = (String::from("C"), String::from("1"));
        for number in 1..1_000_000_u32 {
            alternates.push(',');
            alternates.extend((0..10).map(|at| char::from(b"ACGT"[(number >> (2 * at)) as usize & 3])));
            values.push_str(",1");
        }
        let text = format!(
            "##INFO=<ID=s,Number=A,Type=Float>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n\
             1\t5\t.\tA\t{alternates}\t.\t.\ts={values}\n"
        );
        assert_eq!(open(text.as_bytes(), &[]).unwrap().len(), 1_000_000);
    }
}
