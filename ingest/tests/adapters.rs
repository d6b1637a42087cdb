//! Adapters are merged as their papers say, or refused with the reason.

use std::path::{Path, PathBuf};

use crate::support::{
    checkpoint, configure, directory, load, lora, numbers, recipe, rewrite, score, snvs, weights,
    write_adapter,
};
use serde_json::{Value, json};
use vestore_ingest::synthetic::{NamedWeight, SyntheticFamily};
use vestore_ingest::{ModelError, ModelSource, describe};

const V2: SyntheticFamily = SyntheticFamily::NucleotideTransformerV2;
const H: usize = 32;

fn adapted(checkpoint: &Path, adapter: &Path) -> ModelSource {
    ModelSource { adapter: Some(adapter.to_owned()), ..ModelSource::new(checkpoint) }
}

/// The `LoRA` pair of one module.
fn pair(module: &str, rank: usize, outputs: usize, inputs: usize, seed: u64) -> Vec<NamedWeight> {
    let name = |part| format!("base_model.model.{module}.{part}.weight");
    vec![
        numbers(&name("lora_A"), &[rank, inputs], seed),
        numbers(&name("lora_B"), &[outputs, rank], seed + 1),
    ]
}

fn query(layer: usize) -> String {
    format!("esm.encoder.layer.{layer}.attention.self.query")
}

fn queries(rank: impl Fn(usize) -> usize) -> Vec<NamedWeight> {
    (0..4).flat_map(|layer| pair(&query(layer), rank(layer), H, H, layer as u64)).collect()
}

/// up [outputs, rank] · down [rank, inputs] · scaling, added to a weight in float64.
fn add(weight: &mut NamedWeight, up: &NamedWeight, down: &NamedWeight, scaling: f64) {
    let (rank, inputs) = (down.1[0], down.1[1]);
    for (at, value) in weight.2.iter_mut().enumerate() {
        let (row, column) = (at / inputs, at % inputs);
        let product: f64 =
            (0..rank).map(|k| f64::from(up.2[row * rank + k]) * f64::from(down.2[k * inputs + column])).sum();
        *value = (f64::from(*value) + scaling * product) as f32;
    }
}

/// Scores of the adapted checkpoint equal those of a checkpoint whose weights were changed by hand.
fn equals_by_hand(config: &Value, adapter: &[NamedWeight], change: impl Fn(&mut Vec<NamedWeight>)) {
    family_equals_by_hand(V2, &["llr", "distance"], config, adapter, change);
}

fn family_equals_by_hand(
    family: SyntheticFamily,
    kinds: &[&'static str],
    config: &Value,
    adapter: &[NamedWeight],
    change: impl Fn(&mut Vec<NamedWeight>),
) {
    let root = directory();
    let model = checkpoint(root.path(), family, None);
    let place = root.path().join("adapter");
    write_adapter(&place, config, adapter);
    let (recipe, pairs) = (recipe(kinds), snvs(96, 2));
    let source = adapted(&model, &place);
    let base = score(&load(&ModelSource::new(&model)), &recipe, &pairs);
    let found = score(&load(&source), &recipe, &pairs);
    assert_ne!(
        describe(&source).expect("a model").id,
        describe(&ModelSource::new(&model)).expect("a model").id
    );
    let mut by_hand = weights(family, None);
    change(&mut by_hand);
    rewrite(&model, &by_hand);
    let expected = score(&load(&ModelSource::new(&model)), &recipe, &pairs);
    let mut moved = 0f32;
    for ((found, expected), base) in found.iter().zip(&expected).zip(&base) {
        for ((found, expected), base) in found.values.iter().zip(&expected.values).zip(&base.values) {
            let (found, expected) = (found.expect("a score"), expected.expect("a score"));
            assert!((found - expected).abs() < 2e-4, "{found} {expected}");
            moved = moved.max((found - base.expect("a score")).abs());
        }
    }
    assert!(moved > 1e-2, "the adapter moves scores: {moved}");
}

fn named<'a>(weights: &'a mut [NamedWeight], name: &str) -> &'a mut NamedWeight {
    weights.iter_mut().find(|(key, ..)| key == name).expect(name)
}

