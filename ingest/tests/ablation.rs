//! Ablation with shared prefixes equals the full model and its pruned models, run one after the other.

use crate::support::{FAMILIES, Scoring, checkpoint, directory, load, recipe, rewrite, score, snvs, weights};
use vestore_ingest::synthetic::{SyntheticFamily, SyntheticShape, write_checkpoint};
use vestore_ingest::{AblatedPart, Model, ModelSource, Movement, Row, WindowPair, ablate, change, run};
use vestore_schema::Status;

const V2: SyntheticFamily = SyntheticFamily::NucleotideTransformerV2;

/// Rows of the full model and without each layer, the layers' movement, and layers run.
fn ablated(
    model: &Model,
    recipe: &Scoring,
    pairs: &[WindowPair],
    part: &str,
    budget: u32,
) -> (Vec<Row>, Vec<Vec<Row>>, Vec<Movement>, u64) {
    let work = Scoring { batch_tokens: budget, ..recipe.clone() }.work(model, pairs);
    let part = AblatedPart::new(part);
    let (mut full, mut without, mut evaluations) = (Vec::new(), vec![Vec::new(); model.depth()], 0);
    let mut movement = vec![Movement::default(); model.depth()];
    for batch in 0..work.batches() {
        let ablated = ablate(model, &work, batch, &part).expect("outputs");
        assert_eq!(
            ablated.full,
            run(model, &work, batch).expect("outputs"),
            "the same bits as plain scoring"
        );
        full.push(ablated.full.outputs);
        without.iter_mut().zip(ablated.without).for_each(|(to, from)| to.push(from.outputs));
        movement.iter_mut().zip(ablated.movement).for_each(|(to, from)| to.add(from));
        evaluations += ablated.evaluations;
    }
    let without = without.into_iter().map(|outputs| work.finish(outputs)).collect();
    (work.finish(full), without, movement, evaluations)
}

fn near(found: &[Row], expected: &[Row]) {
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.status, expected.status);
        for (found, expected) in found.values.iter().zip(&expected.values) {
            let (found, expected) = (found.expect("a score"), expected.expect("a score"));
            assert!((found - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{found} {expected}");
        }
    }
}

#[test]
fn it_equals_the_pruned_models_one_after_the_other() {
    for family in FAMILIES {
        let root = directory();
        let directory = checkpoint(root.path(), family, None);
        let model = load(&ModelSource::new(&directory));
        let words = matches!(family, SyntheticFamily::NucleotideTransformerV1 | V2);
        let kind = if words { "llr" } else { "pll" };
        let recipe = recipe(&[kind, "distance"]);
        let pairs = snvs(48, 1);
        for budget in [1, 100_000] {
            let (full, without, ..) = ablated(&model, &recipe, &pairs, "block", budget);
            let plain = Scoring { batch_tokens: budget, ..recipe.clone() };
            assert_eq!(full, score(&model, &plain, &pairs), "the same bits as plain scoring");
            for (layer, rows) in without.iter().enumerate() {
                let kept = (0..4).filter(|kept| *kept != layer as u32).collect();
                let pruned = load(&ModelSource { kept_layers: Some(kept), ..ModelSource::new(&directory) });
                near(rows, &score(&pruned, &recipe, &pairs));
                let (changes, status) = change(&full[0], &rows[0]);
                assert_eq!(status, Status::Scored);
                assert_eq!(changes[0], rows[0].values[0].zip(full[0].values[0]).map(|(a, b)| a - b));
            }
        }
    }
}

#[test]
fn a_part_is_left_out_alone() {
    let root = directory();
    let directory = checkpoint(root.path(), V2, None);
    let model = load(&ModelSource::new(&directory));
    let (recipe, pairs) = (recipe(&["llr", "distance"]), snvs(96, 1));
    for (part, module) in [("attention", "attention.output.dense"), ("mlp", "output.dense")] {
        let (_, without, _, evaluations) = ablated(&model, &recipe, &pairs, part, 4096);
        assert_eq!(evaluations % (4 + 6 + 4), 0);
        for (layer, rows) in without.iter().enumerate() {
            // Before norms, a part that gives nothing is not part.
            let mut silent = weights(V2, None);
            for (name, _, values) in &mut silent {
                if name.starts_with(&format!("esm.encoder.layer.{layer}.{module}.")) {
                    values.fill(0.0);
                }
            }
            rewrite(&directory, &silent);
            near(rows, &score(&load(&ModelSource::new(&directory)), &recipe, &pairs));
        }
        rewrite(&directory, &weights(V2, None));
    }
}

#[test]
fn layers_below_the_removed_one_are_run_once() {
    let root = directory();
    for (layers, expected) in [(1, 1), (12, 78), (24, 300)] {
        let directory = root.path().join(layers.to_string());
        write_checkpoint(&directory, &SyntheticShape { layers, ..SyntheticShape::tiny(V2) }, 3)
            .expect("written");
        let model = load(&ModelSource::new(&directory));
        let recipe = recipe(&["llr"]);
        let (.., movement, evaluations) = ablated(&model, &recipe, &snvs(60, 1), "block", 4096);
        assert_eq!(evaluations, expected, "one batch: both strands of a site");
        for layer in movement {
            assert_eq!(layer.passes, 2);
            assert!(layer.influence > 0.0 && layer.angle > 0.0 && layer.angle < 2.0, "{layer:?}");
        }
    }
}

#[test]
fn what_is_not_finite_has_no_change() {
    let row = |value: Option<f32>, status| Row::of_values(vec![value], status);
    let full = row(Some(1.5), Status::Scored);
    assert_eq!(change(&full, &row(Some(1.0), Status::Scored)), (vec![Some(-0.5)], Status::Scored));
    assert_eq!(change(&full, &row(None, Status::NonFinite)), (vec![None], Status::NonFinite));
    let unsuited = row(None, Status::UnsupportedAllele);
    assert_eq!(change(&unsuited, &unsuited), (vec![None], Status::UnsupportedAllele));
}
