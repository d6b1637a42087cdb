//! One identity whatever the container; a refusal with file, key and remedy for every broken checkpoint.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::{
    FAMILIES, checkpoint, configure, directory, load, recipe, refusal, refusal_of, rewrite, score, snvs,
    weights, write_bin, zip,
};
use serde_json::json;
use vestore_ingest::synthetic::{NamedWeight, SyntheticFamily, write_safetensors};
use vestore_ingest::{ModelError, ModelSource, describe};

const V1: SyntheticFamily = SyntheticFamily::NucleotideTransformerV1;
const V2: SyntheticFamily = SyntheticFamily::NucleotideTransformerV2;

fn id(directory: &Path) -> [u8; 32] {
    describe(&ModelSource::new(directory)).expect("a model").id
}

/// The same checkpoint with its weights in two shards.
fn shard(directory: &Path, weights: &[NamedWeight]) {
    fs::remove_file(directory.join("model.safetensors")).expect("removed");
    let (front, back) = weights.split_at(weights.len() / 2);
    let mut places = serde_json::Map::new();
    for (name, part) in
        [("model-00001-of-00002.safetensors", front), ("model-00002-of-00002.safetensors", back)]
    {
        write_safetensors(&directory.join(name), part).expect("written");
        places.extend(part.iter().map(|(key, ..)| (key.clone(), json!(name))));
    }
    let index = json!({ "metadata": {}, "weight_map": places });
    fs::write(directory.join("model.safetensors.index.json"), index.to_string()).expect("written");
}

#[test]
fn the_container_is_no_part_of_the_identity() {
    for family in FAMILIES {
        let roots = [(); 5].map(|()| directory());
        let [whole, shards, bin, turned, bare] =
            roots.each_ref().map(|root| checkpoint(root.path(), family, None));
        let weights = weights(family, None);
        shard(&shards, &weights);
        for (directory, transposed) in [(&bin, false), (&turned, true)] {
            fs::remove_file(directory.join("model.safetensors")).expect("removed");
            write_bin(&directory.join("pytorch_model.bin"), &weights, transposed);
        }
        let strip = |name: &str| {
            ["esm.", "bert.", "dnagrinder."]
                .iter()
                .find_map(|prefix| name.strip_prefix(prefix))
                .unwrap_or(name)
                .to_owned()
        };
        let stripped: Vec<NamedWeight> =
            weights.iter().map(|(name, shape, n)| (strip(name), shape.clone(), n.clone())).collect();
        rewrite(&bare, &stripped);
        let ids: BTreeSet<[u8; 32]> =
            [&whole, &shards, &bin, &turned, &bare].into_iter().map(|d| id(d)).collect();
        assert_eq!(ids.len(), 1, "{family:?}");
        let loaded = load(&ModelSource::new(&turned));
        assert_eq!(loaded.description(), &describe(&ModelSource::new(&turned)).expect("a description"));
        let kinds = recipe(&["distance"]);
        let pairs = snvs(60, 2);
        assert_eq!(score(&loaded, &kinds, &pairs), score(&load(&ModelSource::new(&whole)), &kinds, &pairs));
    }
}

#[test]
fn whatever_changes_numbers_changes_the_identity() {
    let root = directory();
    let model = checkpoint(root.path(), SyntheticFamily::Dnabert2, None);
    let first = id(&model);
    let mut pruned = ModelSource::new(&model);
    pruned.kept_layers = Some(vec![0, 1, 3]);
    let mut ids = BTreeSet::from([first, describe(&pruned).expect("pruned").id]);
    configure(&model, |config| config["layer_norm_eps"] = json!(1e-5));
    ids.insert(id(&model));
    configure(&model, |config| config["layer_norm_eps"] = json!(1e-12));
    let mut changed = weights(SyntheticFamily::Dnabert2, None);
    changed[9].2[3] += 1e-3;
    rewrite(&model, &changed);
    ids.insert(id(&model));
    rewrite(&model, &weights(SyntheticFamily::Dnabert2, None));
    let file = model.join("tokenizer.json");
    let mut tokenizer: serde_json::Value =
        serde_json::from_slice(&fs::read(&file).expect("read")).expect("JSON");
    fs::write(&file, serde_json::to_string_pretty(&tokenizer).expect("JSON")).expect("written");
    assert_eq!(id(&model), first, "spelling is not part of it");
    configure(&model, |config| config["transformers_version"] = json!("5"));
    assert_eq!(id(&model), first, "fields that the encoder does not use are no part of it");
    tokenizer["model"]["merges"].as_array_mut().expect("merges").swap(0, 1);
    fs::write(&file, tokenizer.to_string()).expect("written");
    ids.insert(id(&model));
    assert_eq!(ids.len(), 5);
}