#[test]
fn ranks_and_scales_follow_their_patterns() {
    // Layer 1 has rank 4 and alpha 16 of its own; ranks are stabilized; layer 3 is left out.
    let config = lora(json!({
        "rank_pattern": { "layer.1.attention.self.query": 4 }, "alpha_pattern": { r"layer\.1\..*query": 16 },
        "use_rslora": true, "layers_to_transform": [0, 1, 2],
    }));
    let rank = |layer| if layer == 1 { 4 } else { 2 };
    let mut adapter = queries(rank);
    adapter.truncate(6);
    equals_by_hand(&config, &adapter, |weights| {
        for layer in 0..3 {
            let alpha = if layer == 1 { 16.0 } else { 6.0 };
            let scaling = alpha / (rank(layer) as f64).sqrt();
            let weight = named(weights, &format!("{}.weight", query(layer)));
            add(weight, &adapter[2 * layer + 1], &adapter[2 * layer], scaling);
        }
    });
}

#[test]
fn biases_and_regular_expressions_are_honoured() {
    let config =
        lora(json!({ "target_modules": r".*\.self\.query", "bias": "lora_only", "lora_bias": true }));
    let mut adapter = queries(|_| 2);
    for layer in 0..4 {
        adapter.push(numbers(
            &format!("base_model.model.{}.lora_B.bias", query(layer)),
            &[H],
            50 + layer as u64,
        ));
        adapter.push(numbers(
            &format!("base_model.model.{}.base_layer.bias", query(layer)),
            &[H],
            60 + layer as u64,
        ));
    }
    equals_by_hand(&config, &adapter, |weights| {
        for layer in 0..4 {
            add(
                named(weights, &format!("{}.weight", query(layer))),
                &adapter[2 * layer + 1],
                &adapter[2 * layer],
                3.0,
            );
            let bias = named(weights, &format!("{}.bias", query(layer)));
            let (extra, own) = (&adapter[8 + 2 * layer].2, &adapter[9 + 2 * layer].2);
            bias.2 = own.iter().zip(extra).map(|(own, extra)| own + 3.0 * extra).collect();
        }
    });
}

#[test]
fn vera_takes_a_corner_of_the_shared_matrices() {
    let config = json!({ "peft_type": "VERA", "r": 3, "target_modules": ["query"], "save_projection": true });
    let mut adapter =
        vec![numbers("base_model.vera_A", &[3, H + 9], 1), numbers("base_model.vera_B", &[H + 5, 3], 2)];
    for layer in 0..4 {
        let name = |part| format!("base_model.model.{}.{part}", query(layer));
        adapter.push(numbers(&name("vera_lambda_d"), &[3], 10 + layer as u64));
        adapter.push(numbers(&name("vera_lambda_b"), &[H], 20 + layer as u64));
    }
    let strong: Vec<NamedWeight> = adapter
        .iter()
        .map(|(name, shape, numbers)| {
            (name.clone(), shape.clone(), numbers.iter().map(|n| n * 5.0).collect())
        })
        .collect();
    equals_by_hand(&config, &strong, |weights| {
        for layer in 0..4 {
            let (down_scale, up_scale) = (&strong[2 + 2 * layer].2, &strong[3 + 2 * layer].2);
            let down = (0..3 * H).map(|at| strong[0].2[at / H * (H + 9) + at % H] * down_scale[at / H]);
            let up = (0..H * 3).map(|at| strong[1].2[at] * up_scale[at / 3]);
            let down = (String::new(), vec![3, H], down.collect());
            let up = (String::new(), vec![H, 3], up.collect());
            add(named(weights, &format!("{}.weight", query(layer))), &up, &down, 1.0);
        }
    });
    refused(
        &json!({ "peft_type": "VERA", "r": 3, "target_modules": ["query"] }),
        &adapter[2..],
        "save_projection",
    );
}

/// Checks that an adapter for the v2 checkpoint is refused with `words` in the message.
fn refused(config: &Value, adapter: &[NamedWeight], words: &str) {
    let root = directory();
    let model = checkpoint(root.path(), V2, None);
    let place = root.path().join("adapter");
    write_adapter(&place, config, adapter);
    let error = describe(&adapted(&model, &place)).expect_err(words).to_string();
    assert!(error.contains(words), "{error}");
}

