//! Stores of somebody else's making whose checksums all fit: records and segments that no vestore wrote. Whatever they
//! say, a command ends with 0, 1 or 2, within bounds of time and memory, and changes nothing outside the store.

mod effects;
mod segments;

use std::fs;
use std::path::Path;
use std::process::Command;

use redb::{Database, ReadableTable};
use serde_json::{Value, json};
use vestore::{Store, score_batch};
use vestore_schema::Model;
use vestore_schema::catalog::{META, MODELS, RUNS, SEGMENTS, TRACKS};

use crate::support::ScoreKind;

use crate::programs::vestore;
use crate::support::{Random, new_store, random_row, rounds, run, track, write};

/// Kilobytes of address space and seconds that a command may take.
const KILOBYTES: u64 = 6_000_000;
const SECONDS: u64 = 30;

/// What is done with a forged store; `S` stands for it, `O` for a folder of outputs.
const COMMANDS: [&str; 22] = [
    "query S",
    "query S 1:1-500 --format json",
    "query S --format csv --wide",
    "query S --where llr>0 --count",
    "query S --embeddings",
    "query S --ablation",
    "query S --effects --top 2 --format json",
    "track mean S mean --tracks t,u",
    "info S",
    "verify S",
    "track list S",
    "track list S --format json",
    "model list S",
    "model show S m",
    "study list S",
    "explain S 1-10-A-C --track t",
    "diff S t u",
    "annotate S O/in.vcf O/out.vcf",
    "export S --format vcf -o O/x.vcf.gz",
    "export S --format parquet -o O/hive/",
    "compact S",
    "track remove S u",
];

fn model(name: &str, parent: Option<&str>) -> Model {
    let digest = "ab".repeat(32);
    serde_json::from_value(json!({
        "name": name, "id": digest, "family": "nucleotide-transformer-v1", "checkpoint": "/nowhere",
        "adapter": null, "adapter_layers": null, "copied": false, "parent": parent, "weights_digest": digest,
        "tokenizer_digest": digest, "adapter_digest": null, "adapter_kind": null, "config": {}, "layers": 4,
        "kept_layers": [0, 1, 2], "hidden": 64, "parameters": 1000, "weight_bytes": 4000, "masked_lm": true,
        "labels": null, "tokenizer": { "kmer": 6 }, "max_tokens": 100, "license": null, "note": null
    }))
    .unwrap()
}

/// A store with two tracks, models, runs and something retired.
fn filled(root: &Path) -> Store {
    let store = new_store(root, &["1", "2"]);
    let mut writer = store.writer("test").unwrap();
    let mut random = Random(17);
    writer.put_model(&model("m", None)).unwrap();
    for (number, name) in ["t", "u", "v"].into_iter().enumerate() {
        let track = track(name, ScoreKind::Llr);
        writer.put_track(&track).unwrap();
        for contig in 0..2 {
            let mut rows: Vec<_> = (0..40).map(|_| random_row(&mut random, &track, contig, 1000)).collect();
            rows.sort_by(|a, b| a.variant.cmp(&b.variant));
            rows.dedup_by(|a, b| a.variant == b.variant);
            let segment = write(&mut writer, &track, &rows);
            writer.commit(&[segment], &run(1 + number as u64, &track)).unwrap();
        }
    }
    writer.remove_track("v").unwrap();
    store
}