#[test]
fn a_tied_decoder_counts_once_and_must_be_tied() {
    let root = directory();
    let model = checkpoint(root.path(), SyntheticFamily::Dnabert2, None);
    let (without, mut weights) =
        (describe(&ModelSource::new(&model)).expect("a model"), weights(SyntheticFamily::Dnabert2, None));
    let table =
        weights.iter().find(|(name, ..)| name.ends_with("word_embeddings.weight")).expect("a table").clone();
    weights.push(("cls.predictions.decoder.weight".to_owned(), table.1, table.2));
    rewrite(&model, &weights);
    assert_eq!(describe(&ModelSource::new(&model)).expect("a model"), without);
    weights.last_mut().expect("the decoder").2[0] += 1.0;
    rewrite(&model, &weights);
    assert!(refusal(&model).contains("differs from the embeddings"));
}

#[test]
fn half_precision_files_load() {
    for (name, narrow) in [
        ("BF16", (|number: f32| half::bf16::from_f32(number).to_le_bytes()) as fn(f32) -> [u8; 2]),
        ("F16", |number| half::f16::from_f32(number).to_le_bytes()),
    ] {
        let root = directory();
        let model = checkpoint(root.path(), V2, None);
        let full = load(&ModelSource::new(&model));
        let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
        for (key, shape, numbers) in weights(V2, None) {
            let start = data.len();
            data.extend(numbers.iter().flat_map(|number| narrow(*number)));
            header.insert(key, json!({ "dtype": name, "shape": shape, "data_offsets": [start, data.len()] }));
        }
        let header = serde_json::Value::Object(header).to_string();
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        fs::write(model.join("model.safetensors"), bytes).expect("written");
        let rounded = load(&ModelSource::new(&model));
        assert_ne!(rounded.description().id, full.description().id);
        let (kinds, pairs) = (recipe(&["llr"]), snvs(96, 3));
        for (rough, exact) in score(&rounded, &kinds, &pairs).iter().zip(score(&full, &kinds, &pairs)) {
            let difference = rough.values[0].expect("a score") - exact.values[0].expect("a score");
            assert!(difference.abs() < 0.05, "{name}: {difference}");
        }
    }
}

#[test]
fn broken_weights_are_refused_with_file_and_key() {
    let root = directory();
    let model = checkpoint(root.path(), V1, None);
    let good = weights(V1, None);
    let change = |change: &dyn Fn(&mut Vec<NamedWeight>)| {
        let mut weights = good.clone();
        change(&mut weights);
        rewrite(&model, &weights);
        refusal(&model)
    };
    let query = "encoder.layer.2.attention.self.query.weight";
    let missing = change(&|weights| weights.retain(|(name, ..)| !name.ends_with(query)));
    assert!(
        missing.contains(query)
            && missing.contains("lacks 1 weights")
            && missing.contains("model.safetensors"),
        "{missing}"
    );
    let extra = change(&|weights| {
        weights.push(crate::support::numbers("esm.encoder.layer.9.LayerNorm.bias", &[32], 1));
    });
    assert!(extra.contains("encoder.layer.9.LayerNorm.bias") && extra.contains("no place for"), "{extra}");
    let shape = change(&|weights| {
        let weight = weights.iter_mut().find(|(name, ..)| name.ends_with(query)).expect("a weight");
        weight.1 = vec![16, 64];
    });
    assert!(shape.contains("[16, 64]") && shape.contains("[32, 32]") && shape.contains(query), "{shape}");
    let twice = change(&|weights| {
        let bare = weights[3].0.trim_start_matches("esm.").to_owned();
        weights.push((bare, weights[3].1.clone(), weights[3].2.clone()));
    });
    assert!(twice.contains("twice"), "{twice}");
    let head = change(&|weights| weights.retain(|(name, ..)| name != "lm_head.decoder.weight"));
    assert!(head.contains("lm_head.decoder.weight"), "{head}");
    rewrite(&model, &good);
    // Weights that published files hold and nothing uses are no reason to refuse.
    let mut harmless = good.clone();
    harmless.push(crate::support::numbers("esm.contact_head.regression.weight", &[1, 16], 1));
    harmless.push(crate::support::numbers("esm.contact_head.regression.bias", &[1], 1));
    let first = id(&model);
    rewrite(&model, &harmless);
    assert_eq!(id(&model), first);
}

