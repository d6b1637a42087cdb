//! The genes of a view: of a file, or of a table that the store keeps.

use std::path::Path;

use vestore_schema::{GeneTableRecord, Region};

use super::ViewError;
use super::document::GeneView;
use crate::genes::{Gene, GeneTable, read_genes};
use crate::store::Store;

/// More genes cannot be told apart on a page.
const MOST_GENES: usize = 20_000;
/// Digits of a digest that are enough to name a table.
const DIGITS: usize = 6;

/// Genes that reach into `region`, and the name of their table. Without one that was `asked` for, the first that the store
/// keeps counts.
pub(super) fn read(
    store: &Store,
    region: Region,
    asked: Option<&Path>,
    remarks: &mut Vec<String>,
) -> Result<(Vec<GeneView>, Option<String>), ViewError> {
    let kept = store.gene_tables()?;
    let Some((table, name)) = (match asked {
        Some(asked) => Some(named(store, asked, &kept)?),
        None => first(store, &kept, remarks)?,
    }) else {
        return Ok((Vec::new(), None));
    };
    let genes = table.within(region.contig, region.start, region.end);
    if genes.len() > MOST_GENES {
        let place = region.display(store.assembly()).to_string();
        return Err(ViewError::TooMany { place, what: "genes", most: MOST_GENES });
    }
    Ok((genes.into_iter().map(view).collect(), Some(name)))
}

fn first(
    store: &Store,
    kept: &[GeneTableRecord],
    remarks: &mut Vec<String>,
) -> Result<Option<(GeneTable, String)>, ViewError> {
    let Some(record) = kept.first() else { return Ok(None) };
    if kept.len() > 1 {
        remarks.push(format!("genes of {}; --genes selects another table: {}", record.name, names(kept)));
    }
    Ok(store.gene_table(record.digest)?.map(|table| (table, record.name.clone())))
}

/// The table of a file, or that of the store which has this name or digest.
fn named(store: &Store, asked: &Path, kept: &[GeneTableRecord]) -> Result<(GeneTable, String), ViewError> {
    let text = asked.to_string_lossy();
    if asked.exists() {
        let name = asked.file_name().map_or(text.clone(), |name| name.to_string_lossy());
        return Ok((read_genes(asked, store.assembly())?, name.into_owned()));
    }
    let meant = |record: &&GeneTableRecord| {
        record.name == text || (text.len() >= DIGITS && record.digest.to_string().starts_with(&*text))
    };
    let found: Vec<&GeneTableRecord> = kept.iter().filter(meant).collect();
    let unknown = || ViewError::Genes {
        name: text.clone().into_owned(),
        kept: if kept.is_empty() { "none".to_owned() } else { names(kept) },
    };
    let [record] = found.as_slice() else { return Err(unknown()) };
    Ok((store.gene_table(record.digest)?.ok_or_else(unknown)?, record.name.clone()))
}

fn names(kept: &[GeneTableRecord]) -> String {
    let names = kept.iter().map(|record| format!("`{}` ({})", record.name, record.digest.short()));
    names.collect::<Vec<_>>().join(", ")
}

fn view(gene: &Gene) -> GeneView {
    let mut exons = if gene.exons.is_empty() { between_junctions(gene) } else { gene.exons.clone() };
    exons.sort_unstable();
    let mut joined: Vec<(u32, u32)> = Vec::new();
    for (start, end) in exons {
        match joined.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => joined.push((start, end)),
        }
    }
    GeneView {
        id: gene.name.as_ref().unwrap_or(&gene.id).clone(),
        strand: if gene.forward { '+' } else { '-' },
        start: gene.start + 1,
        end: gene.end,
        exons: joined.into_iter().map(|(start, end)| (start + 1, end)).collect(),
    }
}

/// Exons of a table that names only the borders at introns: from each first base to the next last one.
fn between_junctions(gene: &Gene) -> Vec<(u32, u32)> {
    let starts = std::iter::once(gene.start).chain(gene.exon_starts.iter().copied());
    let end_after = |start: u32| {
        let next = gene.exon_ends.partition_point(|last| *last < start);
        gene.exon_ends.get(next).map_or(gene.end, |last| last + 1)
    };
    starts.map(|start| (start, end_after(start))).filter(|(start, end)| start < end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exons_are_joined_and_found_between_junctions() {
        let gene = |exons: &[(u32, u32)]| Gene {
            id: "g".to_owned(),
            name: None,
            contig: 0,
            forward: true,
            start: 10,
            end: 60,
            exon_starts: vec![30, 50],
            exon_ends: vec![19, 39],
            borders: Vec::new(),
            exons: exons.to_vec(),
        };
        assert_eq!(view(&gene(&[(10, 20), (15, 25), (50, 60)])).exons, [(11, 25), (51, 60)]);
        assert_eq!(view(&gene(&[])).exons, [(11, 20), (31, 40), (51, 60)]);
    }
}