/// Changes one record by `change`, with a checksum that fits.
fn rewrite(root: &Path, table: &str, record: u64, change: impl FnOnce(&mut Value)) {
    let database = Database::open(root.join("catalog.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    let changed = |key: &str, old: &[u8]| {
        let text = String::from_utf8(old.to_vec()).unwrap();
        let mut value: Value = serde_json::from_str(text.split_once('\n').unwrap().0).unwrap();
        change(&mut value);
        let json = value.to_string();
        format!("{json}\n{:08x}", crc32fast::hash(format!("{key}\n{json}").as_bytes())).into_bytes()
    };
    match table {
        "segments" => {
            let mut table = transaction.open_table(SEGMENTS).unwrap();
            let (key, old) = {
                let entry = table.iter().unwrap().nth(record as usize % 4).unwrap().unwrap();
                let (table, track, contig, first, number) = entry.0.value();
                ((table.to_owned(), track.to_owned(), contig, first, number), entry.1.value().to_vec())
            };
            let name = format!("{}/{}/{}/{}/{}", key.0, key.1, key.2, key.3, key.4);
            let new = changed(&name, &old);
            table.insert((key.0.as_str(), key.1.as_str(), key.2, key.3, key.4), new.as_slice()).unwrap();
        }
        "runs" => {
            let mut table = transaction.open_table(RUNS).unwrap();
            let old = table.get(1).unwrap().unwrap().value().to_vec();
            let new = changed("1", &old);
            table.insert(1, new.as_slice()).unwrap();
        }
        other => {
            let (table, key) = match other {
                "models" => (MODELS, "m"),
                "tracks" => (TRACKS, if record.is_multiple_of(2) { "t" } else { "u" }),
                meta => (META, meta),
            };
            let mut table = transaction.open_table(table).unwrap();
            let old = table.get(key).unwrap().unwrap().value().to_vec();
            let new = changed(key, &old);
            table.insert(key, new.as_slice()).unwrap();
        }
    }
    transaction.commit().unwrap();
}

/// A value that nobody expects.
fn hostile(random: &mut Random) -> Value {
    match random.below(16) {
        0 => json!(u64::MAX),
        1 => json!(-1),
        2 => json!(0),
        3 => json!(1e300),
        4 => json!(u32::MAX),
        5 => json!(""),
        6 => json!("\u{1b}]0;owned\u{7}\u{1b}[31m\r\n\t"),
        7 => json!("../../../etc/passwd"),
        8 => json!("x".repeat(100_000)),
        9 => json!([]),
        10 => json!({}),
        11 => Value::Null,
        12 => json!(true),
        13 => json!("m"),
        14 => json!(random.below(1 << 40)),
        _ => json!("\u{202e}NaN"),
    }
}

/// Puts a hostile value somewhere into `value`.
fn disturb(value: &mut Value, random: &mut Random) {
    match value {
        Value::Object(fields) if !fields.is_empty() && random.below(12) > 0 => {
            let at = random.below(fields.len() as u64) as usize;
            let name = fields.keys().nth(at).unwrap().clone();
            if random.below(12) == 0 {
                fields.remove(&name);
            } else {
                disturb(&mut fields[&name], random);
            }
        }
        Value::Array(items) if !items.is_empty() && random.below(4) > 0 => match random.below(4) {
            0 => items.push(items[0].clone()),
            1 => items.reverse(),
            _ => {
                let at = random.below(items.len() as u64) as usize;
                disturb(&mut items[at], random);
            }
        },
        value => *value = hostile(random),
    }
}

/// Runs every command on a store; all must end as they should, and leave the rest of `folder` alone.
fn endure(folder: &Path, what: &str) {
    let outputs = folder.join("outputs");
    let (root, pristine) = (folder.join("store"), folder.join("pristine"));
    let guard = folder.join("guard");
    fs::write(&guard, "mine").unwrap();
    copy(&root, &pristine);
    for command in COMMANDS {
        drop(fs::remove_dir_all(&outputs));
        fs::create_dir(&outputs).unwrap();
        fs::write(outputs.join("in.vcf"), "##fileformat=VCFv4.2\n1\t10\t.\tA\tC\t.\t.\t.\n").unwrap();
        fs::remove_dir_all(&root).unwrap();
        copy(&pristine, &root);
        let words = command.split(' ').map(|word| match word {
            "S" => root.display().to_string(),
            word => word.replacen("O/", &format!("{}/", outputs.display()), 1),
        });
        let limits = format!("ulimit -v {KILOBYTES}; exec timeout {SECONDS} \"$@\"");
        let mut limited = Command::new("sh");
        limited.args(["-c", &limits, "sh"]).arg(vestore()).args(words);
        let output = limited.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0..=2)), "{what}: {command}: {}\n{told}", output.status);
        if command.ends_with("json") && output.status.success() {
            serde_json::from_slice::<Value>(&output.stdout)
                .unwrap_or_else(|error| panic!("{what}: {command}: {error}"));
        }
        for text in [&output.stdout, &output.stderr] {
            let escapes = text.iter().any(|byte| *byte < b' ' && !b"\n\t\r".contains(byte));
            assert!(!escapes, "{what}: {command} prints {:?}", String::from_utf8_lossy(text));
        }
        assert_eq!(fs::read(&guard).unwrap(), b"mine", "{what}: {command}");
        let names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 4, "{what}: {command} made {names:?}");
    }
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