#[test]
fn damaged_files_are_refused_and_never_panic() {
    let root = directory();
    let model = checkpoint(root.path(), V2, None);
    let file = model.join("model.safetensors");
    let good = fs::read(&file).expect("read");
    for end in [0, 4, 8, 100, good.len() / 2, good.len() - 1] {
        fs::write(&file, &good[..end]).expect("written");
        assert!(refusal(&model).contains("model.safetensors"), "cut at {end}");
    }
    let mut lying = good.clone();
    lying[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    fs::write(&file, lying).expect("written");
    assert!(refusal(&model).contains("safetensors"));
    fs::remove_file(&file).expect("removed");
    assert!(refusal(&model).contains("holds no weights"));
    let bin = model.join("pytorch_model.bin");
    write_bin(&bin, &weights(V2, None)[..6], false);
    let good = fs::read(&bin).expect("read");
    // Every byte of the pickle and of the directory changed once: refused or harmless, never a panic.
    for at in (0..3000).chain(good.len() - 800..good.len()).step_by(3) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x5a;
        fs::write(&bin, &bytes).expect("written");
        refusal(&model);
    }
    for end in [0, 3, 30, 1000, good.len() - 30, good.len() - 1] {
        fs::write(&bin, &good[..end]).expect("written");
        refusal(&model);
    }
    fs::write(&bin, zip(&[("m/data.pkl".to_owned(), b"\x80\x02cposix\nsystem\n(X\x02\0\0\0idtR.".to_vec())]))
        .expect("written");
    let hostile = refusal(&model);
    assert!(hostile.contains("posix system"), "{hostile}");
}

#[test]
fn shards_are_checked_against_their_index() {
    let root = directory();
    let model = checkpoint(root.path(), V1, None);
    shard(&model, &weights(V1, None));
    let index = model.join("model.safetensors.index.json");
    let good = fs::read_to_string(&index).expect("read");
    fs::write(&index, good.replacen("00001-of", "00002-of", 1)).expect("written");
    assert!(refusal(&model).contains("does not hold it"));
    fs::write(&index, good.replacen("model-00001", "../model-00001", 1)).expect("written");
    assert!(refusal(&model).contains("not a plain file name"));
    fs::write(&index, good).expect("written");
    fs::remove_file(model.join("model-00002-of-00002.safetensors")).expect("removed");
    assert!(refusal(&model).contains("model-00002-of-00002.safetensors"));
}

