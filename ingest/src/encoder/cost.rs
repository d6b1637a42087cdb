//! What scoring one variant with an encoder takes.

use serde_json::Value;
use vestore_schema::{Model, Recipe, TokenizerKind};

use super::kinds::kinds_of;
use crate::convert::whole;
use crate::seam::{Cost, ScoreError};

/// What one variant of `recipe` takes that shares nothing with others.
///
/// # Errors
/// When `model` is not an encoder's or the recipe has an unknown score kind.
pub fn cost(model: &Model, recipe: &Recipe, embeddings: bool, ablation: bool) -> Result<Cost, ScoreError> {
    let kinds = kinds_of(&recipe.scores)?;
    let window = f64::from(recipe.window);
    let tokens = 2.0
        + match model.encoder().map(|encoder| encoder.tokenizer) {
            Some(TokenizerKind::Kmer(bases)) => window / f64::from(bases.max(1)),
            // A byte pair covers five bases of a genome on average.
            Some(TokenizerKind::Bpe) => window / 5.0,
            Some(TokenizerKind::Base) | None => window,
        };
    let scores = kinds.iter().map(|kind| kind.passes(tokens)).sum::<f64>();
    let passes = scores + if embeddings && scores == 0.0 { 2.0 } else { 0.0 };
    let layers = model.kept_layers.len() as f64;
    // Below the layer that is left out a pass is shared.
    let runs = if ablation { layers + layers * (layers - 1.0) / 2.0 } else { layers };
    let hidden = f64::from(model.hidden);
    let layer = 2.0 * tokens * (4.0 * hidden * hidden + mlp_weights(&model.config, hidden))
        + 4.0 * tokens * tokens * hidden;
    let strands = recipe.strands.count() as f64;
    Ok(Cost {
        operations: strands * passes * runs * layer,
        // Both windows as bases, and as ids and spans of tokens; what passes want and give.
        bytes: 2.0 * window + strands * (2.0 * tokens * 16.0 + passes * 256.0 + 4.0 * hidden * 4.0),
        together: 1,
    })
}

/// Bytes of what a layer makes of one token in float32: its state, queries, keys, values and the inside of its MLP.
pub(super) fn token_bytes(config: &Value, hidden: u32) -> u64 {
    let inner = whole(mlp_weights(config, 1.0));
    4 * (6 * u64::from(hidden) + inner)
}

/// Weights of the MLP's matrices per `hidden` numbers of a state.
fn mlp_weights(config: &Value, hidden: f64) -> f64 {
    let inner = config.get("feed_forward").and_then(Value::as_f64).unwrap_or(0.0);
    let gated = config.get("activation").is_none_or(|activation| activation != "gelu");
    inner * hidden * if gated { 3.0 } else { 2.0 }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use vestore_schema::{AblatedPart, Architecture, Digest, Dtype, EncoderRecord, Strands};

    use super::*;
    use crate::pipeline::{ABLATION_UNIT, UNIT, unit_size};

    fn model(layers: u32, hidden: u32, inner: u32) -> Model {
        Model {
            name: "m".to_owned(),
            id: Digest::of(b"m"),
            family: "nucleotide-transformer".to_owned(),
            checkpoint: String::new(),
            adapter: None,
            adapter_layers: None,
            copied: false,
            parent: None,
            pruned_by: None,
            training: None,
            weights_digest: Digest::of(b"w"),
            adapter_digest: None,
            adapter_kind: None,
            adapter_base: None,
            hub: None,
            adapter_hub: None,
            config: json!({ "feed_forward": inner, "activation": "swiglu" }),
            layers,
            kept_layers: (0..layers).collect(),
            hidden,
            parameters: 1,
            weight_bytes: 4,
            architecture: Architecture::Encoder(EncoderRecord {
                tokenizer_digest: Digest::of(b"t"),
                masked_lm: true,
                labels: None,
                tokenizer: TokenizerKind::Kmer(6),
                max_tokens: Some(2048),
            }),
            license: None,
            note: None,
            files: Vec::new(),
        }
    }

    fn recipe(score: &str, window: u32) -> Recipe {
        Recipe {
            scores: vec![score.to_owned()],
            window,
            strands: Strands::Both,
            dtype: Dtype::F32,
            precision: None,
            part: AblatedPart::default(),
            splice: None,
            regulatory: None,
        }
    }

    #[test]
    fn units_are_seconds_of_work() {
        let size = |model: &Model, kind, window, ablation, gpu| {
            let cost = cost(model, &recipe(kind, window), false, ablation).expect("a cost");
            unit_size(cost, ablation, gpu)
        };
        let (tiny, small, large) = (model(4, 64, 128), model(12, 512, 2048), model(32, 2560, 10_240));
        assert_eq!(size(&tiny, "llr", 300, false, false), UNIT);
        assert_eq!(size(&tiny, "llr", 600, true, false), ABLATION_UNIT);
        // Of every token of both windows on both strands: 400 passes a variant, a quarter of a second.
        let pll = size(&tiny, "pll", 600, false, false);
        assert!((3..=9).contains(&pll) && pll.is_multiple_of(3), "{pll}");
        let llr = size(&small, "llr", 600, false, false);
        assert!((3..=9).contains(&llr) && llr.is_multiple_of(3), "{llr}");
        let shared = size(&small, "llr-grid", 600, false, false);
        assert!((18..=144).contains(&shared) && shared.is_multiple_of(18), "{shared}");
        assert_eq!(size(&small, "llr", 600, false, true), UNIT);
        // One variant is minutes of work on a CPU; a unit cannot be less.
        assert_eq!(size(&large, "pll", 5994, false, false), 1);
        assert!(size(&large, "llr", 600, false, true) < UNIT);
    }
}