#[test]
fn what_cannot_be_merged_is_refused_with_its_reason() {
    let good = queries(|_| 2);
    refused(&lora(json!({ "target_modules": ["Wqkv"] })), &good, "names no module");
    refused(&lora(json!({ "target_modules": ["query", "value"] })), &good, "lacks");
    refused(&lora(json!({ "target_modules": ["value"] })), &good, "lacks");
    refused(&lora(json!({ "r": 3 })), &good, "[3, 32]");
    refused(&lora(json!({ "r": 2.5 })), &good, "a whole number");
    refused(&lora(json!({})), &queries(|layer| 2 + layer / 3), "lora_A");
    refused(&lora(json!({ "layers_to_transform": [0, 1] })), &good, "neither its target_modules nor");
    refused(&lora(json!({ "use_dora": true })), &good, "lora_magnitude_vector");
    for (key, value) in [
        ("fan_in_fan_out", json!(true)),
        ("layer_replication", json!([[0, 4]])),
        ("init_lora_weights", json!("pissa")),
        ("init_lora_weights", json!("pissa_niter_16")),
        ("init_lora_weights", json!("olora")),
        ("init_lora_weights", json!("corda")),
        ("init_lora_weights", json!("loftq")),
        ("init_lora_weights", json!("lora_ga")),
        ("target_parameters", json!(["x"])),
        ("use_superlora", json!(true)),
        ("use_bdlora", json!({ "nblocks": 2 })),
        ("r", json!(-1)),
        ("bias", json!("some")),
        ("bias", json!(true)),
    ] {
        refused(&lora(json!({ key: value })), &good, key);
    }
    refused(&json!({ "peft_type": "PREFIX_TUNING", "target_modules": ["query"] }), &good, "PREFIX_TUNING");
    let mut flat = good.clone();
    flat.push(("base_model.model.classifier.out_proj.weight".to_owned(), Vec::new(), vec![1.0]));
    refused(&lora(json!({ "task_type": "SEQ_CLS" })), &flat, "classifier");
    let mut extra = good.clone();
    extra.push(numbers("base_model.model.esm.encoder.layer.0.LayerNorm.weight", &[H], 1));
    refused(&lora(json!({})), &extra, "encoder.layer.0.LayerNorm.weight");
}

#[test]
fn a_saved_head_comes_with_the_adapter_and_a_lost_pooler_is_told() {
    let root = directory();
    let model = checkpoint(root.path(), V2, None);
    let place = root.path().join("adapter");
    let config = lora(json!({ "task_type": "SEQ_CLS", "modules_to_save": ["classifier"] }));
    let mut adapter = queries(|_| 2);
    for (name, shape) in [
        ("dense.weight", vec![H, H]),
        ("dense.bias", vec![H]),
        ("out_proj.weight", vec![3, H]),
        ("out_proj.bias", vec![3]),
    ] {
        adapter.push(numbers(&format!("base_model.model.classifier.{name}"), &shape, 5));
    }
    write_adapter(&place, &config, &adapter);
    let description = describe(&adapted(&model, &place)).expect("a model");
    assert_eq!((description.labels, description.adapter_kind), (Some(3), Some("lora")));
    score(&load(&adapted(&model, &place)), &recipe(&["classifier"]), &snvs(60, 1));

    let model = checkpoint(root.path(), SyntheticFamily::Dnabert2, None);
    let config = lora(json!({ "task_type": "SEQ_CLS", "target_modules": ["Wqkv"] }));
    let module = |layer| format!("bert.encoder.layer.{layer}.attention.self.Wqkv");
    let mut adapter: Vec<NamedWeight> =
        (0..4).flat_map(|layer| pair(&module(layer), 2, 3 * H, H, 1)).collect();
    adapter.push(numbers("base_model.model.classifier.weight", &[2, H], 1));
    adapter.push(numbers("base_model.model.classifier.bias", &[2], 1));
    write_adapter(&place, &config, &adapter);
    let error = describe(&adapted(&model, &place)).expect_err("a random pooler");
    assert!(matches!(&error, ModelError::NoPooler { key, .. } if key == "pooler.dense.weight"), "{error}");
}

