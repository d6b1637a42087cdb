//! Tables of genes: where they lie, on which strand, and the borders of their exons.

mod gff;
mod names;
mod read;
mod text;

use vestore_schema::{Assembly, Digest};

pub(crate) use names::NamedGene;
pub use read::read_genes;

/// A gene. Coordinates are 0-based.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gene {
    /// As the table names it.
    pub id: String,
    /// What people call it, where the table says so and it is not the id. Not part of the table's digest.
    pub name: Option<String>,
    /// Number of its contig.
    pub contig: u32,
    /// Whether it lies on the forward strand.
    pub forward: bool,
    /// Its first base.
    pub start: u32,
    /// The base after its last one.
    pub end: u32,
    /// First bases of exons that follow an intron, on the forward strand; sorted, distinct.
    pub exon_starts: Vec<u32>,
    /// Last bases of exons before an intron, on the forward strand; sorted, distinct.
    pub exon_ends: Vec<u32>,
    /// First and last bases of all exons, those at the ends of transcripts too where the table has them; sorted.
    pub borders: Vec<u32>,
    /// Exons of all transcripts, half-open; sorted, distinct. None where the table names only junctions.
    pub exons: Vec<(u32, u32)>,
}

impl Gene {
    /// Acceptors (first bases of exons in the direction of the gene) and donors (last bases).
    #[must_use]
    pub fn sites(&self) -> [&[u32]; 2] {
        if self.forward { [&self.exon_starts, &self.exon_ends] } else { [&self.exon_ends, &self.exon_starts] }
    }
}

/// Genes of an assembly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneTable {
    /// By contig, start, end, id.
    genes: Vec<Gene>,
    /// The largest end of a gene of the same contig up to each one.
    reaches: Vec<u32>,
    digest: Digest,
}

impl GeneTable {
    /// A table of these genes.
    #[must_use]
    pub fn new(mut genes: Vec<Gene>, assembly: &Assembly) -> Self {
        genes.sort_by(|a, b| (a.contig, a.start, a.end, &a.id).cmp(&(b.contig, b.start, b.end, &b.id)));
        let mut reaches: Vec<u32> = Vec::with_capacity(genes.len());
        for (number, gene) in genes.iter().enumerate() {
            let before = number.checked_sub(1).filter(|before| genes[*before].contig == gene.contig);
            reaches.push(before.map_or(gene.end, |before| reaches[before].max(gene.end)));
        }
        let digest = Digest::of(text::write(&genes, assembly).as_bytes());
        Self { genes, reaches, digest }
    }

    /// The table that a store keeps as `text`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub(crate) fn parse(text: &str, assembly: &Assembly) -> Result<Self, String> {
        let genes = text::read(text, assembly);
        Ok(Self::new(genes.map_err(|line| format!("line {line} is not a gene of this reference"))?, assembly))
    }

    /// What it holds, in one spelling whatever the format of its file. The digest is that of this text.
    pub(crate) fn text(&self, assembly: &Assembly) -> String {
        text::write(&self.genes, assembly)
    }

    /// The names of its genes, in a text beside that of the table.
    pub(crate) fn names(&self, assembly: &Assembly) -> String {
        names::write(&self.genes, assembly)
    }

    /// Names its genes by a text that [`GeneTable::names`] wrote.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub(crate) fn set_names(&mut self, text: &str) -> Result<(), String> {
        names::read(text, &mut self.genes)
            .map_err(|line| format!("line {line} of its names is not that of its gene"))
    }

    /// Genes that begin or end beyond the end of their contig.
    #[must_use]
    pub fn beyond(&self, assembly: &Assembly) -> Vec<&Gene> {
        self.genes.iter().filter(|gene| gene.end > assembly.contig(gene.contig).length).collect()
    }

    /// SHA-256 of what it holds.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// All of them, by contig and start.
    #[must_use]
    pub fn genes(&self) -> &[Gene] {
        &self.genes
    }

    /// Genes that the 0-based `position` lies in, in the order of their starts.
    #[must_use]
    pub fn at(&self, contig: u32, position: u32) -> Vec<&Gene> {
        self.within(contig, position, position.saturating_add(1))
    }
}

impl GeneTable {
    /// Genes of a contig that reach into the 0-based half-open `start..end`, in the order of their starts.
    #[must_use]
    pub fn within(&self, contig: u32, start: u32, end: u32) -> Vec<&Gene> {
        let after = self.genes.partition_point(|gene| (gene.contig, gene.start) < (contig, end));
        let mut found: Vec<&Gene> = (0..after)
            .rev()
            .take_while(|number| self.genes[*number].contig == contig && self.reaches[*number] > start)
            .map(|number| &self.genes[number])
            .filter(|gene| gene.end > start)
            .collect();
        found.reverse();
        found
    }

    /// Whether its genes have exons: a table of junctions has none.
    #[must_use]
    pub fn has_exons(&self) -> bool {
        self.genes.iter().any(|gene| !gene.exons.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn genes_at_a_position_are_those_that_hold_it() {
        let gene = |contig, start, end| Gene {
            id: format!("{contig}:{start}-{end}"),
            name: None,
            contig,
            forward: true,
            start,
            end,
            exon_starts: Vec::new(),
            exon_ends: Vec::new(),
            borders: Vec::new(),
            exons: Vec::new(),
        };
        let contigs = ["1", "2"].map(|name| vestore_schema::Contig {
            name: name.to_owned(),
            length: 1000,
            digest: "x".to_owned(),
        });
        let assembly = Assembly { name: None, contigs: contigs.to_vec() };
        let genes =
            vec![gene(0, 0, 900), gene(0, 10, 20), gene(0, 15, 30), gene(1, 0, 5), gene(0, 950, 1000)];
        let table = GeneTable::new(genes.clone(), &assembly);
        let text = table.text(&assembly);
        assert_eq!(GeneTable::parse(&text, &assembly).as_ref(), Ok(&table));
        assert_eq!(table.digest(), Digest::of(text.as_bytes()));
        for contig in 0..2 {
            for position in 0..1000 {
                let found: Vec<&str> =
                    table.at(contig, position).iter().map(|gene| gene.id.as_str()).collect();
                let holds =
                    |gene: &&Gene| gene.contig == contig && (gene.start..gene.end).contains(&position);
                let mut expected: Vec<&Gene> = genes.iter().filter(holds).collect();
                expected.sort_by_key(|gene| gene.start);
                assert_eq!(found, expected.iter().map(|gene| gene.id.as_str()).collect::<Vec<_>>());
            }
        }
    }
}
