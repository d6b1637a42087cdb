//! What a store holds, as plain data.

use serde_json::{Map, Value, json};
use vestore_schema::{Segment, Table};

use super::Store;
use super::error::StoreError;

impl Store {
    /// The store in figures, as JSON: format, reference, models, and rows, bytes and statuses of each table of each track.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn summary(&self) -> Result<Value, StoreError> {
        let (snapshot, segments, runs) = (self.snapshot()?, self.all_segments()?, self.runs()?);
        let assembly = self.assembly();
        let bases: u64 = assembly.contigs.iter().map(|contig| u64::from(contig.length)).sum();
        let tracks: Map<String, Value> = snapshot
            .tracks
            .iter()
            .map(|track| {
                let tables: Map<String, Value> = Table::ALL
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
            "path": self.root(),
            "format": self.format().version,
            "assembly": assembly.name,
            "reference": self.reference(),
            "contigs": assembly.contigs.len(),
            "bases": bases,
            "models": snapshot.models.iter().map(|model| &model.name).collect::<Vec<_>>(),
            "runs": runs.len(),
            "interrupted_runs": runs.iter().filter(|run| run.finished.is_none()).count(),
            "tracks": tracks,
        }))
    }
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