#[test]
fn layers_of_a_pruned_model_are_numbered_as_said() {
    let root = directory();
    let model = checkpoint(root.path(), V2, None);
    let [original, pruned] = ["original", "pruned"].map(|name| root.path().join(name));
    // Trained on layers 1 and 3 of the checkpoint: 0 and 1 of the pruned model.
    let both = |layers: [usize; 2]| -> Vec<NamedWeight> {
        layers.into_iter().zip([1, 3]).flat_map(|(layer, seed)| pair(&query(layer), 2, H, H, seed)).collect()
    };
    write_adapter(&original, &lora(json!({ "layers_to_transform": [1, 3] })), &both([1, 3]));
    write_adapter(&pruned, &lora(json!({})), &both([0, 1]));
    let source = |adapter: &PathBuf, adapter_layers| ModelSource {
        kept_layers: Some(vec![1, 3]),
        adapter_layers,
        ..adapted(&model, adapter)
    };
    let [first, second] = [source(&original, None), source(&pruned, Some(vec![1, 3]))];
    assert_eq!(describe(&first).expect("a model"), describe(&second).expect("a model"));
    let (recipe, pairs) = (recipe(&["distance"]), snvs(60, 1));
    assert_eq!(score(&load(&first), &recipe, &pairs), score(&load(&second), &recipe, &pairs));
    let error = describe(&source(&original, Some(vec![1, 3]))).expect_err("layer 3 of 2").to_string();
    assert!(error.contains("layer 3") && error.contains("--adapter-layers original"), "{error}");
}

/// A bottleneck of four inner numbers, of which the first two always pass the `ReLU` and the last two never
/// do; what its biases add cancels. So it is the matrix I + up·down over the first two.
fn bottleneck(module: &str, seed: u64) -> Vec<NamedWeight> {
    let key = |part: &str| format!("base_model.model.{module}_adapter.{part}");
    let mut down = numbers(&key("down.weight"), &[4, H], seed);
    down.2.iter_mut().for_each(|number| *number *= 0.1);
    let up = numbers(&key("up.weight"), &[H, 4], seed + 1);
    let bias = [8.0, 8.0, -8.0, -8.0];
    let cancel = (0..H).map(|row| -8.0 * (up.2[row * 4] + up.2[row * 4 + 1])).collect();
    vec![down, (key("down.bias"), vec![4], bias.to_vec()), up, (key("up.bias"), vec![H], cancel)]
}

/// Applies I + up·down over the first two inner numbers to the outputs of a module.
fn apply(weights: &mut [NamedWeight], module: &str, bottleneck: &[NamedWeight]) {
    let (down, up) = (&bottleneck[0].2, &bottleneck[2].2);
    for part in ["weight", "bias"] {
        let key = format!("{module}.{part}");
        let Some((_, shape, values)) = weights.iter_mut().find(|(name, ..)| *name == key) else { continue };
        let width = shape.get(1).copied().unwrap_or(1);
        let before = values.clone();
        for (at, value) in values.iter_mut().enumerate() {
            let (row, column) = (at / width, at % width);
            let inner = |k: usize| -> f64 {
                (0..H).map(|j| f64::from(down[k * H + j]) * f64::from(before[j * width + column])).sum()
            };
            let change: f64 = (0..2).map(|k| f64::from(up[row * 4 + k]) * inner(k)).sum();
            *value = (f64::from(*value) + change) as f32;
        }
    }
}

#[test]
fn bottlenecks_stand_before_both_residuals() {
    let config = json!({ "peft_type": "HOULSBY", "latent": 4 });
    for (family, prefix, mlp, kind) in
        [(V2, "esm", "output.dense", "llr"), (SyntheticFamily::Dnabert2, "bert", "mlp.wo", "pll")]
    {
        let name = |layer: u64, part: &str| format!("{prefix}.encoder.layer.{layer}.{part}");
        let parts = |layer| [("attention", 8 * layer), ("mlp", 8 * layer + 4)];
        let adapter: Vec<NamedWeight> = (0..4)
            .flat_map(|layer| parts(layer).map(|(part, seed)| bottleneck(&name(layer, part), seed)))
            .flatten()
            .collect();
        family_equals_by_hand(family, &[kind, "distance"], &config, &adapter, |weights| {
            for layer in 0..4 {
                let [first, second] = parts(layer).map(|(part, seed)| bottleneck(&name(layer, part), seed));
                apply(weights, &name(layer, "attention.output.dense"), &first);
                apply(weights, &name(layer, mlp), &second);
            }
        });
    }
}