#[test]
fn configurations_and_tokenizers_must_fit() {
    let root = directory();
    let model = checkpoint(root.path(), V2, None);
    let with = |key: &str, value: serde_json::Value| {
        let saved = fs::read(model.join("config.json")).expect("read");
        configure(&model, |config| config[key] = value);
        let refused = refusal(&model);
        fs::write(model.join("config.json"), saved).expect("written");
        refused
    };
    assert!(with("num_attention_heads", json!(5)).contains("num_attention_heads"));
    assert!(with("hidden_size", json!(-3)).contains("hidden_size"));
    assert!(with("num_hidden_layers", json!(4_000_000_000_u64)).contains("num_hidden_layers"));
    assert!(with("num_hidden_layers", json!(5)).contains("lacks"));
    assert!(with("position_embedding_type", json!("relative_key")).contains("position_embedding_type"));
    assert!(with("emb_layer_norm_before", json!(true)).contains("emb_layer_norm_before"));
    // The vocabulary of v1 beside a model of v2.
    fs::write(model.join("vocab.txt"), "<unk>\n<pad>\n<mask>\n<cls>\nAAAAAA").expect("written");
    assert!(refusal(&model).contains("vocab.txt"));
    fs::remove_file(model.join("vocab.txt")).expect("removed");
    let other = checkpoint(root.path(), SyntheticFamily::Dnabert2, None);
    configure(&other, |config| config["vocab_size"] = json!(4096));
    assert!(refusal(&other).contains("[4096"));
    // A tokenizer of fewer words than the embeddings have rows.
    let short = checkpoint(root.path(), SyntheticFamily::Dnagrinder, None);
    let file = short.join("tokenizer.json");
    let mut tokenizer: serde_json::Value =
        serde_json::from_slice(&fs::read(&file).expect("read")).expect("JSON");
    let merges = tokenizer["model"]["merges"].as_array_mut().expect("merges");
    let last = merges.pop().expect("a merge").as_str().expect("a pair").replace(' ', "");
    tokenizer["model"]["vocab"].as_object_mut().expect("words").remove(&last);
    fs::write(&file, tokenizer.to_string()).expect("written");
    let refused = refusal(&short);
    assert!(
        refused.contains("tokens, the embeddings have") && refused.contains("tokenizer.json"),
        "{refused}"
    );
    configure(&other, |config| *config = json!({ "model_type": "gpt2" }));
    let unknown = refusal(&other);
    assert!(
        unknown.contains("gpt2") && unknown.contains("nucleotide-transformer, dnabert2, dnagrinder"),
        "{unknown}"
    );
    fs::write(other.join("config.json"), "[]").expect("written");
    assert!(refusal(&other).contains("config.json"));
}

#[test]
fn layer_numbers_are_checked() {
    let root = directory();
    let model = checkpoint(root.path(), V1, None);
    for (kept, words) in [(vec![0, 4], "layers 0 to 3"), (vec![], "no layer"), (vec![1, 1], "twice")] {
        let mut source = ModelSource::new(&model);
        source.kept_layers = Some(kept);
        assert!(refusal_of(&source).contains(words));
    }
    // A classifier whose pooler was never saved cannot be reproduced.
    let classifier = checkpoint(root.path(), SyntheticFamily::Dnabert2, Some(2));
    let mut weights = weights(SyntheticFamily::Dnabert2, Some(2));
    weights.retain(|(name, ..)| !name.contains("pooler"));
    rewrite(&classifier, &weights);
    assert!(matches!(describe(&ModelSource::new(&classifier)), Err(ModelError::NoPooler { .. })));
}

#[test]
fn names_from_wrappers_and_older_programs_are_read() {
    let root = directory();
    let model = checkpoint(root.path(), V1, None);
    let plain = id(&model);
    let renamed = |rename: &dyn Fn(&str) -> String| -> Vec<NamedWeight> {
        weights(V1, None).into_iter().map(|(name, shape, numbers)| (rename(&name), shape, numbers)).collect()
    };
    for prefix in ["module.", "_orig_mod.", "model.", "module._orig_mod.", "model.module."] {
        rewrite(&model, &renamed(&|name| format!("{prefix}{name}")));
        assert_eq!(id(&model), plain, "{prefix}");
        let told = describe(&ModelSource::new(&model)).expect("a model").wrapper.expect("a wrapper");
        assert!(prefix.starts_with(&told) || told == prefix, "{told}");
    }
    assert_eq!(
        describe(&ModelSource::new(checkpoint(&root.path().join("bare"), V1, None)))
            .expect("a model")
            .wrapper,
        None
    );
    rewrite(&model, &renamed(&|name| name.replace("esm.encoder.", "esm._orig_mod.encoder.")));
    assert_eq!(id(&model), plain);
    rewrite(
        &model,
        &renamed(&|name| {
            let name = name.replace("LayerNorm.weight", "LayerNorm.gamma");
            name.replace("LayerNorm.bias", "LayerNorm.beta")
        }),
    );
    assert_eq!(id(&model), plain);
    rewrite(&model, &renamed(&|name| format!("net.{name}")));
    let refused = refusal(&model);
    assert!(refused.contains("prefix `net.") && refused.contains("model.safetensors"), "{refused}");
    // A prefix of some is not one of all.
    rewrite(&model, &renamed(&|name| name.replace("lm_head.", "module.lm_head.")));
    assert!(refusal(&model).contains("module."), "{}", refusal(&model));
}

