//! The main job through the command line, on inputs made from a seed.

use std::fs;
use std::process::Stdio;

use vestore::Store;

use crate::programs::{command, fails, ok, rows, said, store, vcf};

fn substitute(base: u8) -> String {
    if base == b'A' { "C".to_owned() } else { "A".to_owned() }
}

fn base(bases: &[u8], position: u32) -> String {
    (bases[position as usize - 1] as char).to_string()
}

#[test]
fn every_kind_of_variant_becomes_a_row_with_its_status() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = store(folder.path());
    let wrong = substitute(bases[199]);
    let at = |position: u32| base(&bases, position);
    let other = |position: u32| substitute(bases[position as usize - 1]);
    let input = folder.path().join("in.vcf");
    vcf(
        &input,
        &[
            ("1", 2500, at(2500), other(2500)), // unsorted, without chr
            ("chr1", 100, at(100), other(100)),
            ("chr1", 100, at(100), other(100)), // twice
            ("chr1", 150, at(150), format!("{}ACGT", at(150))),
            ("chr1", 160, format!("{}{}", at(160), at(161)), at(160)),
            ("chr1", 200, wrong, "G".to_owned()), // mismatch, or the same base twice
            ("chr1", 210, at(210), "<DEL>".to_owned()),
            ("chr1", 220, at(220), "*".to_owned()),
            ("chr1", 230, at(230), "G]17:198982]".to_owned()),
            ("chr1", 240, at(240), "R".to_owned()),
            ("chr1", 3001, "N".to_owned(), "A".to_owned()),
            ("short", 5, "N".to_owned(), "A".to_owned()),
            ("chr1", 5999, format!("{}{}", at(5999), at(6000)), at(5999)), // no base behind it
            ("chr1", 7000, "A".to_owned(), "C".to_owned()),                // beyond the end
            ("chrUn", 1, "A".to_owned(), "C".to_owned()),
        ],
    );
    let report = folder.path().join("report.tsv");
    let told = said(
        "score {} --model small --variants {} --window 96 --score llr,distance --device cpu --report {} --track t",
        &[&store, &input, &report],
    );
    assert!(told.contains("rows written"), "{told}");
    let found = rows(&ok("query {} --format tsv", &[&store]));
    let status = |position: u32| -> Vec<&str> {
        let here = found.iter().filter(|row| row["position"] == position.to_string());
        here.map(|row| row["status"].as_str()).collect()
    };
    assert_eq!(status(100), ["scored"]);
    assert_eq!(status(2500), ["scored"]);
    assert_eq!(status(200), ["ref_mismatch"]);
    assert_eq!(status(210), ["symbolic"]);
    assert_eq!(status(220), ["unsupported_allele"]);
    assert_eq!(status(230), ["breakend"]);
    assert_eq!(status(240), ["non_acgt"]);
    assert_eq!(status(3001), ["non_acgt"]);
    for row in &found {
        let scored = row["status"] == "scored";
        assert_eq!(!row["l1"].is_empty(), scored, "{row:?}");
        assert_eq!(
            !row["llr"].is_empty(),
            scored && row["reference"].len() == 1 && row["alternate"].len() == 1
        );
    }
    let listed = fs::read_to_string(&report).unwrap();
    for reason in ["outside_contig", "unknown_contig", "symbolic", "breakend", "ref_mismatch", "contig_edge"]
    {
        assert!(listed.lines().any(|line| line.ends_with(reason)), "{reason} is not in\n{listed}");
    }
    let positions: Vec<(u32, &str)> =
        found.iter().map(|row| (row["position"].parse().unwrap(), row["contig"].as_str())).collect();
    assert!(positions.iter().filter(|(_, contig)| *contig == "chr1").is_sorted());
}

#[test]
fn scoring_again_runs_no_forward_and_more_variants_only_add() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    let score = "score {} --model small --window 96 --device cpu --track t --region";
    said(&format!("{score} chr1:101-200"), &[&store]);
    let before = ok("query {} --format tsv", &[&store]);
    assert_eq!(before.lines().count(), 301);
    let again = said(&format!("{score} chr1:101-200"), &[&store]);
    assert!(again.contains("the model was not run"), "{again}");
    let more = said(&format!("{score} chr1:151-250"), &[&store]);
    assert!(more.contains("150 rows written") && more.contains("150 were there already"), "{more}");
    let after = ok("query {} --format tsv", &[&store]);
    assert_eq!(after.lines().count(), 451);
    for line in before.lines() {
        assert!(after.contains(line), "{line}");
    }
    assert!(ok("verify {}", &[&store]).is_empty());
}

