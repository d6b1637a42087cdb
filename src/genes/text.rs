//! A gene table as a store keeps it: one line per gene, the same whatever the format it was read from.

use std::fmt::Write as _;

use vestore_schema::Assembly;

use super::Gene;

/// Id, contig, whether it lies on the forward strand, start, end, exon starts, exon ends, borders.
const COLUMNS: usize = 8;

/// What precedes the exons of a gene that has some: a last column.
const EXONS: &str = "\texons ";

/// The text of these genes, which are in order.
pub(super) fn write(genes: &[Gene], assembly: &Assembly) -> String {
    let mut text = String::new();
    for gene in genes {
        let name = &assembly.contig(gene.contig).name;
        let Gene { id, forward, start, end, exon_starts, exon_ends, borders, exons, .. } = gene;
        let exons: Vec<String> = exons.iter().map(|(start, end)| format!("{start}-{end}")).collect();
        let exons = if exons.is_empty() { String::new() } else { format!("{EXONS}{}", exons.join(",")) };
        writeln!(
            text,
            "{id}\t{name}\t{forward}\t{start}\t{end}\t{exon_starts:?}\t{exon_ends:?}\t{borders:?}{exons}"
        )
        .expect("writing to a string does not fail; this is a bug");
    }
    text
}

/// The genes of a text; `Err` with the number of the first line that is not one of a gene of the assembly.
pub(super) fn read(text: &str, assembly: &Assembly) -> Result<Vec<Gene>, usize> {
    (1..).zip(text.lines()).map(|(number, line)| gene(line, assembly).ok_or(number)).collect()
}

fn gene(line: &str, assembly: &Assembly) -> Option<Gene> {
    let (line, exons) = line.rsplit_once(EXONS).unwrap_or((line, ""));
    // From the right: an id may hold a tab.
    let mut columns: Vec<&str> = line.rsplitn(COLUMNS, '\t').collect();
    columns.reverse();
    let [id, name, forward, start, end, exon_starts, exon_ends, borders] = columns.try_into().ok()?;
    let contig = assembly.contigs.iter().position(|contig| contig.name == name)?;
    let (start, end) = (start.parse().ok()?, end.parse().ok()?);
    (start < end).then_some(Gene {
        id: id.to_owned(),
        name: None,
        contig: u32::try_from(contig).ok()?,
        forward: forward.parse().ok()?,
        start,
        end,
        exon_starts: list(exon_starts)?,
        exon_ends: list(exon_ends)?,
        borders: list(borders)?,
        exons: ranges(exons)?,
    })
}

fn ranges(text: &str) -> Option<Vec<(u32, u32)>> {
    let range = |text: &str| {
        let (start, end) = text.split_once('-')?;
        let range: (u32, u32) = (start.parse().ok()?, end.parse().ok()?);
        (range.0 < range.1).then_some(range)
    };
    let ranges: Vec<(u32, u32)> =
        text.split(',').filter(|text| !text.is_empty()).map(range).collect::<Option<_>>()?;
    ranges.is_sorted_by(|a, b| a < b).then_some(ranges)
}

fn list(text: &str) -> Option<Vec<u32>> {
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    let numbers = inside.split(", ").filter(|number| !number.is_empty());
    let numbers: Vec<u32> = numbers.map(|number| number.parse().ok()).collect::<Option<_>>()?;
    numbers.is_sorted_by(|a, b| a < b).then_some(numbers)
}
