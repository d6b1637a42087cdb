//! `vestore ablate` through the command line: rows, resuming, what is said about layers, pruning by it.

use std::fs;

use vestore::Store;

use crate::programs::{fails, ok, png_size, rows, run, said, store};

const ABLATE: &str = "ablate {} --model small --region chr1:100-160 --window 96 --score llr,distance --device cpu --threads 1 --quiet";

#[test]
fn changes_are_stored_resumed_queried_and_summed_up() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    let told = said(ABLATE, &[&store]);
    // Two layers: 2 + 1 of 2 + 2 · 1.
    assert!(told.contains("3 layer evaluations per batch instead of 4"), "{told}");
    let track = "small.llr+distance.w96";
    let ablation = ok("query {} --ablation --format tsv", &[&store]);
    let changes = rows(&ablation);
    assert_eq!(changes.len(), 61 * 3 * 2);
    assert_eq!((changes[0]["layer"].as_str(), changes[1]["layer"].as_str()), ("0", "1"));
    assert_eq!(ok("query {} chr1:110 --ablation --where layer=1 --count", &[&store]).trim(), "3");
    assert!(fails(2, "query {} --ablation --wide", &[&store]).contains("no wide form"));
    // The full scores were written too, and are what scoring gives.
    let full = rows(&ok("query {} --format tsv", &[&store]));
    assert_eq!(full.len(), 61 * 3);
    assert!(said(ABLATE, &[&store]).contains("nothing to do"));
    assert_eq!(ok("verify {} --quiet", &[&store]), "");
    ok("model add {} without0 --from small --drop-layers 0", &[&store]);
    said(
        "score {} --model without0 --region chr1:100-160 --window 96 --score llr,distance --device cpu --track w0 --quiet",
        &[&store],
    );
    let number = |text: &String| text.parse::<f64>().unwrap();
    let pruned = rows(&ok("query {} --track w0 --format tsv", &[&store]));
    for ((full, change), pruned) in full.iter().zip(changes.iter().step_by(2)).zip(&pruned) {
        for column in ["llr", "llr_reverse", "l2", "cosine_variant"] {
            let difference = number(&full[column]) + number(&change[column]) - number(&pruned[column]);
            assert!(difference.abs() < 1e-5, "{column} {difference}");
        }
    }

    let json = ok(&format!("ablate {{}} --track {track} --summary --format json"), &[&store]);
    let summary: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(summary["variants"], 61 * 3);
    let layers = summary["layers"].as_array().unwrap();
    let mut means = Vec::new();
    for layer in layers {
        let number_of_layer = layer["layer"].to_string();
        let of_layer = || changes.iter().filter(|row| row["layer"] == number_of_layer);
        let count = of_layer().count() as f64;
        let mean = of_layer().map(|row| number(&row["llr"]).abs()).sum::<f64>() / count;
        assert!((layer["mean_magnitude"]["value"].as_f64().unwrap() - mean).abs() < 1e-6);
        for figure in ["spearman", "top_1_percent", "top_5_percent"] {
            let value = layer[figure]["value"].as_f64().unwrap();
            assert!((-1.0..=1.0).contains(&value), "{figure} {value}");
        }
        assert!(layer["block_influence"].as_f64().unwrap() > 0.0);
        assert!(layer["angular_distance"].as_f64().unwrap() > 0.0);
        means.push((mean, layer["layer"].as_u64().unwrap()));
    }
    let plot = folder.path().join("layers.svg");
    let table = ok(&format!("ablate {{}} --track {track} --summary --plot {{}}"), &[&store, &plot]);
    assert_eq!(table.lines().count(), 2 + 2, "{table}");
    assert!(fs::read_to_string(&plot).unwrap().contains("Spearman"));
    let png = folder.path().join("layers.png");
    ok(&format!("ablate {{}} --track {track} --summary --plot {{}}"), &[&store, &png]);
    assert_eq!(png_size(&png), [2 * 960, 2 * 640]);

    let told = said("model add {} small-1 --from small --drop-least 1", &[&store]);
    means.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(told.contains(&format!("dropping [{}]", means[0].1)), "{told}");
    let models: serde_json::Value =
        serde_json::from_str(&ok("model show {} small-1 --format json", &[&store])).unwrap();
    assert_eq!(models[0]["pruned_by"], track);
    assert_eq!(models[0]["kept_layers"], serde_json::json!([means[1].1]));
}

#[test]
fn parts_are_tracks_of_their_own_and_a_stopped_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    let part = "ablate {} --model small --region chr1:100-160 --window 96 --score llr --device cpu --part mlp --quiet";
    said(part, &[&store]);
    let track = &Store::open(&store).unwrap().snapshot().unwrap().tracks[0];
    assert_eq!(track.name, "small.llr.w96.no-mlp");
    // Half of the plan first, then all of it: the rest alone is run.
    let half = "ablate {} --model small --region chr1:100-147 --window 96 --score llr --device cpu --track t --quiet";
    said(half, &[&store]);
    let whole = half.replace("147", "220");
    let told = said(&whole, &[&store]);
    assert!(told.contains("219 rows written") && told.contains("144 were there already"), "{told}");
    assert_eq!(ok("query {} --track t --ablation --count", &[&store]).trim(), (121 * 3 * 2).to_string());
    let before = ok("query {} --track t --ablation --format tsv", &[&store]);
    ok("compact {}", &[&store]);
    assert_eq!(ok("verify {} --quiet", &[&store]), "");
    assert!(ok("query {} --track t --ablation --format tsv", &[&store]) == before, "compacted to other rows");
    // Scores alone are not the ablation of their track.
    said(
        "score {} --model small --region chr1:500-520 --window 96 --device cpu --track t --quiet",
        &[&store],
    );
    let again = half.replace("100-147", "500-520");
    assert!(said(&again, &[&store]).contains("63 rows written"));
}

#[test]
fn what_cannot_be_summed_up_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    assert!(fails(2, "ablate {} --model small", &[&store]).contains("--region"));
    assert!(fails(1, "model add {} x --from small --drop-least 1", &[&store]).contains("vestore ablate"));
    said(
        "score {} --model small --region chr1:100-101 --window 96 --device cpu --track t --quiet",
        &[&store],
    );
    assert!(fails(1, "ablate {} --track t --summary", &[&store]).contains("has no ablation"));
    assert!(fails(2, "ablate {} --track t --summary --plot a.pdf", &[&store]).contains(".svg or .png"));
    said(
        "ablate {} --model small --region chr1:100-101 --window 96 --device cpu --track t --quiet",
        &[&store],
    );
    let told = fails(1, "ablate {} --track t --summary --column l2", &[&store]);
    assert!(told.contains("llr_forward"), "{told}");
    assert!(fails(1, "model add {} x --from small --drop-least 2", &[&store]).contains("takes 1 to 1"));
    assert_eq!(run("ablate {} --track t --summary", &[&store]).status.code(), Some(0));
}
