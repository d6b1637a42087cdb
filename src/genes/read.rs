//! Files with genes: GTF, GFF3, and the tables of splice models.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use vestore_schema::Assembly;

use super::gff::Gff;
use super::{Gene, GeneTable};
use crate::variants::{Contigs, Input, InputError, PlanError};

/// What a file begins with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Gene transfer format: exons with `gene_id` and `transcript_id`, 1-based inclusive.
    Gtf,
    /// GFF3: exons below transcripts below genes, 1-based inclusive.
    Gff3,
    /// `gene_id,chr,strand,start,end,jn_start,jn_end`, 1-based inclusive; exon ends, then exon starts at introns.
    Junctions,
    /// `#NAME CHROM STRAND TX_START TX_END EXON_START EXON_END`, 0-based half-open; exons of one transcript.
    Transcripts,
}

/// A gene while its lines are read, 0-based.
pub(super) struct Exons {
    name: Option<String>,
    contig: u32,
    forward: bool,
    start: u32,
    end: u32,
    /// First and last base of exons, by transcript.
    transcripts: BTreeMap<String, Vec<(u32, u32)>>,
}

/// Reads a table of genes (GTF, GFF3, or the annotation tables of `SpliceAI` and `CI-SpliceAI`; plain, BGZF or gzip). Genes on
/// contigs that the assembly lacks are left out.
///
/// # Errors
/// When the file cannot be read, a line is malformed, or none is on a known contig.
pub fn read_genes(path: &Path, assembly: &Assembly) -> Result<GeneTable, PlanError> {
    let mut input = Input::open(path)?;
    let mut contigs = Contigs::new(assembly);
    let (mut line, mut form) = (Vec::new(), None);
    let (mut genes, mut by_id, mut gff) = (Vec::new(), BTreeMap::new(), Gff::default());
    while input.read_line(&mut line, usize::MAX)? {
        let Ok(text) = std::str::from_utf8(&line) else {
            return Err(input.malformed("text", &line, "is not UTF-8").into());
        };
        if form.is_none() {
            form = Form::of_header(text);
            if form.is_some() {
                continue;
            }
        }
        if text.trim().is_empty() || text.starts_with('#') {
            continue;
        }
        let reader = Line { input: &input, text };
        match *form.get_or_insert_with(|| Form::of_row(text)) {
            Form::Gff3 if text.starts_with('>') => break,
            Form::Gff3 => reader.feature(&mut contigs, &mut gff)?,
            Form::Gtf => reader.exon(&mut contigs, &mut by_id)?,
            Form::Junctions => genes.extend(reader.junctions(&mut contigs)?),
            Form::Transcripts => genes.extend(reader.transcript(&mut contigs)?),
        }
    }
    contigs.check_any_known(path)?;
    by_id.extend(gff.finish(path)?);
    genes.extend(by_id.into_iter().map(|((id, _), found)| found.gene(id)));
    if genes.is_empty() {
        return Err(input
            .malformed("file", b"", "holds no gene; expected GTF or GFF3 with exons, or a table of genes")
            .into());
    }
    let mut seen = HashSet::new();
    if let Some(gene) = genes.iter().find(|gene| !seen.insert((gene.contig, gene.id.as_str()))) {
        let problem = "is listed twice on a contig; keep one line per gene, or use a GTF or GFF3 file";
        return Err(input.malformed("gene", gene.id.as_bytes(), problem).into());
    }
    Ok(GeneTable::new(genes, assembly))
}

impl Form {
    /// What a first line that is not a row says.
    fn of_header(first: &str) -> Option<Self> {
        if first.starts_with("gene_id,") {
            Some(Self::Junctions)
        } else if first.starts_with("#NAME\t") {
            Some(Self::Transcripts)
        } else {
            first.starts_with("##gff-version 3").then_some(Self::Gff3)
        }
    }