/// As of `2>&1 | head -1`: remarks that nobody reads end no work, and change no exit code.
#[test]
fn a_closed_stderr_ends_no_work() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    let deaf = |words: &str| {
        let mut child = command(words, &[&store]).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stderr.take());
        child.wait().unwrap().code()
    };
    let score = "score {} --model small --window 96 --device cpu --track t --region chr1:101-110";
    assert_eq!(deaf(score), Some(0));
    assert_eq!(ok("query {} --format tsv", &[&store]).lines().count(), 31);
    assert_eq!(deaf("score {} --model none --region chr1:101-110"), Some(1));
    assert_eq!(deaf("track remove {} none"), Some(1));
}

/// Saturation and a VCF of the same variants are scored alike: sharing forwards changes no score.
#[test]
fn saturation_equals_a_file_of_the_same_variants() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = store(folder.path());
    let mut records = Vec::new();
    for position in (300..324).rev() {
        for alternate in "ACGT"
            .chars()
            .map(|base| base.to_string())
            .filter(|alternate| *alternate != base(&bases, position))
        {
            records.push(("chr1", position, base(&bases, position), alternate));
        }
    }
    let input = folder.path().join("in.vcf");
    vcf(&input, &records);
    let common = "--model small --window 90 --score llr,llr-grid,distance,pll --device cpu";
    said(&format!("score {{}} {common} --track region --region chr1:300-323"), &[&store]);
    let told =
        crate::programs::run(&format!("score {{}} {common} --track file --variants {{}}"), &[&store, &input]);
    let told = String::from_utf8(told.stderr).unwrap();
    assert!(told.contains("`region`"), "the same model and recipe is the same track: {told}");
    let second = folder.path().join("second");
    ok("init {} --reference {}", &[&second, &folder.path().join("genome.fa")]);
    ok("model add {} small --checkpoint {}", &[&second, &folder.path().join("model")]);
    said(
        &format!("score {{}} {common} --track region --batch-tokens 64 --threads 1 --variants {{}}"),
        &[&second, &input],
    );
    let (left, right) =
        (rows(&ok("query {} --format tsv", &[&store])), rows(&ok("query {} --format tsv", &[&second])));
    assert_eq!(left.len(), 72);
    assert_eq!(left.len(), right.len());
    for (left, right) in left.iter().zip(&right) {
        for (column, value) in left {
            match (value.parse::<f64>(), right[column].parse::<f64>()) {
                (Ok(a), Ok(b)) => assert!((a - b).abs() <= 1e-5 * (1.0 + a.abs()), "{column}: {a} {b}"),
                _ => assert_eq!(*value, right[column], "{column}"),
            }
        }
    }
}

#[test]
fn a_dry_run_counts_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    let words = "score {} --model small --window 96 --device cpu --region chr1:101-200 --dry-run";
    let told = said(words, &[&store]);
    // One masked forward a strand for each of 100 sites.
    assert!(told.contains("300 variants to score") && told.contains("200 forwards"), "{told}");
    assert_eq!(ok("track list {} --format json", &[&store]).trim(), "[]");
    assert!(!store.join("scores").exists());
}

