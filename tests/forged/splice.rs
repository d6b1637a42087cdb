//! Records of splice models, of their tracks and gene tables, that no vestore wrote.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{endure, rewrite};
use crate::programs::{fails, ok};
use crate::splice::prepare;

const SCORE: &str =
    "score {} --model m --region chr1:1301 --distance 10 --track t --device cpu --threads 1 --quiet";
const COMMANDS: [&str; 2] = ["verify S --rescore 4", "query S --gene-effects"];

/// What is changed in a record, and what people are told when they score.
type Forgery = (&'static str, &'static str, &'static dyn Fn(&mut Value));

#[test]
fn forged_splice_records_are_refused() {
    let forged: [Forgery; 17] = [
        ("models", "context `", &|model| model["context"] = json!(0)),
        ("models", "context `", &|model| model["context"] = json!(47)),
        ("models", "context `", &|model| model["context"] = json!(u32::MAX - 1)),
        ("models", "another model or recipe", &|model| model["context"] = json!(4096)),
        ("models", "kept_networks", &|model| model["kept_networks"] = json!([])),
        ("models", "kept_networks", &|model| model["kept_networks"] = json!([0, 2])),
        ("models", "kept_networks", &|model| model["kept_networks"] = json!([0, 0])),
        ("models", "kept_networks", &|model| model["kept_networks"] = json!([1, 0])),
        ("models", "0 to 1", &|model| {
            (model["networks"], model["kept_networks"]) = (json!(u32::MAX), json!([0, u32::MAX - 1]));
        }),
        ("models", "not that of its files", &|model| model["networks"] = json!(u32::MAX)),
        ("tracks", "distance", &|track| track["recipe"]["splice"]["distance"] = json!(0)),
        ("tracks", "distance", &|track| track["recipe"]["splice"]["distance"] = json!(u32::MAX)),
        ("tracks", "`t`", &|track| track["recipe"]["splice"]["convention"] = json!("other")),
        ("tracks", "gene_columns", &|track| track["gene_columns"] = json!(["x", "x"])),
        ("genes", "bytes `", &|genes| genes["bytes"] = json!(u64::MAX)),
        ("genes", "bytes long", &|genes| genes["bytes"] = json!(7)),
        ("genes", "digest `", &|genes| genes["digest"] = json!("ab".repeat(32))),
    ];
    let made = tempfile::tempdir().unwrap();
    let (store, genes, _) = prepare(made.path());
    ok("model rename {} mini m", &[&store]);
    ok("genes add {} {}", &[&store, &genes]);
    ok(&format!("{SCORE} --genes {{}}"), &[&store, &genes]);
    for (number, (table, told, change)) in forged.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("store");
        super::copy(&store, &root);
        rewrite(&root, table, 0, change);
        let place = format!("forgery {number}, {table}");
        refused(&root, told, &place);
        endure(folder.path(), &COMMANDS, &place);
    }
}

/// Scoring ends with this error, and nothing is written.
fn refused(root: &Path, told: &str, place: &str) {
    let files = || fs::read_dir(root.join("scores/track=t/contig=chr1")).unwrap().count();
    let before = files();
    let error = fails(1, &SCORE.replace("chr1:1301", "chr1:1302"), &[root]);
    assert!(error.contains(told), "{place}: {error}");
    assert_eq!(files(), before, "{place}");
}