    /// What the first row says: attributes of GTF are `key "value"`, those of GFF3 `key=value`.
    fn of_row(row: &str) -> Self {
        let attributes = row.split('\t').nth(8).unwrap_or_default();
        let key = attributes.trim().find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        match key.map(|end| &attributes.trim()[end..]) {
            Some(rest) if rest.starts_with('=') => Self::Gff3,
            _ => Self::Gtf,
        }
    }
}

impl Exons {
    pub(super) fn new(contig: u32, forward: bool, name: Option<String>) -> Self {
        Self { name, contig, forward, start: u32::MAX, end: 0, transcripts: BTreeMap::new() }
    }

    /// Adds an exon, half-open; `false` where it lies on the other strand.
    pub(super) fn add(&mut self, transcript: String, forward: bool, start: u32, end: u32) -> bool {
        (self.start, self.end) = (self.start.min(start), self.end.max(end));
        self.transcripts.entry(transcript).or_default().push((start, end - 1));
        self.forward == forward
    }

    fn gene(self, id: String) -> Gene {
        let (mut exon_starts, mut exon_ends, mut borders) = (Vec::new(), Vec::new(), Vec::new());
        let mut all: Vec<(u32, u32)> = Vec::new();
        for mut exons in self.transcripts.into_values() {
            exons.sort_unstable();
            exon_starts.extend(exons.iter().skip(1).map(|exon| exon.0));
            exon_ends.extend(exons.iter().rev().skip(1).map(|exon| exon.1));
            borders.extend(exons.iter().flat_map(|exon| [exon.0, exon.1]));
            all.extend(exons.iter().filter(|exon| exon.0 <= exon.1).map(|exon| (exon.0, exon.1 + 1)));
        }
        for list in [&mut exon_starts, &mut exon_ends, &mut borders] {
            list.sort_unstable();
            list.dedup();
        }
        all.sort_unstable();
        all.dedup();
        let Self { name, contig, forward, start, end, .. } = self;
        let name = name.filter(|name| *name != id && !name.is_empty());
        Gene { id, name, contig, forward, start, end, exon_starts, exon_ends, borders, exons: all }
    }
}

/// A line in hand.
pub(super) struct Line<'a> {
    input: &'a Input,
    text: &'a str,
}