#[test]
fn mistakes_are_told_with_their_remedy_and_their_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    let elsewhere = folder.path().join("nowhere");
    said("score {} --model small --window 96 --device cpu --track t --region chr1:101-110", &[&store]);

    assert!(fails(1, "query {}", &[&elsewhere]).contains("vestore init"));
    assert!(fails(1, "query {} chr9:1-5", &[&store]).contains("near names"));
    assert!(fails(2, "query {} chr1:5-1", &[&store]).contains("chr1:5-1"));
    assert!(fails(2, "query {} chr1:", &[&store]).contains("not a region"));
    assert!(fails(1, "query {} --track nope", &[&store]).contains("it has t"));
    assert!(fails(1, "score {} --model nope --region chr1:1-5", &[&store]).contains("it has small"));
    assert!(fails(2, "score {} --model small", &[&store]).contains("--variants"));
    assert!(fails(2, "score {} --model small --score lll --region chr1:1-5", &[&store]).contains("llr-grid"));
    assert!(
        fails(1, "score {} --model small --window 99999 --region chr1:1-5", &[&store]).contains("at most")
    );
    let same = "score {} --model small --window 96 --device cpu --region chr1:1-5 --track u";
    assert!(fails(1, same, &[&store]).contains("`t`"));
    let other = "score {} --model small --window 90 --device cpu --region chr1:1-5 --track t";
    assert!(fails(1, other, &[&store]).contains("another model or recipe"));
    assert!(
        fails(1, "init {} --reference {}", &[&store, &folder.path().join("genome.fa")])
            .contains("already exists")
    );
    assert!(fails(1, "model add {} x --checkpoint {}", &[&store, &elsewhere]).contains("nowhere"));
    assert!(fails(2, "model add {} 1x --checkpoint {}", &[&store, &elsewhere]).contains("invalid name"));
    let broken = folder.path().join("broken.vcf");
    fs::write(&broken, "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\nchr1\tx\t.\tA\tC\n").unwrap();
    let message = fails(1, "score {} --model small --variants {}", &[&store, &broken]);
    assert!(message.contains("line 3") && message.contains("`x`"), "{message}");
    let foreign = folder.path().join("foreign.vcf");
    vcf(&foreign, &[("z", 1, "A".to_owned(), "C".to_owned())]);
    assert!(fails(1, "score {} --model small --variants {}", &[&store, &foreign]).contains("contig"));
}

#[test]
fn queries_by_region_variant_and_bed_agree() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = store(folder.path());
    said(
        "score {} --model small --window 96 --device cpu --track t --region chr1:101-400 --region HLA-A*01:01:200-300",
        &[&store],
    );
    let count = |words: &str| ok(words, &[&store]).trim().parse::<u32>().unwrap();
    assert_eq!(count("query {} --count"), 300 * 3 + 101 * 3);
    assert_eq!(count("query {} 1:151-200 chr1:181-210 --count"), 60 * 3);
    assert_eq!(count("query {} HLA-A*01:01:200 --count"), 3);
    assert_eq!(count("query {} chr1 --count --limit 10"), 10);
    let bed = folder.path().join("some.bed");
    fs::write(&bed, "chr1\t150\t200\nchr1\t180\t210\n").unwrap();
    assert_eq!(
        ok("query {} --bed {} --format tsv", &[&store, &bed]),
        ok("query {} 1:151-210 --format tsv", &[&store])
    );
    let one = format!("1-160-{}-{}", base(&bases, 160), substitute(bases[159]));
    assert_eq!(count(&format!("query {{}} {one} --count")), 1);
    let output = crate::programs::run(
        &format!("query {{}} 1-5000-{}-{} --count", base(&bases, 5000), substitute(bases[4999])),
        &[&store],
    );
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "0");
    assert!(
        output.status.success()
            && String::from_utf8(output.stderr).unwrap().contains("1 requested variant has no score")
    );
    let empty = folder.path().join("empty.bed");
    fs::write(&empty, "# nothing\n").unwrap();
    assert_eq!(
        ok("query {} --bed {} --count", &[&store, &empty]).trim(),
        "0",
        "nothing asked is not everything"
    );
}

#[test]
fn models_are_pruned_by_name_and_know_their_parent() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    said("model add {} pruned --from small --drop-layers 0", &[&store]);
    let shown = ok("model show {} pruned", &[&store]);
    assert!(
        shown.contains("1 of 2, without 0") && shown.contains("checkpoint, small pruned to pruned"),
        "{shown}"
    );
    assert!(
        fails(1, "model add {} again --from pruned --drop-layers 0", &[&store]).contains("unknown layer 0")
    );
    assert!(fails(1, "model add {} other --from small --keep-layers 1", &[&store]).contains("`pruned`"));
    for model in ["small", "pruned"] {
        said(
            &format!("score {{}} --model {model} --window 96 --device cpu --region chr1:101-110"),
            &[&store],
        );
    }
    let found = rows(&ok("query {} --format tsv", &[&store]));
    assert_eq!(found.len(), 60);
    assert_eq!((found[0]["model"].as_str(), found[1]["model"].as_str()), ("pruned", "small"));
    assert_ne!(found[0]["llr"], found[1]["llr"]);
    assert_eq!(ok("query {} --model pruned --count", &[&store]).trim(), "30");
}

