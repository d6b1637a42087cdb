//! Model files that lie: each is refused with its name, in bounded memory, and nothing in it is run.

use std::fs;

use crate::support::{checkpoint, configure, directory, refusal, zip};
use serde_json::{Value, json};
use vestore_ingest::synthetic::SyntheticFamily;
use vestore_ingest::{ModelSource, describe};

const V2: SyntheticFamily = SyntheticFamily::NucleotideTransformerV2;

/// A safetensors file: its header, and the length that it claims to have.
fn tensors(header: &str, length: u64, data: usize) -> Vec<u8> {
    [&length.to_le_bytes(), header.as_bytes(), &vec![0; data]].concat()
}

#[test]
fn safetensors_that_lie_are_refused() {
    let root = directory();
    let model = checkpoint(root.path(), V2, None);
    let file = model.join("model.safetensors");
    let tensor = |shape: Value, from: u64, to: u64| json!({ "dtype": "F32", "shape": shape, "data_offsets": [from, to] });
    let two = |first: Value, second: Value| json!({ "a": first, "b": second }).to_string();
    let headers = [
        ("overlap", two(tensor(json!([2]), 0, 8), tensor(json!([2]), 4, 12)), 12),
        ("the same bytes", two(tensor(json!([2]), 0, 8), tensor(json!([2]), 0, 8)), 8),
        ("a gap", two(tensor(json!([1]), 0, 4), tensor(json!([1]), 8, 12)), 12),
        ("beyond the file", two(tensor(json!([1]), 0, 4), tensor(json!([9]), 4, 40)), 12),
        ("backwards", two(tensor(json!([1]), 4, 0), tensor(json!([1]), 4, 8)), 8),
        ("more shape than bytes", two(tensor(json!([1]), 0, 4), tensor(json!([4, 4]), 4, 8)), 8),
        ("a shape that overflows", two(tensor(json!([1]), 0, 4), tensor(json!([u64::MAX, 4]), 4, 8)), 8),
        ("a negative shape", two(tensor(json!([1]), 0, 4), tensor(json!([-1]), 4, 8)), 8),
        ("bytes that nobody claims", two(tensor(json!([1]), 0, 4), tensor(json!([1]), 4, 8)), 80),
        ("no object", "[1, 2]".to_owned(), 8),
        ("no type", json!({ "a": { "shape": [1], "data_offsets": [0, 4] } }).to_string(), 4),
    ];
    for (what, header, data) in headers {
        fs::write(&file, tensors(&header, header.len() as u64, data)).expect("written");
        let refused = refusal(&model);
        assert!(
            refused.contains("model.safetensors") && refused.contains("copy it again"),
            "{what}: {refused}"
        );
    }
    let header = json!({ "a": tensor(json!([1]), 0, 4) }).to_string();
    for length in [0, 1, header.len() as u64 - 1, header.len() as u64 + 1, 100_000_000, 1 << 40, u64::MAX] {
        fs::write(&file, tensors(&header, length, 4)).expect("written");
        let refused = refusal(&model);
        assert!(refused.contains("model.safetensors"), "{length}: {refused}");
    }
}

/// A pickle of `torch`'s archive, with storages of 16 bytes.
fn pickle(bytes: &[u8]) -> Vec<u8> {
    zip(&[("m/data.pkl".to_owned(), bytes.to_vec()), ("m/data/0".to_owned(), vec![0; 16])])
}

/// The start of a state dict up to the shape of its first tensor.
const TENSOR: &[u8] = b"\x80\x02}(X\x01\0\0\0actorch._utils\n_rebuild_tensor_v2\n(\
    (X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04tQK\0";

