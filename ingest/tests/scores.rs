//! Scores do not depend on batching, are missing where they are not defined, and never lie.

use std::sync::Arc;

use crate::support::{
    FAMILIES, Scoring, checkpoint, configure, directory, load, recipe, refusal, rewrite, score, snv, snvs,
    weights, window,
};
use serde_json::json;
use tch::{Device, Kind, Tensor};
use vestore_ingest::synthetic::SyntheticFamily;
use vestore_ingest::{
    EncoderWindow, GridWindow, Model, ModelSource, Outputs, ScoreError, Scorer, Strands, TokenOutput,
    TokenPass, WindowPair, Work, grid_window_start, reverse_complement, rows,
};
use vestore_schema::Status;

const V1: SyntheticFamily = SyntheticFamily::NucleotideTransformerV1;

fn kinds(family: SyntheticFamily) -> Vec<&'static str> {
    match family {
        SyntheticFamily::Dnabert2 | SyntheticFamily::Dnagrinder => vec!["distance", "pll"],
        _ => vec!["llr", "distance", "pll"],
    }
}

#[test]
fn batches_change_nothing_that_matters() {
    for family in FAMILIES {
        let root = directory();
        let model = load(&ModelSource::new(checkpoint(root.path(), family, None)));
        let mut pairs = snvs(48, 3);
        pairs.extend(snvs(30, 2));
        let whole = recipe(&kinds(family));
        let single = Scoring { batch_tokens: 1, ..whole.clone() };
        let rows = score(&model, &whole, &pairs);
        assert_eq!(rows, score(&model, &whole, &pairs), "the same batches give the same bits");
        for (together, alone) in rows.iter().zip(score(&model, &single, &pairs)) {
            for (together, alone) in together.values.iter().zip(alone.values) {
                assert!((together.expect("a score") - alone.expect("a score")).abs() < 2e-5);
            }
        }
    }
}

#[test]
fn the_last_layer_for_the_tokens_that_are_read_gives_what_the_whole_layer_gives() {
    for family in FAMILIES {
        let root = directory();
        let model = load(&ModelSource::new(checkpoint(root.path(), family, None)));
        let likelihood = |bases: &[u8]| -> f64 {
            let tokens = model.tokenizer().encode(bases).expect("tokens");
            let one = |place: usize| {
                let mut ids = tokens.ids.clone();
                ids[place] = model.tokenizer().mask_id().expect("a mask");
                let hidden = model.hidden(&Tensor::from_slice(&ids).unsqueeze(0)).expect("states");
                let logits = model.masked_logits(&hidden.select(1, place as i64)).expect("logits");
                logits.log_softmax(-1, Kind::Double).double_value(&[0, tokens.ids[place]])
            };
            tokens.content().map(one).sum()
        };
        let (reference, alternate) = (window(61, 4), [b'A'; 61]);
        let expected = likelihood(&alternate) - likelihood(&reference);
        let pair = WindowPair { alternate: alternate.as_slice().into(), ..snv(&reference, b'A') };
        let recipe = Scoring { strands: Strands::Forward, ..recipe(&["pll"]) };
        let rows = score(&model, &recipe, &[pair]);
        let found = f64::from(rows[0].values[0].expect("a score"));
        assert!((found - expected).abs() < 1e-4, "{family:?}: {found} {expected}");
    }
}

#[test]
fn alternates_of_a_site_share_their_passes() {
    let root = directory();
    let model = load(&ModelSource::new(checkpoint(root.path(), V1, None)));
    let passes = |kinds: &[&'static str], pairs: &[WindowPair]| -> usize {
        let recipe = Scoring { strands: Strands::Forward, ..recipe(kinds) };
        let work = recipe.work(&model, pairs);
        (0..work.batches()).map(|batch| work.size(batch).0).sum()
    };
    let site = snvs(60, 1);
    assert_eq!(passes(&["llr"], &site), 1);
    assert_eq!(passes(&["distance"], &site), 1 + 3);
    assert_eq!(passes(&["llr", "distance"], &site), 1 + 1 + 3);
    // With the token of the variant masked, both windows are the same.
    assert_eq!(passes(&["pll"], &site[..1]), 10 + 9);
    assert_eq!(passes(&["pll"], &site), 10 + 3 * 9);
    assert_eq!(passes(&["llr", "pll"], &site), 10 + 3 * 9);
}