#[test]
fn a_checkpoint_that_changed_is_refused_and_a_copied_one_is_safe() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    let original = folder.path().join("model");
    let second = folder.path().join("second");
    crate::programs::checkpoint(
        &second,
        "nucleotide-transformer-v2",
        "--layers 2 --hidden 32 --heads 2 --intermediate 64 --seed 6",
    );
    said("model add {} copied --checkpoint {} --copy", &[&store, &second]);
    fs::copy(second.join("model.safetensors"), original.join("model.safetensors")).unwrap();
    let message = fails(1, "score {} --model small --device cpu --region chr1:101-110", &[&store]);
    assert!(message.contains("have changed since"), "{message}");
    fs::remove_dir_all(&second).unwrap();
    said("score {} --model copied --device cpu --window 96 --region chr1:101-110", &[&store]);
}

/// Numbers of a JSON list.
fn numbers(value: &serde_json::Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[test]
fn embeddings_have_progress_of_their_own_and_agree_with_the_distances() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    let score =
        "score {} --model small --window 96 --device cpu --strands forward --track t --score llr,distance";
    said(&format!("{score} --region chr1:2990-3000"), &[&store]);
    let before = ok("query {} --format tsv", &[&store]);
    said(&format!("{score} --region chr1:2990-3000 --region short:1-2 --embeddings pooled"), &[&store]);
    let after = ok("query {} chr1 --format tsv", &[&store]);
    assert_eq!(before, after, "scores that are there stay as they are");
    let again = said(&format!("{score} --region chr1:2990-3000 --embeddings pooled"), &[&store]);
    assert!(again.contains("the model was not run"), "{again}");
    let text = ok("query {} --embeddings --format json", &[&store]);
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    let found = found.as_array().unwrap();
    assert_eq!(found.len(), 33 + 6);
    for (row, scores) in found.iter().zip(rows(&after)) {
        let delta = numbers(&row["delta_embedding"]);
        assert_eq!((numbers(&row["reference_embedding"]).len(), delta.len()), (32, 32));
        let length = delta.iter().map(|number| number * number).sum::<f64>().sqrt();
        assert!((length - scores["l2"].parse::<f64>().unwrap()).abs() < 1e-5, "{row}");
    }
    assert!(found[33..].iter().all(|row| row["delta_embedding"].is_null() && row["status"] == "contig_edge"));
    assert_eq!(ok("verify {} --quiet", &[&store]), "");
}

#[test]
fn output_to_a_closed_pipe_ends_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    said("score {} --model small --window 96 --device cpu --track t --region chr1:101-2900", &[&store]);
    said(
        "ablate {} --model small --window 96 --device cpu --score distance --track a --region chr1:101-110",
        &[&store],
    );
    let labels = folder.path().join("labels.csv");
    let row = |row: String| format!("{row},{}\n", row.ends_with('A'));
    let rows = ok("query {} chr1:101-110 --track a --format csv", &[&store]);
    let rows = rows.lines().skip(1).map(|line| row(line.split(',').take(4).collect::<Vec<_>>().join(",")));
    let table = format!("contig,position,reference,alternate,label\n{}", rows.collect::<String>());
    std::fs::write(&labels, table).unwrap();
    for (words, paths) in [
        ("query {} --format tsv", &[&*store][..]),
        // Verbs of the engine.
        ("ablate {} --track a --summary", &[&store]),
        ("ablate {} --track a --summary --format json", &[&store]),
        (
            "evaluate {} --labels {} --positive true --negative false --track a --resamples 100",
            &[&store, &labels],
        ),
    ] {
        assert!(!ok(words, paths).is_empty(), "{words}");
        let mut child = command(words, paths)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !told.contains("vestore:"), "{words}: {told}");
    }
    // What was found decides the exit code, also where nobody reads it.
    let damaged = Store::open(&store).unwrap().all_segments().unwrap()[0].path();
    std::fs::write(store.join(damaged), b"nothing").unwrap();
    let mut child = command("verify {} --quiet", &[&store])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(1));
}
