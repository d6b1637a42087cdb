//! GFF3: exons belong to what their `Parent` names, and that to a gene.
//!
//! <https://github.com/The-Sequence-Ontology/Specifications/blob/master/gff3.md>

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::read::{Exons, Line};
use crate::variants::{InputError, PlanError};

/// Most features above an exon.
const DEPTH: usize = 8;
/// Parts of transcripts: nothing lies below them.
const LEAVES: [&str; 6] = ["CDS", "five_prime_UTR", "three_prime_UTR", "start_codon", "stop_codon", "intron"];

/// A file while it is read. Features may stand before their parents.
#[derive(Default)]
pub(super) struct Gff {
    features: HashMap<String, Feature>,
    exons: Vec<Exon>,
}

/// A feature that exons may belong to.
struct Feature {
    parent: Option<String>,
    /// What the file calls it beside its ID.
    id: Option<String>,
    name: Option<String>,
}

struct Exon {
    parent: String,
    line: u64,
    contig: u32,
    forward: bool,
    start: u32,
    end: u32,
}

impl Gff {
    /// Takes in a line whose nine columns are these.
    pub(super) fn feature(
        &mut self,
        line: &Line<'_>,
        columns: &[&str; 9],
        contig: Option<u32>,
        number: u64,
    ) -> Result<(), PlanError> {
        let [_, _, kind, start, end, _, strand, _, attributes] = *columns;
        if LEAVES.contains(&kind) {
            return Ok(());
        }
        let attributes = Attributes { line, text: attributes.trim() };
        if kind == "exon" {
            let Some(contig) = contig else { return Ok(()) };
            let (start, end) = line.range(start, end)?;
            let forward = line.strand(strand)?;
            let parents = attributes.raw("Parent").ok_or_else(|| attributes.refuse("lack Parent"))?;
            for parent in parents.split(',') {
                let parent = attributes.decoded(parent)?;
                self.exons.push(Exon { parent, line: number, contig, forward, start, end });
            }
            return Ok(());
        }
        let Some(id) = attributes.value("ID")? else { return Ok(()) };
        // Some files list several parents of other features than exons; the first leads to the gene as well.
        let parent = attributes.raw("Parent").and_then(|parents| parents.split(',').next());
        let mut feature = Feature {
            parent: parent.map(|parent| attributes.decoded(parent)).transpose()?,
            id: None,
            name: None,
        };
        if feature.parent.is_none() {
            feature.id = attributes.value("gene_id")?;
            for key in ["gene_name", "Name", "gene"] {
                if feature.name.is_none() {
                    feature.name = attributes.value(key)?;
                }
            }
        }
        self.features.insert(id, feature);
        Ok(())
    }

    /// The exons by gene and transcript.
    pub(super) fn finish(self, path: &Path) -> Result<BTreeMap<(String, u32), Exons>, PlanError> {
        let mut genes: BTreeMap<(String, u32), Exons> = BTreeMap::new();
        for exon in self.exons {
            let refuse = |value: &str, problem| {
                let (path, value) = (path.to_owned(), value.to_owned());
                InputError::Malformed {
                    path,
                    unit: "line",
                    number: exon.line,
                    field: "Parent",
                    value,
                    problem,
                }
            };
            let mut above = exon.parent.as_str();
            let mut depth = 0;
            let gene = loop {
                let feature = self.features.get(above);
                let feature =
                    feature.ok_or_else(|| refuse(above, "is not the ID of a feature of the file"))?;
                match &feature.parent {
                    None => break feature,
                    Some(parent) => above = parent,
                }
                depth += 1;
                if depth > DEPTH {
                    return Err(refuse(above, "lies below itself, or below too many features").into());
                }
            };
            let stem = above.strip_prefix("gene:").or_else(|| above.strip_prefix("gene-")).unwrap_or(above);
            let id = gene.id.clone().unwrap_or_else(|| stem.to_owned());
            let found = genes
                .entry((id.clone(), exon.contig))
                .or_insert_with(|| Exons::new(exon.contig, exon.forward, gene.name.clone()));
            if !found.add(exon.parent.clone(), exon.forward, exon.start, exon.end) {
                return Err(refuse(&id, "lies on both strands").into());
            }
        }
        Ok(genes)
    }
}

/// The last column: `key=value` separated by semicolons, values percent-encoded.
struct Attributes<'a> {
    line: &'a Line<'a>,
    text: &'a str,
}

impl Attributes<'_> {
    fn refuse(&self, problem: &'static str) -> PlanError {
        self.line.refuse("attributes", self.text, problem)
    }

    fn raw(&self, key: &str) -> Option<&str> {
        let mut parts = self.text.split(';');
        parts
            .find_map(|part| part.trim().strip_prefix(key)?.strip_prefix('='))
            .filter(|value| !value.is_empty())
    }

    fn value(&self, key: &str) -> Result<Option<String>, PlanError> {
        self.raw(key).map(|value| self.decoded(value)).transpose()
    }

    fn decoded(&self, value: &str) -> Result<String, PlanError> {
        let mut bytes = Vec::with_capacity(value.len());
        let mut rest = value.as_bytes();
        while let Some((first, after)) = rest.split_first() {
            let pair = after.get(..2).filter(|_| *first == b'%');
            let pair = pair.and_then(|pair| std::str::from_utf8(pair).ok());
            let byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok());
            rest = if byte.is_some() { &after[2..] } else { after };
            bytes.push(byte.unwrap_or(*first));
        }
        let text = String::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control));
        text.ok_or_else(|| self.refuse("hold encoded control characters, or are not UTF-8 once decoded"))
    }
}