/// Adds rows of `value` to the tables over the vocabulary.
fn padded(weights: &[NamedWeight], tables: &[&str], rows: usize, value: f32) -> Vec<NamedWeight> {
    let mut weights = weights.to_vec();
    for (name, shape, numbers) in &mut weights {
        if tables.contains(&name.as_str()) {
            numbers.extend(vec![value; rows * shape.get(1).copied().unwrap_or(1)]);
            shape[0] += rows;
        }
    }
    weights
}

#[test]
fn rows_beyond_the_vocabulary_are_not_used() {
    for (family, tables, tokens) in [
        (V1, ["esm.embeddings.word_embeddings.weight", "lm_head.decoder.weight", "lm_head.bias"], 4105_u64),
        (V2, ["esm.embeddings.word_embeddings.weight", "lm_head.decoder.weight", "lm_head.bias"], 4107),
    ] {
        let root = directory();
        let model = checkpoint(root.path(), family, None);
        let (recipe, pairs) = (recipe(&["llr", "distance"]), snvs(96, 2));
        let plain = score(&load(&ModelSource::new(&model)), &recipe, &pairs);
        let weights = weights(family, None);
        rewrite(&model, &padded(&weights, &tables, 4160 - tokens as usize, 0.3));
        configure(&model, |config| config["vocab_size"] = json!(4160));
        assert_eq!(score(&load(&ModelSource::new(&model)), &recipe, &pairs), plain, "{family:?}");
        // Not a multiple of 8, or far too many: another tokenizer's.
        for rows in [4161, 4110, 8192] {
            rewrite(&model, &padded(&weights, &tables, rows - tokens as usize, 0.3));
            configure(&model, |config| config["vocab_size"] = json!(rows));
            assert!(refusal(&model).contains(&rows.to_string()), "{}", refusal(&model));
        }
    }
    let root = directory();
    let model = checkpoint(root.path(), SyntheticFamily::Dnabert2, None);
    let weights = weights(SyntheticFamily::Dnabert2, None);
    let words = "bert.embeddings.word_embeddings.weight";
    let rows = weights.iter().find(|(name, ..)| name == words).expect("words").1[0];
    let more = (rows + 1).next_multiple_of(64);
    rewrite(&model, &padded(&weights, &[words, "cls.predictions.decoder.bias"], more - rows, 0.3));
    configure(&model, |config| config["vocab_size"] = json!(more));
    let pairs = snvs(96, 1);
    assert_eq!(score(&load(&ModelSource::new(&model)), &recipe(&["distance"]), &pairs).len(), pairs.len());
}