#[test]
fn forged_records_are_refused_by_name_or_harmless() {
    let mut random = Random(5);
    let tables = ["segments", "segments", "tracks", "tracks", "models", "runs", "store", "next_segment"];
    for round in 0..rounds("VESTORE_FORGED", 8) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("store");
        drop(filled(&root));
        let table = tables[round as usize % tables.len()];
        let record = random.below(4);
        let mut forged = Value::Null;
        rewrite(&root, table, record, |value| {
            disturb(value, &mut random);
            forged = value.clone();
        });
        let mut what = forged.to_string();
        what.truncate(2000);
        endure(folder.path(), &format!("round {round}, {table} {record}: {what}"));
    }
}

/// Makes the record of a model that of a regulatory one whose `field` is forged.
fn regulatory(model: &mut Value, field: &str, forged: Value) {
    for (name, value) in
        [("architecture", json!("regulatory")), ("head", json!("human")), ("targets", json!(7))]
    {
        model[name] = value;
    }
    (model["bin"], model["center_bins"]) = (json!(32), json!(160));
    model[field] = forged;
}

#[test]
fn forged_records_are_named() {
    type Forgery = (&'static str, u64, &'static str, &'static dyn Fn(&mut Value));
    let forged: [Forgery; 15] = [
        ("models", 0, "`m`", &|model| model["parent"] = json!("m")),
        ("models", 0, "`m`", &|model| model["copied"] = json!(true)),
        ("models", 0, "`m`", &|model| model["kept_layers"] = json!([9])),
        ("runs", 0, "`1`", &|run| run["number"] = json!(u64::MAX)),
        ("tracks", 0, "`t`", &|track| track["columns"] = json!(["llr", "llr"])),
        ("models", 0, "`m`", &|model| regulatory(model, "targets", json!(u32::MAX))),
        ("models", 0, "`m`", &|model| regulatory(model, "targets_file", json!("/etc/passwd"))),
        ("tracks", 0, "`t`", &|track| track["recipe"]["regulatory"] = json!({ "shifts": [99_999_999] })),
        ("tracks", 0, "`t`", &|track| {
            track["recipe"]["regulatory"] = json!({ "shifts": [0], "targets": "0-4294967295" });
        }),
        ("segments", 0, "`scores/t/0/", &|segment| segment["last"] = json!(99_999_999)),
        ("segments", 0, "`scores/t/0/", &|segment| segment["contig"] = json!("elsewhere")),
        ("segments", 0, "`scores/t/0/", &|segment| segment["statuses"] = json!({ "scored": u64::MAX })),
        ("segments", 0, "`scores/t/0/", &|segment| segment["statuses"] = json!({ "of_tomorrow": 1 })),
        ("store", 0, "`store`", &|store| store["assembly"]["contigs"] = json!([])),
        ("next_segment", 0, "`next_segment`", &|next| *next = json!(1)),
    ];
    for (table, record, name, change) in forged {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("store");
        drop(filled(&root));
        rewrite(&root, table, record, change);
        let told = match Store::open(&root).and_then(|store| store.verify(|_| {})) {
            Ok(damage) => panic!("{table}: verify found {damage:?}"),
            Err(error) => error.to_string(),
        };
        assert!(told.contains(name), "{table}: {told}");
    }
}

#[test]
fn a_forged_number_is_never_written_over_a_segment() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    let store = filled(&root);
    rewrite(&root, "next_segment", 0, |next| *next = json!(1));
    assert!(store.writer("test").is_err());
    let track = track("t", ScoreKind::Llr);
    assert!(score_batch(&track, &[]).is_ok());
}