#[test]
fn bottlenecks_belong_to_the_model_and_must_be_whole() {
    let root = directory();
    let model = checkpoint(root.path(), V2, None);
    let place = root.path().join("adapter");
    let config = json!({ "peft_type": "HOULSBY", "latent": 4, "target": ["attention"] });
    let weights = |layers: std::ops::Range<u64>| -> Vec<NamedWeight> {
        layers.flat_map(|layer| bottleneck(&format!("encoder.layer.{layer}.attention"), layer)).collect()
    };
    write_adapter(&place, &config, &weights(0..4));
    let whole = describe(&adapted(&model, &place)).expect("a model");
    assert_eq!(whole.adapter_kind, Some("houlsby"));
    write_adapter(&place, &config, &weights(1..5).into_iter().collect::<Vec<_>>());
    let error = describe(&adapted(&model, &place)).expect_err("layer 0 lacks its own").to_string();
    assert!(error.contains("encoder.layer.0.attention_adapter.down.weight"), "{error}");
    // Trained on the layers 1 and 3 alone, and numbered so.
    write_adapter(&place, &config, &weights(0..2));
    let pruned = ModelSource {
        kept_layers: Some(vec![1, 3]),
        adapter_layers: Some(vec![1, 3]),
        ..adapted(&model, &place)
    };
    assert_ne!(describe(&pruned).expect("a model").id, whole.id);
    let pairs = snvs(96, 1);
    assert_eq!(score(&load(&pruned), &recipe(&["llr"]), &pairs).len(), pairs.len());
    write_adapter(&place, &json!({ "peft_type": "HOULSBY", "latent": 5 }), &weights(0..4));
    assert!(describe(&adapted(&model, &place)).expect_err("another width").to_string().contains("[5, 32]"));
}

/// The identity of the v2 checkpoint under an adapter.
fn id_of(root: &Path, config: &Value, adapter: &[NamedWeight]) -> [u8; 32] {
    let (model, place) = (checkpoint(root, V2, None), root.join("adapter"));
    write_adapter(&place, config, adapter);
    describe(&adapted(&model, &place)).unwrap_or_else(|error| panic!("{error}")).id
}

fn renamed(adapter: &[NamedWeight], rename: impl Fn(&str) -> String) -> Vec<NamedWeight> {
    adapter.iter().map(|(name, shape, numbers)| (rename(name), shape.clone(), numbers.clone())).collect()
}

fn with(adapter: &[NamedWeight], more: Vec<NamedWeight>) -> Vec<NamedWeight> {
    adapter.iter().cloned().chain(more).collect()
}

/// A weight of the checkpoint as an adapter's file names it, perhaps with rows of zeros added.
fn copy(name: &str, rows: usize) -> NamedWeight {
    let (_, mut shape, mut numbers) = named(&mut weights(V2, None), name).clone();
    numbers.extend(vec![0.0; rows * shape.get(1).copied().unwrap_or(1)]);
    shape[0] += rows;
    (format!("base_model.model.{name}"), shape, numbers)
}

#[test]
fn what_changes_no_score_is_passed_over() {
    let root = directory();
    let (config, good) = (lora(json!({})), queries(|_| 2));
    let plain = id_of(root.path(), &config, &good);
    let words = "esm.embeddings.word_embeddings.weight";
    for more in [
        // `all-linear` also adapts modules that serve no score.
        pair("esm.contact_head.regression", 2, 1, 16, 1),
        pair("esm.pooler.dense", 2, H, H, 1),
        // PEFT saves embeddings and decoder beside the adapter, with rows for tokens that were added.
        vec![copy(words, 0)],
        vec![copy(words, 5), copy("lm_head.decoder.weight", 0)],
    ] {
        let name = more[0].0.clone();
        assert_eq!(id_of(root.path(), &config, &with(&good, more)), plain, "{name}");
    }
    let mut changed = copy(words, 0);
    changed.2[70] += 1.0;
    // PEFT loads it, so it counts.
    assert_ne!(id_of(root.path(), &config, &with(&good, vec![changed.clone()])), plain);
    changed = copy(words, 5);
    changed.2[70] += 1.0;
    refused(&config, &with(&good, vec![changed]), "more tokens than the checkpoint has rows");
}

