//! The names of the genes of a table, as a store keeps them beside it: a line per gene, in the order of the table.

use std::fmt::Write as _;

use vestore_schema::{Assembly, Region};

use super::Gene;

/// A line: name (empty without one), id, contig, start, end; 0-based half-open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedGene<'a> {
    pub(crate) name: &'a str,
    pub(crate) id: &'a str,
    contig: &'a str,
    start: u32,
    end: u32,
}

impl<'a> NamedGene<'a> {
    /// The gene of a line, if it is one.
    pub(crate) fn parse(line: &'a str) -> Option<Self> {
        let (name, rest) = line.split_once('\t')?;
        // From the right: an id may hold a tab.
        let mut columns = rest.rsplitn(4, '\t');
        let (end, start) = (columns.next()?.parse().ok()?, columns.next()?.parse().ok()?);
        let (contig, id) = (columns.next()?, columns.next()?);
        (start < end).then_some(Self { name, id, contig, start, end })
    }

    /// Whether people mean it by `text`: its name or id, or its id without the version.
    pub(crate) fn is_called(&self, text: &str) -> bool {
        self.name == text || self.id == text || without_version(self.id) == Some(text)
    }

    /// Where it lies; nothing beyond the end of its contig, or on none of the assembly.
    pub(crate) fn region(&self, assembly: &Assembly) -> Option<Region> {
        let contig = assembly.contigs.iter().position(|contig| contig.name == self.contig)?;
        let contig = u32::try_from(contig).ok()?;
        let end = self.end.min(assembly.contig(contig).length);
        (self.start < end).then_some(Region { contig, start: self.start, end })
    }
}

/// An Ensembl id without its version: `ENSG00000012048` of `ENSG00000012048.23`, also of `ENSG00000182378.15_PAR_Y`.
fn without_version(id: &str) -> Option<&str> {
    let (stem, version) = id.split_once('.')?;
    version.starts_with(|digit: char| digit.is_ascii_digit()).then_some(stem)
}

/// The text of these genes, which are in order.
pub(crate) fn write(genes: &[Gene], assembly: &Assembly) -> String {
    let mut text = String::new();
    for gene in genes {
        let contig = &assembly.contig(gene.contig).name;
        let Gene { id, name, start, end, .. } = gene;
        writeln!(text, "{}\t{id}\t{contig}\t{start}\t{end}", name.as_deref().unwrap_or_default())
            .expect("writing to a string does not fail; this is a bug");
    }
    text
}

/// Names the genes that `text` was written of; `Err` with the number of the first line that is not that of its gene.
pub(crate) fn read(text: &str, genes: &mut [Gene]) -> Result<(), usize> {
    let mut lines = text.lines();
    for (number, gene) in (1_usize..).zip(genes.iter_mut()) {
        let named = lines
            .next()
            .and_then(NamedGene::parse)
            .filter(|named| named.id == gene.id && (named.start, named.end) == (gene.start, gene.end));
        let name = named.ok_or(number)?.name;
        gene.name = (!name.is_empty()).then(|| name.to_owned());
    }
    if lines.next().is_some() { Err(genes.len() + 1) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gene_is_called_by_its_name_and_its_id_with_or_without_version() {
        let line = "BRCA1\tENSG00000012048.23\tchr17\t43044294\t43170245";
        let gene = NamedGene::parse(line).unwrap();
        for (text, is) in [
            ("BRCA1", true),
            ("ENSG00000012048.23", true),
            ("ENSG00000012048", true),
            ("ENSG00000012048.2", false),
            ("brca1", false),
            ("", false),
            ("ENSG", false),
        ] {
            assert_eq!(gene.is_called(text), is, "{text}");
        }
        assert!(
            NamedGene::parse("\tG\t1\t5\t9").is_some_and(|gene| gene.is_called("G") && gene.name.is_empty())
        );
        let odd = NamedGene::parse("n\ta\tb\t1\t5\t9").unwrap();
        assert_eq!((odd.name, odd.id, odd.contig), ("n", "a\tb", "1"));
        for text in
            ["", "a", "a\tb", "a\tb\tc\td", "n\tG\t1\t9\t5", "n\tG\t1\t-1\t5", "n\tG\t1\t1\t4294967296"]
        {
            assert_eq!(NamedGene::parse(text), None, "{text:?}");
        }
    }
}
