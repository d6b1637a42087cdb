//! Which variants two stores have rows of.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use vestore_schema::{Segment, Table, Variant};

use super::MergeError;
use super::source::{Found, Source};
use crate::store::{Store, StoreError};

/// Positions that are compared at once.
const TOGETHER: u32 = 1 << 16;

/// Variants of a source that the store has rows of, by the number of the source's segment.
pub(super) type There = HashMap<u64, BTreeSet<Variant>>;

/// A segment of the store, or of one of the sources.
struct Piece<'a> {
    /// Place of the source.
    source: Option<usize>,
    segment: &'a Segment,
    /// Its contig, where it lies.
    contig: u32,
}

/// Refuses variants that come twice; gives what each source has that the store has too, where that is the scores that
/// an ablation computes anew.
pub(super) fn check(store: &Store, sources: &[Source]) -> Result<Vec<There>, MergeError> {
    let own = store.all_segments()?;
    let mut groups: BTreeMap<(Table, &str, u32), Vec<Piece<'_>>> = BTreeMap::new();
    for (place, source) in sources.iter().enumerate() {
        for Found { segment, contigs: [here, there] } in &source.segments {
            let piece = Piece { source: Some(place), segment, contig: *here };
            groups.entry((segment.table, &segment.track, *there)).or_default().push(piece);
        }
    }
    for segment in &own {
        let Some(contig) = store.contig_index(&segment.contig) else { continue };
        if let Some(group) = groups.get_mut(&(segment.table, segment.track.as_str(), contig)) {
            group.push(Piece { source: None, segment, contig });
        }
    }
    let mut there: Vec<There> = sources.iter().map(|_| There::default()).collect();
    for mut group in groups.into_values() {
        group.sort_by_key(|piece| piece.segment.first);
        let mut reaching: Vec<&Piece<'_>> = Vec::new();
        for piece in &group {
            reaching.retain(|other| other.segment.last >= piece.segment.first);
            for other in reaching.iter().filter(|other| other.source != piece.source) {
                compare(store, sources, [other, piece], &mut there)?;
            }
            reaching.push(piece);
        }
    }
    Ok(there)
}

/// Finds the variants that two segments share.
fn compare(
    store: &Store,
    sources: &[Source],
    pair: [&Piece<'_>; 2],
    there: &mut [There],
) -> Result<(), MergeError> {
    let lies_in = |piece: &Piece<'_>| piece.source.map_or(store, |place| &sources[place].store);
    let [first, last] = [pair[1].segment.first, pair[0].segment.last.min(pair[1].segment.last)];
    let (mut start, end) = (first.zero_based(), last.zero_based() + 1);
    while start < end {
        let next = end.min(start.saturating_add(TOGETHER));
        let [one, other] = pair.map(|piece| {
            let segments = std::slice::from_ref(piece.segment);
            lies_in(piece).stored_variants(segments, piece.contig, start, next)
        });
        let (one, other) = (one?, other?);
        // Contigs have other numbers in other stores.
        let other: BTreeSet<Variant> =
            other.into_iter().map(|variant| Variant { contig: pair[0].contig, ..variant }).collect();
        let shared: Vec<Variant> = one.intersection(&other).cloned().collect();
        if let Some(variant) = shared.first() {
            let Some((place, number)) = recomputed(sources, pair) else {
                let [first, second] = pair.map(|piece| lies_in(piece).root().to_owned());
                return Err(MergeError::Twice {
                    first,
                    second,
                    track: pair[0].segment.track.clone(),
                    table: pair[0].segment.table.as_str(),
                    variant: variant.display(lies_in(pair[0]).assembly()).to_string(),
                });
            };
            let contig = pair.iter().find(|piece| piece.source.is_some()).map_or(0, |piece| piece.contig);
            let shared = shared.into_iter().map(|variant| Variant { contig, ..variant });
            there[place].entry(number).or_default().extend(shared);
        }
        start = next;
    }
    Ok(())
}

/// The source and the number of its segment, where that has what an ablation, or a run for embeddings, computed beside,
/// and the other is the store's.
fn recomputed(sources: &[Source], pair: [&Piece<'_>; 2]) -> Option<(usize, u64)> {
    let [one, other] = pair;
    let (piece, place) = match (one.source, other.source) {
        (None, Some(place)) => (other, place),
        (Some(place), None) => (one, place),
        _ => return None,
    };
    let part = sources[place].part.as_ref()?;
    let beside = match piece.segment.table {
        Table::Ablation => false,
        Table::Embeddings => part.table == Table::Ablation,
        Table::Scores | Table::Effects | Table::GeneEffects => {
            part.table == Table::Ablation || part.embeddings
        }
    };
    beside.then_some((place, piece.segment.number))
}

/// Whether the store has every row of a source. Where the catalog shows as many rows there and no others, only the first
/// variant of each segment is looked at.
pub(super) fn is_there(store: &Store, source: &Source) -> Result<bool, StoreError> {
    let mut reaches: BTreeMap<(Table, &str, u32), (u32, u32, u64)> = BTreeMap::new();
    for Found { segment, contigs: [_, there] } in &source.segments {
        let (first, last) = (segment.first.zero_based(), segment.last.zero_based());
        let reach = reaches.entry((segment.table, &segment.track, *there)).or_insert((first, last, 0));
        *reach = (reach.0.min(first), reach.1.max(last), reach.2 + segment.rows);
    }
    let mut exact = HashSet::new();
    for ((table, track, contig), (first, last, rows)) in reaches {
        let own = store.segments(table, track, contig, first, last + 1)?;
        match own.iter().map(|segment| segment.rows).sum::<u64>().cmp(&rows) {
            Ordering::Less => return Ok(false),
            Ordering::Equal => drop(exact.insert((table, track, contig))),
            Ordering::Greater => {}
        }
    }
    for Found { segment, contigs: [here, there] } in &source.segments {
        let (mut start, end) = (segment.first.zero_based(), segment.last.zero_based() + 1);
        let exact = exact.contains(&(segment.table, segment.track.as_str(), *there));
        let end = if exact { start + 1 } else { end };
        while start < end {
            let next = end.min(start.saturating_add(TOGETHER));
            let own = store.segments(segment.table, &segment.track, *there, start, next)?;
            let own = store.stored_variants(&own, *here, start, next)?;
            let wanted = source.store.stored_variants(std::slice::from_ref(segment), *here, start, next)?;
            if !wanted.is_subset(&own) {
                return Ok(false);
            }
            start = next;
        }
    }
    Ok(true)
}
