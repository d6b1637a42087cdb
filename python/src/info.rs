//! What a store holds, as plain data.

use serde_json::{Map, Value, json};
use vestore::{Store, StoreError};
use vestore_schema::{Segment, Table};

const TABLES: [Table; 5] =
    [Table::Scores, Table::Embeddings, Table::Ablation, Table::GeneEffects, Table::Effects];

pub(crate) fn of(store: &Store) -> Result<Value, StoreError> {
    let (snapshot, segments) = (store.snapshot()?, store.all_segments()?);
    let assembly = store.assembly();
    let bases: u64 = assembly.contigs.iter().map(|contig| u64::from(contig.length)).sum();
    let tracks: Map<String, Value> = snapshot
        .tracks
        .iter()
        .map(|track| {
            let tables: Map<String, Value> = TABLES
                .iter()
                .filter_map(|table| {
                    let of = |segment: &&Segment| segment.table == *table && segment.track == track.name;
                    let of_table: Vec<&Segment> = segments.iter().filter(of).collect();
                    Some((table.as_str().to_owned(), counted(&of_table)?))
                })
                .collect();
            (track.name.clone(), json!({ "model": track.model, "tables": tables }))
        })
        .collect();
    Ok(json!({
        "path": store.root(),
        "format": store.format().version,
        "assembly": assembly.name,
        "reference": store.reference(),
        "contigs": assembly.contigs.len(),
        "bases": bases,
        "models": snapshot.models.iter().map(|model| &model.name).collect::<Vec<_>>(),
        "tracks": tracks,
    }))
}

/// Rows, bytes and files of the segments of a table; none where there are none.
fn counted(segments: &[&Segment]) -> Option<Value> {
    if segments.is_empty() {
        return None;
    }
    let mut statuses: Map<String, Value> = Map::new();
    for (status, count) in segments.iter().flat_map(|segment| &segment.statuses) {
        let before = statuses.get(status.as_str()).and_then(Value::as_u64).unwrap_or(0);
        statuses.insert(status.as_str().to_owned(), json!(before + count));
    }
    let rows: u64 = segments.iter().map(|segment| segment.rows).sum();
    let bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
    Some(json!({ "rows": rows, "bytes": bytes, "segments": segments.len(), "statuses": statuses }))
}