impl Line<'_> {
    pub(super) fn refuse(&self, field: &'static str, value: &str, problem: &'static str) -> PlanError {
        let error: InputError = self.input.malformed(field, value.as_bytes(), problem);
        error.into()
    }

    pub(super) fn strand(&self, text: &str) -> Result<bool, PlanError> {
        match text {
            "+" => Ok(true),
            "-" => Ok(false),
            _ => Err(self.refuse("strand", text, "is not a strand; expected + or -")),
        }
    }

    fn number(&self, field: &'static str, text: &str) -> Result<u32, PlanError> {
        let decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| decimal);
        number.ok_or_else(|| self.refuse(field, text, "is not a position; expected a whole number"))
    }

    /// 0-based first and after-last base of 1-based inclusive `start` and `end`. They may lie beyond the contig, since
    /// references may be slices.
    pub(super) fn range(&self, start: &str, end: &str) -> Result<(u32, u32), PlanError> {
        let first = self.number("start", start)?;
        let last = self.number("end", end)?;
        if first == 0 || first > last {
            return Err(self.refuse("start", start, "is not before the end; expected 1-based positions"));
        }
        Ok((first - 1, last))
    }

    /// 0-based positions of a comma-separated list of 1-based ones.
    fn list(&self, field: &'static str, text: &str, offset: u32) -> Result<Vec<u32>, PlanError> {
        let items = text.trim_matches('"').split(',').filter(|item| !item.is_empty());
        let position = |item: &str| {
            let number = self.number(field, item)?;
            number.checked_sub(offset).ok_or_else(|| self.refuse(field, item, "is not a 1-based position"))
        };
        items.map(position).collect()
    }

    /// An exon of a GTF file; other features are not read.
    fn exon(
        &self,
        contigs: &mut Contigs<'_>,
        genes: &mut BTreeMap<(String, u32), Exons>,
    ) -> Result<(), PlanError> {
        let columns: Vec<&str> = self.text.split('\t').collect();
        let &[name, _, feature, start, end, _, strand, _, attributes, ..] = columns.as_slice() else {
            let problem = "is not a GTF line; expected nine columns separated by tabs";
            return Err(self.refuse("text", self.text, problem));
        };
        if feature != "exon" {
            return Ok(());
        }
        let Some(contig) = contigs.resolve(name) else { return Ok(()) };
        let attribute = |key: &'static str| {
            let found =
                attributes.split(';').find_map(|part| part.trim().strip_prefix(key)?.strip_prefix(' '));
            found.map(|value| value.trim().trim_matches('"').to_owned())
        };
        let missing = |problem| self.refuse("attributes", attributes, problem);
        let id = attribute("gene_id").ok_or_else(|| missing("lack gene_id"))?;
        let transcript = attribute("transcript_id").ok_or_else(|| missing("lack transcript_id"))?;
        let (start, end) = self.range(start, end)?;
        let forward = self.strand(strand)?;
        let found = genes.entry((id.clone(), contig)).or_insert_with(|| Exons::new(contig, forward, None));
        if found.name.is_none() {
            found.name = attribute("gene_name").or_else(|| attribute("gene"));
        }
        if !found.add(transcript, forward, start, end) {
            return Err(self.refuse("gene_id", &id, "lies on both strands"));
        }
        Ok(())
    }

    /// A feature of a GFF3 file.
    fn feature(&self, contigs: &mut Contigs<'_>, gff: &mut Gff) -> Result<(), PlanError> {
        let columns: Vec<&str> = self.text.split('\t').collect();
        let Ok(columns) = <[&str; 9]>::try_from(columns) else {
            let problem = "is not a GFF3 line; expected nine columns separated by tabs";
            return Err(self.refuse("text", self.text, problem));
        };
        gff.feature(self, &columns, contigs.resolve(columns[0]), self.input.number())
    }

    fn junctions(&self, contigs: &mut Contigs<'_>) -> Result<Option<Gene>, PlanError> {
        let cells = quoted(self.text);
        let [id, name, strand, start, end, ends, starts] = cells.as_slice() else {
            return Err(self.refuse("text", self.text, "is not a row of seven columns"));
        };
        let Some(contig) = contigs.resolve(name) else { return Ok(None) };
        let (start, end) = self.range(start, end)?;
        let sorted = |mut list: Vec<u32>| {
            list.sort_unstable();
            list.dedup();
            list
        };
        let exon_ends = sorted(self.list("jn_start", ends, 1)?);
        let exon_starts = sorted(self.list("jn_end", starts, 1)?);
        let borders = sorted(exon_ends.iter().chain(&exon_starts).copied().collect());
        let (id, name, forward) = ((*id).to_owned(), None, self.strand(strand)?);
        Ok(Some(Gene {
            id,
            name,
            contig,
            forward,
            start,
            end,
            exon_starts,
            exon_ends,
            borders,
            exons: Vec::new(),
        }))
    }

    fn transcript(&self, contigs: &mut Contigs<'_>) -> Result<Option<Gene>, PlanError> {
        let columns: Vec<&str> = self.text.split('\t').collect();
        let &[id, name, strand, start, end, starts, ends] = columns.as_slice() else {
            return Err(self.refuse("text", self.text, "is not a row of seven columns separated by tabs"));
        };
        let Some(contig) = contigs.resolve(name) else { return Ok(None) };
        let first = self.number("TX_START", start)?.saturating_add(1).to_string();
        let (start, end) = self.range(&first, end)?;
        let starts = self.list("EXON_START", starts, 0)?;
        let ends_of = self.list("EXON_END", ends, 1)?;
        if starts.len() != ends_of.len() {
            return Err(self.refuse("EXON_END", ends, "has another number of exons than EXON_START"));
        }
        let transcripts = BTreeMap::from([(String::new(), starts.into_iter().zip(ends_of).collect())]);
        let found = Exons { name: None, contig, forward: self.strand(strand)?, start, end, transcripts };
        Ok(Some(found.gene(id.to_owned())))
    }
}

