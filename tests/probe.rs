//! `vestore evaluate --probe`: learners over stored embeddings, beside stored scores on the same test rows.

mod effects;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::programs::{checkpoint, fails, ok, rows, run, said, vcf};
use crate::support::Random;

const CONTIGS: [&str; 4] = ["a1", "b1", "a2", "b2"];
const STEP: usize = 5;

/// Two contigs of A and T and two of C and G, of which a model knows nothing; two SNVs every five bases, and their
/// labels: whether they are among C and G, a number, and which of the two they are. Gives the store, the labels and the variants.
fn store(folder: &Path) -> (PathBuf, PathBuf, PathBuf) {
    let [fasta, model, store, labels, variants] =
        ["x.fa", "model", "store", "labels.csv", "x.vcf"].map(|name| folder.join(name));
    let mut random = Random(8);
    let (mut text, mut table, mut records) =
        (String::new(), "CHROM,POS,REF,ALT,label,number,first\n".to_owned(), Vec::new());
    for contig in CONTIGS {
        let strong = contig.starts_with('b');
        let bases: Vec<u8> =
            (0..420).map(|_| if strong { b"CG" } else { b"AT" }[random.below(2) as usize]).collect();
        writeln!(text, ">{contig}\n{}", String::from_utf8_lossy(&bases)).unwrap();
        for at in (60..360).step_by(STEP) {
            let place = b"ACGT".iter().position(|base| *base == bases[at]).unwrap();
            for (first, alternates) in [(1, b"CATG"), (0, b"GTAC")] {
                let [old, new] = [bases[at], alternates[place]].map(|base| (base as char).to_string());
                let (strong, number) = (u8::from(strong), at / STEP % 7);
                writeln!(table, "{contig},{},{old},{new},{strong},{number},{first}", at + 1).unwrap();
                records.push((contig, at as u32 + 1, old, new));
            }
        }
    }
    fs::write(&fasta, text).unwrap();
    fs::write(&labels, table).unwrap();
    vcf(&variants, &records);
    checkpoint(
        &model,
        "nucleotide-transformer-v2",
        "--layers 1 --hidden 32 --heads 2 --intermediate 64 --seed 5",
    );
    ok("init {} --reference {}", &[&store, &fasta]);
    ok("model add {} small --checkpoint {}", &[&store, &model]);
    (store, labels, variants)
}

const SCORE: &str =
    "score {} --model small --variants {} --window 60 --device cpu --strands forward --score llr";

fn estimate(found: &[HashMap<String, String>], track: &str, versus: &str) -> (f64, String) {
    let row =
        found.iter().find(|row| row["track"] == track && row["versus"] == versus && row["metric"] == "auroc");
    let row = row.unwrap_or_else(|| panic!("no {track} {versus} in {found:?}"));
    (row["estimate"].parse().unwrap(), row["n"].clone())
}