#[test]
fn a_key_that_changes_numbers_is_honoured_or_refused() {
    let refused = |family, key: &str, value: serde_json::Value| {
        let root = directory();
        let model = checkpoint(root.path(), family, None);
        configure(&model, |config| config[key] = value.clone());
        let refused = refusal(&model);
        assert!(refused.contains(&format!("`{key}`")) && refused.contains("config.json"), "{key}: {refused}");
    };
    let harmless = |family, key: &str, value: serde_json::Value| {
        let root = directory();
        let model = checkpoint(root.path(), family, None);
        let plain = id(&model);
        configure(&model, |config| config[key] = value.clone());
        assert_eq!(id(&model), plain, "{key}");
    };
    for (key, value) in [
        ("is_decoder", json!(true)),
        ("add_cross_attention", json!(true)),
        ("emb_layer_norm_before", json!(true)),
        ("is_folding_model", json!(true)),
        ("pad_token_id", json!(0)),
        ("mask_token_id", json!(32)),
        ("rescaling_factor", json!(2.0)),
        ("pruned_heads", json!({ "0": [1] })),
        ("quantization_config", json!({ "quant_method": "gptq" })),
        ("position_embedding_type", json!("relative_key")),
        ("problem_type", json!("ranking")),
        // Of no published code, and about what an encoder computes.
        ("attention_scale", json!(0.5)),
        ("sliding_window", json!(128)),
    ] {
        refused(V1, key, value);
    }
    for (key, value) in [
        ("rope_theta", json!(0)),
        ("rope_theta", json!("far")),
        ("rope_scaling", json!({ "rope_type": "yarn", "factor": 4.0 })),
        ("rope_parameters", json!({ "rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0 })),
        ("partial_rotary_factor", json!(0.5)),
    ] {
        refused(V2, key, value);
    }
    refused(SyntheticFamily::Dnabert2, "hidden_act", json!("relu"));
    refused(SyntheticFamily::Dnabert2, "quantization_config", json!({ "bits": 4 }));
    refused(SyntheticFamily::Dnagrinder, "is_decoder", json!(true));
    for family in FAMILIES {
        for (key, value) in [
            ("is_decoder", json!(false)),
            ("quantization_config", json!(null)),
            ("pruned_heads", json!({})),
            ("attention_probs_dropout_prob", json!(0.3)),
            ("attention_dropout", json!(0.1)),
            ("use_flash_attention", json!(true)),
            ("torch_dtype", json!("bfloat16")),
            ("temperature", json!(1.0)),
            ("my_lab", json!("of somebody")),
            ("problem_type", json!("single_label_classification")),
        ] {
            harmless(family, key, value);
        }
    }
    // DNABERT-2's code reads neither.
    harmless(SyntheticFamily::Dnabert2, "is_decoder", json!(true));
    harmless(SyntheticFamily::Dnabert2, "position_embedding_type", json!("rotary"));
}

#[test]
fn byte_order_marks_are_passed_over_and_utf_16_is_refused() {
    for family in [V1, SyntheticFamily::Dnabert2] {
        let root = directory();
        let model = checkpoint(root.path(), family, None);
        let plain = id(&model);
        let texts = ["config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json"];
        for file in texts.map(|name| model.join(name)).iter().filter(|file| file.exists()) {
            let text = fs::read_to_string(file).expect("text");
            fs::write(file, format!("\u{feff}{text}")).expect("written");
            assert_eq!(id(&model), plain, "{}", file.display());
        }
        load(&ModelSource::new(&model));
        for file in texts[..3].iter().map(|name| model.join(name)).filter(|file| file.exists()) {
            let marked = fs::read_to_string(&file).expect("text");
            let wide: Vec<u8> = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
            fs::write(&file, wide).expect("written");
            let error = refusal(&model);
            assert!(error.contains("UTF-16") && error.contains("iconv"), "{error}");
            fs::write(&file, marked).expect("written");
        }
    }
}

#[test]
fn the_base_of_rotary_positions_is_honoured() {
    let root = directory();
    let model = checkpoint(root.path(), V2, None);
    let (recipe, pairs) = (recipe(&["llr"]), snvs(96, 2));
    let (plain, scores) = (id(&model), score(&load(&ModelSource::new(&model)), &recipe, &pairs));
    configure(&model, |config| config["rope_theta"] = json!(10_000.0));
    assert_eq!(id(&model), plain);
    configure(&model, |config| config["rope_theta"] = json!(50.0));
    let other = id(&model);
    assert_ne!(other, plain);
    let moved = score(&load(&ModelSource::new(&model)), &recipe, &pairs);
    let far = |(one, other): (&vestore_ingest::Row, &vestore_ingest::Row)| {
        (one.values[0].expect("a score") - other.values[0].expect("a score")).abs() > 1e-3
    };
    assert!(scores.iter().zip(&moved).any(far));
    configure(&model, |config| {
        config["rope_theta"] = json!(null);
        config["rope_parameters"] = json!({ "rope_type": "default", "rope_theta": 50.0 });
    });
    assert_eq!(id(&model), other);
    // A table in the file, which older programs use, is that of the configuration.
    configure(&model, |config| config["rope_parameters"] = json!(null));
    let table = |base: f32| -> Vec<NamedWeight> {
        let numbers = (0..4).map(|at| base.powf(-(at as f32) / 4.0)).collect();
        let name = "esm.encoder.layer.0.attention.self.rotary_embeddings.inv_freq".to_owned();
        weights(V2, None).into_iter().chain([(name, vec![4], numbers)]).collect()
    };
    rewrite(&model, &table(10_000.0));
    assert_eq!(id(&model), plain);
    rewrite(&model, &table(50.0));
    assert!(refusal(&model).contains("rope_theta"), "{}", refusal(&model));
}
