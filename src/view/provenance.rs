//! What the scores of a track come from, for the foot of a page. No places on disk: a page is handed on.

use vestore_schema::{Averaged, Model, Track};

use super::ViewError;
use crate::store::{Snapshot, Store};

/// Headings and texts.
pub(super) fn of(
    store: &Store,
    snapshot: &Snapshot,
    track: &Track,
) -> Result<Vec<(&'static str, String)>, ViewError> {
    let mut lines = vec![("track id", track.id.to_string())];
    match &track.external {
        Some(external) => {
            lines.push(("source", format!("imported file, SHA-256 {}", external.source)));
            for (column, from) in track.columns.iter().zip(&external.columns) {
                lines.push(("column", format!("{column} from column {from} of the file")));
            }
        }
        None if !track.mean.is_empty() => {
            for Averaged { name, id, model, model_id } in &track.mean {
                let (id, model_id) = (id.short(), model_id.short());
                lines.push(("mean of", format!("{name}, id {id}, model {model}, id {model_id}")));
            }
        }
        None => model(store, snapshot, track, &mut lines)?,
    }
    lines.push(("recipe", track.recipe_text()));
    for calibration in &track.calibrations {
        let text = format!("{} with {} scores: {}", calibration.column, calibration.rows, calibration.text());
        lines.push(("calibrated", text));
    }
    Ok(lines)
}

fn model(
    store: &Store,
    snapshot: &Snapshot,
    track: &Track,
    lines: &mut Vec<(&'static str, String)>,
) -> Result<(), ViewError> {
    let Some(model) = snapshot.models.iter().find(|model| model.name == track.model) else {
        lines.push(("model", format!("{}, id {}", track.model, track.model_id)));
        return Ok(());
    };
    lines.push(("model", format!("{}, {}, id {}", model.name, model.family, model.id)));
    lines.push(("weights", weights(model)));
    lines.push(("kept layers", kept(model)));
    if let Some(digest) = &model.adapter_digest {
        let kind = model.adapter_kind.as_deref().unwrap_or("unknown kind");
        let origin = model.adapter_hub.as_ref().map(|origin| format!(", from {origin}")).unwrap_or_default();
        lines.push(("adapter", format!("{kind}, digest {digest}{origin}")));
    }
    for ancestor in store.ancestors(model, &snapshot.models)? {
        let text = format!("{}, {}, id {}", ancestor.name, ancestor.kept_text(), ancestor.id.short());
        lines.push(("derived from", text));
    }
    for (heading, text) in [("licence", &model.license), ("note", &model.note)] {
        lines.extend(text.clone().map(|text| (heading, text)));
    }
    Ok(())
}

fn weights(model: &Model) -> String {
    let origin = model.hub.as_ref().map(|origin| format!(", from {origin}")).unwrap_or_default();
    format!("digest {}, {} parameters{origin}", model.weights_digest, model.parameters)
}

fn kept(model: &Model) -> String {
    let kept = model.kept_text();
    if model.kept_layers.len() as u64 == u64::from(model.layers) {
        return kept;
    }
    let layers: Vec<String> = model.kept_layers.iter().map(u32::to_string).collect();
    format!("{kept}: {}", layers.join(", "))
}