#[test]
fn probes_learn_from_embeddings_what_scores_do_not_tell() {
    let folder = tempfile::tempdir().unwrap();
    let (store, labels, variants) = store(folder.path());
    said(&format!("{SCORE} --embeddings pooled --track t"), &[&store, &variants]);
    let evaluate = "evaluate {} --labels {} --track t --resamples 50 --format tsv";
    let words = format!("{evaluate} --probe forest,logistic --test a2,b2");
    let output = run(&words, &[&store, &labels]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    for part in [
        "measured on the test split alone: 240 of 480 rows",
        "t:forest: learned from 240 rows of 64 numbers (both)",
        "t:logistic: learned from 240 rows of 64 numbers (both)",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert!(!told.contains("warning"), "{told}");
    let text = String::from_utf8(output.stdout).unwrap();
    let found = rows(&text);
    for probe in ["t:forest", "t:logistic"] {
        let (auroc, n) = estimate(&found, probe, "");
        assert!(auroc > 0.95 && n == "240", "{probe} {auroc} {n}");
        let (difference, n) = estimate(&found, probe, "t:llr");
        assert!((difference - (auroc - estimate(&found, "t:llr", "").0)).abs() < 1e-12 && n == "240");
    }
    assert!(estimate(&found, "t:llr", "").0 < 0.8);
    // The same seed, the same figures; other features, others.
    assert_eq!(ok(&words, &[&store, &labels]), text);
    assert_ne!(ok(&format!("{words} --features delta"), &[&store, &labels]), text);
    // Two alternates of one site have one reference window: that cannot tell them apart, the difference can.
    let first = |features: &str| {
        let words = format!("{evaluate} --label first --probe forest --test a2,b2 --features {features}");
        estimate(&rows(&ok(&words, &[&store, &labels])), "t:forest", "").0
    };
    assert_eq!(first("reference"), 0.5);
    assert_ne!(first("delta"), 0.5);
    // Of a cross-validation every row is measured, by a probe that has not seen its variant.
    let words = format!("{evaluate} --probe forest,logistic --folds 4");
    let output = run(&words, &[&store, &labels]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        told.contains("t:forest: 4-fold cross-validation of 480 rows of 64 numbers (both)")
            && !told.contains("test split"),
        "{told}"
    );
    let found = rows(&String::from_utf8(output.stdout).unwrap());
    for probe in ["t:forest", "t:logistic"] {
        let (auroc, n) = estimate(&found, probe, "");
        assert!(auroc > 0.95 && n == "480", "{probe} {auroc} {n}");
    }
    // Neighbours in two splits share most of their windows.
    let output = run(&format!("{evaluate} --probe logistic --task classification"), &[&store, &labels]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("measured on the test split alone: 96 of 480 rows"), "{told}");
    assert!(
        told.contains("warning: t: splits have windows")
            && told.contains("training and test: windows of 60 bases overlap"),
        "{told}"
    );
    let numbers = rows(&ok(&format!("{evaluate} --label number --probe forest"), &[&store, &labels]));
    assert!(
        numbers.iter().any(|row| row["track"] == "t:forest" && row["metric"] == "r2" && row["n"] == "96")
    );
}

#[test]
fn what_cannot_be_probed_is_told_with_its_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let (store, labels, variants) = store(folder.path());
    said(&format!("{} --track plain", SCORE.replace("60", "66")), &[&store, &variants]);
    let few = folder.path().join("few.vcf");
    let text = fs::read_to_string(&variants).unwrap();
    let a1: String = text
        .lines()
        .filter(|line| line.starts_with('#') || line.starts_with("a1\t"))
        .collect::<Vec<_>>()
        .join("\n");
    fs::write(&few, a1 + "\n").unwrap();
    said(&format!("{SCORE} --track t"), &[&store, &variants]);
    said(&format!("{SCORE} --track t --embeddings pooled"), &[&store, &few]);
    for (code, words, part) in [
        (
            1,
            "--track plain --probe forest",
            "no --track has embeddings to learn from; `vestore score --embeddings",
        ),
        (
            1,
            "--track t --probe forest --test b1,b2",
            "t:forest: all variants to learn from have the same label",
        ),
        (
            1,
            "--track t --probe forest --test a1",
            "t:forest: no variant of the training split has an embedding",
        ),
        (1, "--track t --label number --probe logistic", "t:logistic: logistic regression needs classes"),
        (2, "--track t --features delta", "--probe"),
        (2, "--track t --probe tree", "forest"),
    ] {
        let told = fails(code, &format!("evaluate {{}} --labels {{}} {words}"), &[&store, &labels]);
        assert!(told.contains(part), "{words}: {told}");
    }
    let told = fails(
        1,
        "evaluate {} --labels {} --track t --label number --probe forest --test b1,b2",
        &[&store, &labels],
    );
    assert!(told.contains("t: 120 rows of the training split left out, without an embedding"), "{told}");
}