/// The cells of a line of CSV, some of which are quoted and hold commas.
fn quoted(text: &str) -> Vec<&str> {
    let (mut cells, mut start, mut inside) = (Vec::new(), 0, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'"' => inside = !inside,
            b',' if !inside => {
                cells.push(text[start..at].trim_matches('"'));
                start = at + 1;
            }
            _ => {}
        }
    }
    cells.push(text[start..].trim_matches('"'));
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use vestore_schema::Contig;

    fn read(text: &str) -> Result<GeneTable, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("genes");
        std::fs::write(&path, text).unwrap();
        let contig = Contig { name: "chr1".to_owned(), length: 1000, digest: "x".to_owned() };
        let assembly = Assembly { name: None, contigs: vec![contig] };
        read_genes(&path, &assembly).map_err(|error| error.to_string())
    }

    #[test]
    fn the_same_gene_in_three_formats() {
        let gtf = "# by hand\n\
            1\tx\tgene\t101\t400\t.\t-\t.\tgene_id \"G\";\n\
            1\tx\texon\t101\t150\t.\t-\t.\tgene_id \"G\"; transcript_id \"T\";\n\
            1\tx\texon\t301\t400\t.\t-\t.\tgene_id \"G\"; transcript_id \"T\";\n\
            9\tx\texon\t301\t400\t.\t-\t.\tgene_id \"H\"; transcript_id \"U\";\n";
        let transcripts = "#NAME\tCHROM\tSTRAND\tTX_START\tTX_END\tEXON_START\tEXON_END\n\
            G\t1\t-\t100\t400\t100,300,\t150,400,\n";
        let junctions = "gene_id,chr,strand,start,end,jn_start,jn_end\nG,chr1,-,101,400,\"150\",\"301\"\n";
        let found = read(gtf).unwrap();
        let gene = &found.genes()[0];
        assert_eq!((gene.start, gene.end, gene.forward), (100, 400, false));
        assert_eq!(gene.sites(), [&[149][..], &[300]]);
        assert_eq!(gene.borders, [100, 149, 300, 399]);
        assert_eq!(gene.exons, [(100, 150), (300, 400)]);
        assert_eq!(read(transcripts).unwrap(), found);
        let other = read(junctions).unwrap();
        assert_eq!(other.genes()[0].sites(), gene.sites());
        assert_ne!(other.digest(), found.digest());
        assert!(found.has_exons() && !other.has_exons());
        let contig = Contig { name: "chr1".to_owned(), length: 1000, digest: "x".to_owned() };
        let assembly = Assembly { name: None, contigs: vec![contig] };
        for table in [found, other] {
            assert_eq!(GeneTable::parse(&table.text(&assembly), &assembly), Ok(table));
        }
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for (text, part) in [
            ("1\tx\texon\t0\t10\t.\t-\t.\tgene_id \"G\"; transcript_id \"T\";\n", "1-based"),
            ("1\tx\texon\t1\t10\t.\t.\t.\tgene_id \"G\"; transcript_id \"T\";\n", "expected + or -"),
            ("1\tx\texon\t1\t10\t.\t+\t.\tgene_id \"G\"\n", "transcript_id"),
            ("7\tx\texon\t1\t10\t.\t+\t.\tgene_id \"G\"; transcript_id \"T\"\n", "no record is on a contig"),
            ("hello\n", "nine columns"),
            ("", "holds no gene"),
            ("gene_id,chr,strand,start,end,jn_start,jn_end\nG,1,+,5,9,,\nG,1,+,6,9,,\n", "is listed twice"),
            ("gene_id,chr,strand,start,end,jn_start,jn_end\nG,1,+,5,9,\"x\",\"\"\n", "whole number"),
            (
                "#NAME\tCHROM\tSTRAND\tTX_START\tTX_END\tEXON_START\tEXON_END\nG\t1\t+\t4\t9\t4,\t\n",
                "another number of exons",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