#[test]
fn one_grid_window_serves_the_eighteen_snvs_of_a_word() {
    let root = directory();
    let model = load(&ModelSource::new(checkpoint(root.path(), V1, None)));
    let genome = window(600, 5);
    let windows: Vec<EncoderWindow> = (300..306u32)
        .flat_map(|position| {
            let start = grid_window_start(position, 60, 6) as usize;
            assert_eq!(start, 300 - 30);
            let bases: Arc<[u8]> = genome[start..start + 60].into();
            let grid = Some(GridWindow { bases, position: position - start as u32 });
            let centred = &genome[position as usize - 30..position as usize + 30];
            let old = genome[position as usize];
            let others: Vec<u8> = b"ACGT".iter().copied().filter(|base| *base != old).collect();
            others.into_iter().map(move |base| EncoderWindow { pair: snv(centred, base), grid: grid.clone() })
        })
        .collect();
    assert_eq!(windows.len(), 18);
    let recipe = recipe(&["llr-grid"]);
    let scorer = recipe.scorer(&model).expect("a scorer");
    let work = scorer.plan(&windows, true).expect("work");
    assert_eq!((0..work.batches()).map(|batch| work.size(batch).0).sum::<usize>(), 2, "one pass a strand");
    let rows = rows(&scorer, &model, &windows).expect("rows");
    assert!(rows.iter().all(|row| row.values[0].is_some() && row.status == Status::Scored));
    let without = score(&model, &recipe, &[snv(&window(60, 1), b'A')]);
    assert_eq!(without[0].values, [None], "no window, no score");
}

#[test]
fn undefined_scores_are_missing_and_told() {
    let root = directory();
    let model = load(&ModelSource::new(checkpoint(root.path(), V1, None)));
    let llr = recipe(&["llr"]);
    let mut reference = window(60, 9);
    reference[30] = b'C';
    let mut beside = reference.clone();
    beside[31] = b'N';
    let mut unknown = reference.clone();
    unknown[30] = b'N';
    let deletion = WindowPair { reference_length: 3, ..snv(&reference, b'G') };
    let pairs = [
        snv(&reference, b'G'),
        snv(&beside, b'G'),
        snv(&unknown, b'G'),
        snv(&reference, b'N'),
        deletion.clone(),
    ];
    let rows = score(&model, &llr, &pairs);
    let status: Vec<Status> = rows.iter().map(|row| row.status).collect();
    let expected =
        [Status::Scored, Status::Scored, Status::NonAcgt, Status::NonAcgt, Status::UnsupportedAllele];
    assert_eq!(status, expected);
    assert!(rows[2..].iter().all(|row| row.values == [None, None, None]));
    let both = score(&model, &recipe(&["llr", "distance"]), &[deletion]);
    assert_eq!((both[0].status, both[0].values[0]), (Status::Scored, None));
    assert!(both[0].values[3].is_some());
}

#[test]
fn what_the_model_cannot_give_is_refused() {
    let root = directory();
    let bert = load(&ModelSource::new(checkpoint(root.path(), SyntheticFamily::Dnabert2, None)));
    let classifier = load(&ModelSource::new(checkpoint(root.path(), V1, Some(2))));
    for (model, kind) in [(&bert, "llr"), (&bert, "llr-grid"), (&bert, "classifier"), (&classifier, "pll")] {
        assert!(matches!(recipe(&[kind]).scorer(model), Err(ScoreError::Unsupported { .. })), "{kind}");
    }
    let long = snv(&window(6001, 1), b'A');
    let limit = classifier.description().max_tokens;
    assert_eq!(limit, Some(1000));
    let scorer = recipe(&["classifier"]).scorer(&classifier).expect("a scorer");
    let error = scorer.plan(&[EncoderWindow::from(long)], true).expect_err("too long");
    assert!(error.to_string().contains("--window 5994"), "{error}");
}

#[test]
fn scores_that_mask_need_a_mask_token() {
    let root = directory();
    let directory = checkpoint(root.path(), SyntheticFamily::Dnabert2, None);
    let file = directory.join("tokenizer.json");
    let text = std::fs::read_to_string(&file).expect("a tokenizer");
    assert!(text.contains("\"[MASK]\""));
    std::fs::write(&file, text.replace("\"[MASK]\"", "\"[HIDE]\"")).expect("written");
    let model = load(&ModelSource::new(&directory));
    let error = recipe(&["pll"]).scorer(&model).err().expect("no mask").to_string();
    assert!(error.contains("score `pll`, which needs a mask token"), "{error}");
    assert_eq!(score(&model, &recipe(&["distance"]), &snvs(60, 1))[0].status, Status::Scored);
}

#[test]
fn nan_is_never_a_number() {
    let root = directory();
    let directory = checkpoint(root.path(), V1, None);
    let mut weights = weights(V1, None);
    let bias = weights
        .iter_mut()
        .find(|(name, ..)| name == "esm.encoder.emb_layer_norm_after.bias")
        .expect("a bias");
    bias.2[0] = f32::NAN;
    rewrite(&directory, &weights);
    let model = load(&ModelSource::new(&directory));
    for row in score(&model, &recipe(&["llr", "distance"]), &snvs(60, 1)) {
        assert_eq!(row.status, Status::NonFinite);
        assert!(row.values.iter().all(Option::is_none));
    }
}