#[test]
fn pickles_that_are_no_tensors_are_refused() {
    let root = directory();
    let model = checkpoint(root.path(), V2, None);
    fs::remove_file(model.join("model.safetensors")).expect("removed");
    let with = |bytes: &[u8]| {
        fs::write(model.join("pytorch_model.bin"), pickle(bytes)).expect("written");
        let refused = refusal(&model);
        assert!(refused.contains("pytorch_model.bin"), "{refused}");
        refused
    };
    for (bytes, words) in [
        (b"\x80\x02K\x05.".as_slice(), "state dict"),
        (b"\x80\x02].", "state dict"),
        (b"\x80\x02X\x02\0\0\0hi.", "state dict"),
        (b"\x80\x02}X\x01\0\0\0aK\x01s.", "names and tensors only"),
        (b"\x80\x02}X\x01\0\0\0a}s.", "names and tensors only"),
        (b"\x80\x02ccollections\nOrderedDict\n.", "state dict"),
        (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x031+1\x85R.", "builtins eval"),
        (b"\x80\x02ctorch\nload\nX\x01\0\0\0x\x85R.", "torch load"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", "arguments of a call"),
    ] {
        let refused = with(bytes);
        assert!(refused.contains(words), "{words}: {refused}");
    }
    // Steps of nothing make much of little; so do numbers without end and one long name for many tensors.
    let four_billion = b"\x8a\x04\0\x28\x6b\x3b";
    let stretched = [TENSOR, b"(", four_billion, four_billion, b"t(K\0K\0t\x89NtRu."].concat();
    assert!(with(&stretched).contains("beyond its storage"));
    let beyond = [TENSOR, b"(K\x05t(K\x01t\x89NtRu."].concat();
    assert!(with(&beyond).contains("beyond its storage"));
    let sizes = b"K\x01".repeat(100_000);
    let deep = [TENSOR, b"(", &sizes, b"t(", &sizes, b"t\x89NtRu."].concat();
    assert!(with(&deep).contains("a tensor's shape"));
    let name = [b"\x80\x02}(X\0\0\x10\0".as_slice(), &b"a".repeat(1 << 20), b"q\0"].concat();
    let named =
        [&name, &TENSOR[10..], b"(K\x01t(K\x01t\x89NtRq\x01", &b"h\0h\x01".repeat(200_000), b"u."].concat();
    assert!(with(&named).contains("names of at most"));
}

#[test]
fn claimed_sizes_take_no_memory() {
    for family in [V2, SyntheticFamily::Dnabert2, SyntheticFamily::Dnagrinder] {
        let root = directory();
        let model = checkpoint(root.path(), family, None);
        let fields: Value =
            serde_json::from_slice(&fs::read(model.join("config.json")).expect("read")).expect("JSON");
        let numbers = fields.as_object().expect("fields").iter().filter(|(_, value)| value.is_u64());
        for (field, good) in numbers {
            for claimed in [0, 4_294_967_295_u64, 1 << 40, u64::MAX] {
                configure(&model, |config| config[field] = json!(claimed));
                // What the encoder does not need may be anything.
                if let Err(error) = describe(&ModelSource::new(&model)) {
                    assert!(error.to_string().contains('`'), "{field}: {error}");
                }
            }
            configure(&model, |config| config[field] = good.clone());
        }
    }
    let status = fs::read_to_string("/proc/self/status").expect("a status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let peak: u64 = peak.trim().trim_end_matches("kB").trim().parse().expect("kilobytes");
    assert!(peak < 1 << 20, "{peak} kB");
}

#[test]
fn token_ids_out_of_range_are_refused() {
    let root = directory();
    for family in [SyntheticFamily::Dnabert2, SyntheticFamily::Dnagrinder] {
        let model = checkpoint(root.path(), family, None);
        let file = model.join("tokenizer.json");
        let good: Value = serde_json::from_slice(&fs::read(&file).expect("read")).expect("JSON");
        let words = good["model"]["vocab"].as_object().expect("words");
        let (last, highest) = words.iter().max_by_key(|(_, id)| id.as_u64()).expect("a word");
        let rows = highest.as_u64().expect("a number") + 1;
        for id in [
            json!(rows),
            json!(u32::MAX),
            json!(1_u64 << 32),
            json!(u64::MAX),
            json!(-1),
            json!(1.5),
            json!("7"),
        ] {
            let mut changed = good.clone();
            changed["model"]["vocab"][last] = id.clone();
            fs::write(&file, changed.to_string()).expect("written");
            let refused = refusal(&model);
            assert!(refused.contains("tokenizer.json"), "{family:?}, {id}: {refused}");
        }
        let mut changed = good.clone();
        changed["post_processor"]["special_tokens"]["[CLS]"]["ids"] = json!([rows]);
        fs::write(&file, changed.to_string()).expect("written");
        let refused = refusal(&model);
        assert!(refused.contains("tokenizer.json"), "{family:?}: {refused}");
    }
}

#[test]
fn tokenizers_over_which_the_library_panics_are_refused() {
    let root = directory();
    let model = checkpoint(root.path(), SyntheticFamily::Dnabert2, None);
    let file = model.join("tokenizer.json");
    let good: Value = serde_json::from_slice(&fs::read(&file).expect("read")).expect("JSON");
    let split = |pattern: &str| json!({ "type": "Split", "pattern": { "Regex": pattern }, "behavior": "Isolated", "invert": false });
    let mut hostile = vec![("normalizer", json!({ "type": "Precompiled", "precompiled_charsmap": "" }))];
    hostile.push(("pre_tokenizer", json!({ "type": "FixedLength", "length": 0 })));
    // Steps back that grow exponentially.
    for pattern in ["(A|C|G|T|A)*(A+)+$Z", "((A+)+)+[XZ]", "(A|A)+[XZ]", "(A|AA)+$Z"] {
        hostile.push(("pre_tokenizer", split(pattern)));
    }
    for (part, rule) in hostile {
        let mut changed = good.clone();
        changed[part] = rule.clone();
        fs::write(&file, changed.to_string()).expect("written");
        let refused = refusal(&model);
        assert!(refused.contains("tokenizer.json"), "{rule}: {refused}");
    }
    let mut changed = good.clone();
    changed["model"]["continuing_subword_prefix"] = json!("##");
    fs::write(&file, changed.to_string()).expect("written");
    assert!(refusal(&model).contains("tokenizer.json"));
    // Honest ones go on to work.
    for pattern in ["[ACGTN]+", r"\w+|[^\w\s]+", r"N|[^N]+"] {
        let mut changed = good.clone();
        changed["pre_tokenizer"] = split(pattern);
        fs::write(&file, changed.to_string()).expect("written");
        assert!(describe(&ModelSource::new(&model)).is_ok(), "{pattern}");
    }
}

#[test]
fn tokenizers_that_unfold_are_refused() {
    let root = directory();
    let model = checkpoint(root.path(), SyntheticFamily::Dnabert2, None);
    let file = model.join("tokenizer.json");
    let good: Value = serde_json::from_slice(&fs::read(&file).expect("read")).expect("JSON");
    let replace =
        |content: String| json!({ "type": "Replace", "pattern": { "String": "A" }, "content": content });
    let sequence = |rules: Vec<Value>| json!({ "type": "Sequence", "normalizers": rules });
    let added: Vec<Value> = (0..300_000)
        .map(|id| {
            json!({ "id": id, "content": format!("<{id}>"), "special": true, "single_word": false,
                          "lstrip": false, "rstrip": false, "normalized": false })
        })
        .collect();
    for (part, rule) in [
        ("normalizer", sequence(vec![replace("AA".to_owned()); 40])),
        ("normalizer", sequence(vec![replace("A".repeat(1000)); 6])),
        ("normalizer", json!({ "type": "Prepend", "prepend": "A".repeat(1 << 20) })),
        ("added_tokens", Value::Array(added)),
    ] {
        let mut changed = good.clone();
        changed[part] = rule;
        fs::write(&file, changed.to_string()).expect("written");
        let refused = refusal(&model);
        assert!(refused.contains("tokenizer.json") && refused.contains(&part[..3]), "{refused}");
    }
    fs::File::create(&file).expect("made").set_len(65 << 20).expect("made long");
    assert!(refusal(&model).contains("larger than 64 MB"), "{}", refusal(&model));
}

#[test]
fn layers_that_share_a_storage_are_refused() {
    let root = directory();
    let model = checkpoint(root.path(), V2, None);
    fs::remove_file(model.join("model.safetensors")).expect("removed");
    // 26 tensors of one storage of a megabyte, of 262,144 numbers each.
    let wide = b"(\x8a\x03\0\0\x04t(K\x01t\x89NtR";
    let mut bytes = b"\x80\x02}(".to_vec();
    for number in 0..26u8 {
        bytes.extend([b'X', 1, 0, 0, 0, number + b'a']);
        bytes.extend(&TENSOR[10..]);
        bytes.extend(wide);
    }
    bytes.extend(b"u.");
    let file = zip(&[("m/data.pkl".to_owned(), bytes), ("m/data/0".to_owned(), vec![0; 1 << 20])]);
    fs::write(model.join("pytorch_model.bin"), &file).expect("written");
    assert!(refusal(&model).contains("share storages"), "{}", refusal(&model));
}

#[test]
fn a_named_pipe_is_not_waited_for() {
    let root = directory();
    for name in ["config.json", "model.safetensors", "tokenizer.json"] {
        let model = checkpoint(&root.path().join(name), SyntheticFamily::Dnabert2, None);
        fs::remove_file(model.join(name)).expect("removed");
        let made = std::process::Command::new("mkfifo").arg(model.join(name)).status().expect("mkfifo");
        assert!(made.success());
        let refused = refusal(&model);
        assert!(refused.contains(name) || refused.contains("holds no weights"), "{refused}");
    }
}