#[test]
fn a_state_dict_of_a_model_under_training_is_read() {
    let root = directory();
    let (config, good) = (lora(json!({})), queries(|_| 2));
    let plain = id_of(root.path(), &config, &good);
    let named = renamed(&good, |name| name.replace(".weight", ".mine.weight"));
    assert_eq!(id_of(root.path(), &config, &named), plain);
    for prefix in ["module.", "_orig_mod."] {
        assert_eq!(id_of(root.path(), &config, &renamed(&good, |name| format!("{prefix}{name}"))), plain);
    }
    let compiled = renamed(&good, |name| name.replace("model.esm.", "model._orig_mod.esm."));
    assert_eq!(id_of(root.path(), &config, &compiled), plain);
    let two: Vec<NamedWeight> = with(&named, renamed(&good, |name| name.replace(".weight", ".other.weight")));
    refused(&config, &two, "2 adapters: mine, other");
}

#[test]
fn copies_of_a_saved_head_are_one_head() {
    let root = directory();
    let model = checkpoint(root.path(), V2, Some(2));
    let place = root.path().join("adapter");
    let config =
        lora(json!({ "bias": "all", "task_type": "SEQ_CLS", "modules_to_save": ["classifier", "score"] }));
    let head = |name: &str, shape: &[usize], seed| {
        numbers(&format!("base_model.model.classifier.{name}"), shape, seed)
    };
    let own = vec![
        head("dense.weight", &[H, H], 1),
        head("dense.bias", &[H], 2),
        head("out_proj.weight", &[2, H], 3),
        head("out_proj.bias", &[2], 4),
    ];
    let good = with(&queries(|_| 2), own);
    write_adapter(&place, &config, &good);
    let plain = describe(&adapted(&model, &place)).expect("a model").id;
    let copies = |seed| {
        vec![
            head("modules_to_save.default.dense.bias", &[H], seed),
            head("original_module.dense.bias", &[H], 9),
        ]
    };
    write_adapter(&place, &config, &with(&good, copies(2)));
    assert_eq!(describe(&adapted(&model, &place)).expect("a model").id, plain);
    write_adapter(&place, &config, &with(&good, copies(5)));
    let error = describe(&adapted(&model, &place)).expect_err("two heads").to_string();
    assert!(error.contains("modules_to_save.default.dense.bias") && error.contains("twice"), "{error}");
    // Of what is listed nothing may be missing.
    for lost in 4..8 {
        let lost = good.len() - 8 + lost;
        let mut without = good.clone();
        let (name, ..) = without.remove(lost);
        write_adapter(&place, &config, &without);
        let error = describe(&adapted(&model, &place)).expect_err(&name).to_string();
        assert!(
            error.contains(name.trim_start_matches("base_model.model.")) && error.contains("modules_to_save"),
            "{error}"
        );
    }
    // Norms may still be called as in TensorFlow.
    let norm =
        |end: &str| numbers(&format!("base_model.model.esm.encoder.emb_layer_norm_after.{end}"), &[H], 3);
    let config = lora(json!({ "modules_to_save": ["emb_layer_norm_after"] }));
    let ids = [["weight", "bias"], ["gamma", "beta"]].map(|[weight, bias]| {
        id_of(root.path(), &config, &with(&queries(|_| 2), vec![norm(weight), norm(bias)]))
    });
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn a_tied_decoder_keeps_the_embeddings_that_an_adapter_changes() {
    let v1 = SyntheticFamily::NucleotideTransformerV1;
    let root = directory();
    let model = checkpoint(root.path(), v1, None);
    let words = "esm.embeddings.word_embeddings";
    let mut tied = weights(v1, None);
    tied.retain(|(name, ..)| name != "lm_head.decoder.weight");
    rewrite(&model, &tied);
    configure(&model, |config| config["tie_word_embeddings"] = json!(true));
    let name = |part: &str| format!("base_model.model.{words}.lora_embedding_{part}");
    let rows = named(&mut tied.clone(), &format!("{words}.weight")).1[0];
    let adapter = vec![numbers(&name("A"), &[2, rows], 1), numbers(&name("B"), &[H, 2], 2)];
    let place = root.path().join("adapter");
    write_adapter(&place, &lora(json!({ "target_modules": ["word_embeddings"] })), &adapter);
    let (recipe, pairs) = (recipe(&["llr"]), snvs(96, 2));
    let found = score(&load(&adapted(&model, &place)), &recipe, &pairs);
    // By hand: changed embeddings under a decoder of its own, which is what they were.
    let mut untied = tied.clone();
    let before = named(&mut untied, &format!("{words}.weight")).clone();
    untied.push(("lm_head.decoder.weight".to_owned(), before.1.clone(), before.2.clone()));
    let (down, up) = (&adapter[0].2, &adapter[1].2);
    let table = named(&mut untied, &format!("{words}.weight"));
    for (at, number) in table.2.iter_mut().enumerate() {
        let (row, column) = (at / H, at % H);
        *number += 3.0 * (0..2).map(|k| up[column * 2 + k] * down[k * rows + row]).sum::<f32>();
    }
    rewrite(&model, &untied);
    configure(&model, |config| config["tie_word_embeddings"] = json!(false));
    let expected = score(&load(&ModelSource::new(&model)), &recipe, &pairs);
    tied.push(untied.pop().expect("the decoder"));
    rewrite(&model, &tied);
    let bare = score(&load(&ModelSource::new(&model)), &recipe, &pairs);
    let value = |rows: &[vestore_ingest::Row], at: usize| rows[at].values[0].expect("a score");
    for at in 0..pairs.len() {
        assert!((value(&found, at) - value(&expected, at)).abs() < 2e-4, "{at}");
    }
    assert!((0..pairs.len()).any(|at| (value(&found, at) - value(&bare, at)).abs() > 1e-2));
}

#[test]
fn folders_that_are_taken_for_others_are_told() {
    let root = directory();
    let model = checkpoint(root.path(), V2, None);
    let above = root.path().join("above");
    write_adapter(&above.join("default"), &lora(json!({})), &queries(|_| 2));
    let error = describe(&adapted(&model, &above)).expect_err("a folder above").to_string();
    assert!(
        error.contains("adapter `default`") && error.contains("--adapter") && error.contains("above/default"),
        "{error}"
    );
    let error = describe(&ModelSource::new(above.join("default"))).expect_err("an adapter").to_string();
    assert!(error.contains("is an adapter") && error.contains("--adapter"), "{error}");
    write_adapter(&model, &lora(json!({})), &queries(|_| 2));
    let error = describe(&ModelSource::new(&model)).expect_err("both in one folder").to_string();
    assert!(error.contains("holds an adapter beside the model") && error.contains("--adapter"), "{error}");
    let applied = describe(&adapted(&model, &model)).expect("a model");
    let apart = describe(&adapted(&model, &above.join("default"))).expect("a model");
    assert_eq!(applied.id, apart.id);
}

#[test]
fn an_adapter_of_another_base_is_told() {
    let root = directory();
    let (model, place) = (checkpoint(root.path(), V2, None), root.path().join("adapter"));
    let folder = model.file_name().expect("a name").to_str().expect("text").to_owned();
    let base = |stated: Value| {
        write_adapter(&place, &lora(json!({ "base_model_name_or_path": stated })), &queries(|_| 2));
        describe(&adapted(&model, &place)).expect("a model").adapter_base
    };
    assert_eq!(base(json!("lab/another-model")), Some("lab/another-model".to_owned()));
    for own in [Value::Null, json!(""), json!(folder), json!(format!("/elsewhere/{folder}/"))] {
        assert_eq!(base(own.clone()), None, "{own}");
    }
    configure(&model, |config| config["_name_or_path"] = json!("lab/nt-v2"));
    assert_eq!(base(json!("nt-v2")), None);
    assert_eq!(base(json!("nt-v1")), Some("nt-v1".to_owned()));
}