#[test]
fn strands_average_their_finished_scores() {
    let root = directory();
    let model = load(&ModelSource::new(checkpoint(root.path(), V1, None)));
    let kinds = ["llr", "distance"];
    let pair = snvs(60, 1).remove(0);
    let turned = WindowPair {
        reference: reverse_complement(&pair.reference).into(),
        alternate: reverse_complement(&pair.alternate).into(),
        centre: 59 - pair.centre,
        ..pair.clone()
    };
    let one = Scoring { strands: Strands::Forward, ..recipe(&kinds) };
    let [forward, reverse] =
        [&pair, &turned].map(|pair| score(&model, &one, std::slice::from_ref(pair)).remove(0));
    let both = score(&model, &recipe(&kinds), &[pair]).remove(0);
    for (column, one) in [(1, &forward), (2, &reverse)] {
        let difference = both.values[column].expect("a score") - one.values[0].expect("a score");
        assert!(difference.abs() < 1e-6, "{difference}");
    }
    let [f, r, b] =
        [forward.values[2], reverse.values[2], both.values[3]].map(|value| value.expect("a distance"));
    assert!((f32::midpoint(f, r) - b).abs() < 1e-5, "{f} {r} {b}");
}

#[test]
fn bfloat16_is_near_and_long_byte_pair_windows_run() {
    let root = directory();
    let source = ModelSource::new(checkpoint(root.path(), SyntheticFamily::Dnabert2, None));
    let (exact, rough) = (load(&source), Model::load(&source, Device::Cpu, Kind::BFloat16).expect("a model"));
    let distance = recipe(&["distance"]);
    let pairs = snvs(120, 2);
    for (exact, rough) in score(&exact, &distance, &pairs).iter().zip(score(&rough, &distance, &pairs)) {
        let difference = exact.values[6].expect("a cosine") - rough.values[6].expect("a cosine");
        assert!(difference.abs() < 0.05, "{difference}");
    }
    // 4 heads × 4,000² numbers would be more than one block.
    let rows = score(&exact, &Scoring { strands: Strands::Forward, ..distance }, &snvs(14_000, 1)[..1]);
    assert_eq!(rows[0].status, Status::Scored);
}

#[test]
fn stages_can_run_on_threads_of_their_own() {
    fn moves<T: Send>() {}
    fn is_shared<T: Send + Sync>() {}
    moves::<Model>();
    is_shared::<vestore_ingest::Tokenizer>();
    is_shared::<Work<TokenPass, TokenOutput>>();
    is_shared::<Outputs<TokenOutput>>();
}

#[test]
fn labels_and_numbers_are_not_classes() {
    for family in [V1, SyntheticFamily::Dnabert2] {
        let root = directory();
        let directory = checkpoint(root.path(), family, Some(3));
        let (pairs, forward) =
            (snvs(60, 2), Scoring { strands: Strands::Forward, ..recipe(&["classifier"]) });
        let softmax = load(&ModelSource::new(&directory));
        configure(&directory, |config| config["problem_type"] = json!("multi_label_classification"));
        let model = load(&ModelSource::new(&directory));
        assert_ne!(model.description().id, softmax.description().id);
        let logits = |bases: &[u8]| {
            let ids = model.tokenizer().encode(bases).expect("tokens").ids;
            let hidden = model.hidden(&Tensor::from_slice(&ids).unsqueeze(0)).expect("states");
            model.class_logits(&hidden).expect("logits").double_value(&[0, 1])
        };
        for (pair, row) in pairs.iter().zip(score(&model, &forward, &pairs)) {
            let (reference, alternate) = (logits(&pair.reference), logits(&pair.alternate));
            let expected = [1.0 / (1.0 + (-alternate).exp()), alternate - reference];
            for (found, expected) in row.values.iter().zip(expected) {
                assert!((f64::from(found.expect("a score")) - expected).abs() < 1e-5);
            }
        }
        configure(&directory, |config| config["problem_type"] = json!("regression"));
        let error = refusal(&directory);
        assert!(error.contains("`problem_type` is \"regression\"") && error.contains("3 outputs"), "{error}");
    }
    // One output is a number, or a label; the softmax of one is always 1.
    let root = directory();
    let directory = checkpoint(root.path(), V1, Some(1));
    configure(&directory, |config| config["problem_type"] = json!("single_label_classification"));
    let error = refusal(&directory);
    assert!(error.contains("`problem_type` is \"single_label") && error.contains("1 output"), "{error}");
    for (problem, kind, other) in [
        (json!(null), "regression", "classifier"),
        (json!("regression"), "regression", "classifier"),
        (json!("multi_label_classification"), "classifier", "regression"),
    ] {
        configure(&directory, |config| config["problem_type"] = problem.clone());
        let model = load(&ModelSource::new(&directory));
        assert!(recipe(&[other]).scorer(&model).is_err(), "{problem}");
        let rows = score(&model, &recipe(&[kind]), &snvs(60, 1));
        assert!(
            rows.iter().all(|row| row.status == Status::Scored && row.values.iter().all(Option::is_some))
        );
    }
}
