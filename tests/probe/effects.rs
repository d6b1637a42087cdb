//! `vestore evaluate --features effects`: cross-validated forests over the effects on all targets, group by group.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use vestore::{EffectRow, ScoreRow};
use vestore_schema::{Position, Status, Variant};

use super::estimate;
use crate::effects::{commit, effect_track, names};
use crate::programs::{command, fails, ok, rows, run, said};
use crate::support::{Random, genome_store};

/// More than one column of a segment holds.
const TARGETS: usize = 200;
const VARIANTS: u32 = 240;

/// A store with effects of random variants in two segments, and labels: in `liver` and `skin` whether the effects on
/// every third target are above 0, in `brain` whether they are below. The effect of the first variant on one target is
/// missing, a last variant has no row.
fn store(folder: &Path) -> (PathBuf, PathBuf) {
    let (store, bases) = genome_store(folder);
    let names = names(TARGETS);
    let track = effect_track("t", &names);
    let mut random = Random(5);
    let mut table = "CHROM\tPOS\tREF\tALT\tlabel\ttissue\n".to_owned();
    let mut found = Vec::new();
    for number in 0..=VARIANTS {
        let at = 100 + number * 3;
        let old = char::from(bases[at as usize]);
        let new = if old == 'A' { 'C' } else { 'A' };
        let mut uniform = || random.below(2001) as f32 / 1000.0 - 1.0;
        let sign = uniform();
        let mut number_of =
            |target: usize| uniform() + if target.is_multiple_of(3) { sign * 3.0 } else { 0.0 };
        let mut sums: Vec<f32> = (0..TARGETS).map(&mut number_of).collect();
        let other: Vec<f32> = (0..TARGETS).map(|_| uniform()).collect();
        if number == 0 {
            sums[150] = f32::NAN;
        }
        let high = u8::from(sign > 0.0);
        let start = format!("chr1\t{}\t{old}\t{new}", at + 1);
        writeln!(table, "{start}\t{high}\tliver,skin\n{start}\t{}\tbrain", 1 - high).unwrap();
        if number < 9 {
            writeln!(table, "{start}\t{high}\tfew").unwrap();
        }
        let variant = Variant {
            contig: 0,
            position: Position::new(at),
            reference: old.to_string().into(),
            alternate: new.to_string().into(),
        };
        let effects = EffectRow::new(variant.clone(), vec![sums, other.clone(), other], Status::Scored);
        let scores = ScoreRow { variant, values: vec![Some(1.0), Some(at as f32)], status: Status::Scored };
        // The last has no row.
        if number < VARIANTS {
            found.push((scores, effects));
        }
    }
    let mut writer = store.writer("test").unwrap();
    writer.put_track_with_targets(&track, &names).unwrap();
    for (number, unit) in found.chunks(150).enumerate() {
        commit(&mut writer, &track, 1 + number as u64, unit).unwrap();
    }
    let labels = folder.join("labels.tsv");
    fs::write(&labels, table).unwrap();
    (folder.join("store"), labels)
}

#[test]
fn a_forest_of_each_group_is_cross_validated() {
    let folder = tempfile::tempdir().unwrap();
    let (store, labels) = store(folder.path());
    let evaluate = "evaluate {} --labels {} --track t --probe forest --features effects --resamples 50";
    let words = format!("{evaluate} --by tissue --format tsv");
    let output = run(&words, &[&store, &labels]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    for part in [
        "t:log_sum: 2 rows left out, without effects",
        "t:log_sum: 3 rows left out that lack the effect on some target, such as chr1-101-",
        " on CAGE+150\n",
        "t:log_sum:forest: tissue `few` is not measured: ",
        " are too few for 8 folds",
        "t:log_sum:forest: 8-fold cross-validation within 3 groups of tissue, 478 rows of 200 numbers (effects)",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let of = |group: &str, probe: &str| {
        let found = rows(&text).into_iter().filter(|row| row["group"] == group).collect::<Vec<_>>();
        estimate(&found, probe, "")
    };
    for group in ["liver", "brain"] {
        let (auroc, n) = of(group, "t:log_sum:forest");
        assert!(auroc > 0.95 && n == "239", "{group} {auroc} {n}");
    }
    assert_eq!(of("skin", "t:log_sum:forest"), of("liver", "t:log_sum:forest"));
    // Means leave out the group that one column has no figure for; pooled, forests of several groups say nothing.
    let three = ["brain", "liver", "skin"].map(|group| of(group, "t:log_sum:forest").0);
    let (mean, n) = of("mean of groups", "t:log_sum:forest");
    assert!((mean - three.iter().sum::<f64>() / 3.0).abs() < 1e-12 && n == "717", "{mean} {three:?} {n}");
    assert_eq!(of("mean of groups", "t:log_sum_max_abs").1, "720");
    assert!(!rows(&text).iter().any(|row| row["group"] == "all" && row["track"] == "t:log_sum:forest"));
    assert!(rows(&text).iter().any(|row| {
        row["group"] == "few" && row["track"] == "t:log_sum:forest" && row["note"] == "undefined: no rows"
    }));
    // The seed alone decides.
    assert_eq!(ok(&words, &[&store, &labels]), text);
    let output = command(&words, &[&store, &labels]).env("RAYON_NUM_THREADS", "1").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
    assert_ne!(ok(&format!("{words} --folds 5"), &[&store, &labels]), text);
    // Without groups the labels of a variant contradict each other.
    let told = fails(1, evaluate, &[&store, &labels]);
    assert!(
        told.contains("t:log_sum:forest: 239 positive and 0 negative variants are too few for 8 folds"),
        "{told}"
    );
}

#[test]
fn the_column_of_the_track_names_the_kind_of_effect() {
    let folder = tempfile::tempdir().unwrap();
    let (store, labels) = store(folder.path());
    let words = "evaluate {} --labels {} --track t:js_max_abs --track t --probe forest,logistic --by tissue \
                 --features effects --resamples 20 --folds 3 --format tsv";
    let text = ok(words, &[&store, &labels]);
    let of = |probe: &str| {
        let found = rows(&text).into_iter().filter(|row| row["group"] == "liver").collect::<Vec<_>>();
        estimate(&found, probe, "").0
    };
    // The effects of the other kind say nothing.
    for probe in ["forest", "logistic"] {
        assert!(of(&format!("t:log_sum:{probe}")) > 0.95, "{text}");
        assert!((of(&format!("t:js:{probe}")) - 0.5).abs() < 0.2, "{text}");
    }
    // With a split, probes learn from training rows.
    let told = said(
        "evaluate {} --labels {} --track t --probe forest --features effects --test-share 0.25",
        &[&store, &labels],
    );
    assert!(
        told.contains("measured on the test split alone") && told.contains("rows of 200 numbers (effects)")
    );
    for (code, words, part) in [
        (2, "--track t --probe forest --folds 4 --test chr1", "--folds"),
        (2, "--track t --probe forest --folds 1", "1 is not in 2.."),
        (2, "--track t --folds 4", "--probe"),
        (1, "--track t --probe forest --folds 4", "no --track has embeddings to learn from"),
    ] {
        let told = fails(code, &format!("evaluate {{}} --labels {{}} {words}"), &[&store, &labels]);
        assert!(told.contains(part), "{words}: {told}");
    }
}
