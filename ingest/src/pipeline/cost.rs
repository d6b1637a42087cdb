//! How large a unit is: seconds of work, whatever the model and the scores. It follows from the model, the recipe and
//! the kind of device, never from a clock, so that the same plan is always cut at the same places.

use vestore_schema::{Model, Recipe, ScoreKind, TokenizerKind};

/// Most variants of a unit: 64 times 18, so that saturation keeps the 18 SNVs of six bases together.
pub const UNIT: usize = 1152;

/// Most variants of a unit of an ablation: 8 times 18.
pub const ABLATION_UNIT: usize = 144;

/// SNVs of six bases; units of that many and more are multiples of it.
const SITE: usize = 18;

/// SNVs of a base, which share the reference's window; units of that many and more are multiples of it.
const BASE: usize = 3;

/// Multiplications and additions of a unit on a CPU: a second or two, so that an interrupted run commits the unit in
/// hand within its grace.
const CPU_WORK: f64 = 1e11;

/// The same on a GPU; smaller units would leave it idle.
const GPU_WORK: f64 = 1e14;

/// Variants of one unit.
pub(super) fn unit_size(
    model: &Model,
    recipe: &Recipe,
    embeddings: bool,
    ablation: bool,
    gpu: bool,
) -> usize {
    let most = if ablation { ABLATION_UNIT } else { UNIT };
    let work = if gpu { GPU_WORK } else { CPU_WORK };
    let variants = work / variant_cost(model, recipe, embeddings, ablation).max(1.0);
    let variants = (variants.min(most as f64) as usize).max(1);
    match variants {
        SITE.. => variants / SITE * SITE,
        BASE.. => variants / BASE * BASE,
        _ => variants,
    }
}

/// Multiplications and additions that one variant takes, when it shares nothing with others.
fn variant_cost(model: &Model, recipe: &Recipe, embeddings: bool, ablation: bool) -> f64 {
    let window = f64::from(recipe.window);
    let tokens = 2.0
        + match model.tokenizer {
            TokenizerKind::Kmer(bases) => window / f64::from(bases.max(1)),
            // A byte pair covers five bases of a genome on average.
            TokenizerKind::Bpe => window / 5.0,
            TokenizerKind::Base => window,
        };
    let passes = |kind: &ScoreKind| match kind {
        ScoreKind::Llr => 1.0,
        // A word's 18 SNVs share one.
        ScoreKind::LlrGrid => 1.0 / SITE as f64,
        ScoreKind::Distance | ScoreKind::Classifier | ScoreKind::Regression => 2.0,
        // Every token of both windows is hidden once.
        ScoreKind::Pll => 2.0 * tokens,
    };
    let kinds = recipe.scores.iter().map(passes).sum::<f64>();
    let passes = kinds + if embeddings && kinds == 0.0 { 2.0 } else { 0.0 };
    let layers = model.kept_layers.len() as f64;
    // Below the layer that is left out a pass is shared.
    let runs = if ablation { layers + layers * (layers - 1.0) / 2.0 } else { layers };
    let number = |key: &str| model.config.get(key).and_then(serde_json::Value::as_f64).unwrap_or(0.0);
    let hidden = f64::from(model.hidden);
    let gated = model.config.get("activation").is_none_or(|activation| activation != "gelu");
    let inner = number("feed_forward") * hidden * if gated { 3.0 } else { 2.0 };
    let layer = 2.0 * tokens * (4.0 * hidden * hidden + inner) + 4.0 * tokens * tokens * hidden;
    f64::from(recipe.strands.count() as u32) * passes * runs * layer
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use vestore_schema::{AblatedPart, Digest, Dtype, Strands};

    use super::*;

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
            tokenizer_digest: Digest::of(b"t"),
            adapter_digest: None,
            adapter_kind: None,
            adapter_base: None,
            config: json!({ "feed_forward": inner, "activation": "swiglu" }),
            layers,
            kept_layers: (0..layers).collect(),
            hidden,
            parameters: 1,
            weight_bytes: 4,
            masked_lm: true,
            labels: None,
            tokenizer: TokenizerKind::Kmer(6),
            max_tokens: Some(2048),
            license: None,
            note: None,
            files: Vec::new(),
        }
    }

    fn recipe(scores: &[ScoreKind], window: u32) -> Recipe {
        Recipe {
            scores: scores.to_vec(),
            window,
            strands: Strands::Both,
            dtype: Dtype::F32,
            precision: None,
            part: AblatedPart::Block,
        }
    }

    #[test]
    fn units_are_seconds_of_work() {
        let size = |model: &Model, kind, window, ablation, gpu| {
            unit_size(model, &recipe(&[kind], window), false, ablation, gpu)
        };
        let (tiny, small, large) = (model(4, 64, 128), model(12, 512, 2048), model(32, 2560, 10_240));
        assert_eq!(size(&tiny, ScoreKind::Llr, 300, false, false), UNIT);
        assert_eq!(size(&tiny, ScoreKind::Llr, 600, true, false), ABLATION_UNIT);
        // Of every token of both windows on both strands: 400 passes a variant, a quarter of a second.
        let pll = size(&tiny, ScoreKind::Pll, 600, false, false);
        assert!((3..=9).contains(&pll) && pll.is_multiple_of(3), "{pll}");
        let llr = size(&small, ScoreKind::Llr, 600, false, false);
        assert!((3..=9).contains(&llr) && llr.is_multiple_of(3), "{llr}");
        let shared = size(&small, ScoreKind::LlrGrid, 600, false, false);
        assert!((18..=144).contains(&shared) && shared.is_multiple_of(18), "{shared}");
        assert_eq!(size(&small, ScoreKind::Llr, 600, false, true), UNIT);
        // One variant is minutes of work on a CPU; a unit cannot be less.
        assert_eq!(size(&large, ScoreKind::Pll, 5994, false, false), 1);
        assert!(size(&large, ScoreKind::Llr, 600, false, true) < UNIT);
    }
}
