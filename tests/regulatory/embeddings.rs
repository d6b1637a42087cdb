//! Embeddings of regulatory models through the command line.

use std::path::Path;

use super::{SCORE, prepare};
use crate::programs::{fails, ok};

/// By alternate, the embedding of the reference and the change.
fn embeddings(store: &Path, track: &str) -> Vec<(String, [Vec<f64>; 2])> {
    let text = ok(&format!("query {{}} --embeddings --track {track} --format json"), &[store]);
    let lines: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let numbers = |value: &serde_json::Value| -> Vec<f64> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    };
    let row = |line: serde_json::Value| {
        let lists = ["reference_embedding", "delta_embedding"].map(|column| numbers(&line[column]));
        (line["alternate"].as_str().unwrap().to_owned(), lists)
    };
    lines.into_iter().map(row).collect()
}

#[test]
fn windows_and_variants_have_embeddings() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = prepare(folder.path());
    let score = |options: &str| ok(&format!("{SCORE} --model mini --region chr1:2500 {options}"), &[&store]);
    score("--track scores");
    let before = ok("query {} --track scores --format tsv", &[&store]);
    // Embeddings of a track that has scores, and of one in the same run.
    score("--track scores --embeddings pooled");
    assert_eq!(ok("query {} --track scores --format tsv", &[&store]), before);
    score("--track variant --embeddings variant");
    score("--track forward --strands forward --embeddings pooled");
    let [pooled, variant, forward] = ["scores", "variant", "forward"].map(|track| embeddings(&store, track));
    let width = pooled[0].1[0].len();
    assert!(ok("model show {} mini", &[&store]).contains(&format!("embedding       {width} numbers")));
    for found in [&pooled, &variant, &forward] {
        assert_eq!(found.len(), 3);
        for (_, [reference, delta]) in found {
            // Alternates of one base share the reference.
            assert!(*reference == found[0].1[0] && delta.len() == width);
            assert!(delta.iter().any(|change| change.abs() > 1e-6));
        }
        assert_ne!(found[0].1[1], found[1].1[1]);
    }
    assert!(pooled[0].1[0] != variant[0].1[0] && pooled[0].1[0] != forward[0].1[0]);
    // The bins of the variant change more than the others.
    let size =
        |rows: &[(String, [Vec<f64>; 2])]| -> f64 { rows[0].1[1].iter().map(|change| change.abs()).sum() };
    assert!(size(&variant) > size(&pooled));
    ok("compact {} --quiet", &[&store]);
    assert_eq!(embeddings(&store, "variant"), variant);
    assert!(ok("verify {} --quiet", &[&store]).is_empty());
    let words = format!("{SCORE} --model mini --region chr1:2500 --track scores --embeddings variant");
    assert!(fails(1, &words, &[&store]).contains("scores"), "another recipe");
}
