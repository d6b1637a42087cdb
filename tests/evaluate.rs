//! `vestore evaluate`: labels joined with stored rows, figures by group, and what is said of the rest.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::programs::{fails, ok, png_size, rows, run, said};

/// Scores of six variants; the second column lacks one.
const SCORES: &str = "contig\tposition\tref\talt\tscore\tother\n\
    chr1\t3\tC\tT\t0.9\t0.1\nchr1\t4\tG\tA\t0.8\t0.3\nchr1\t5\tA\tC\t0.3\t0.5\nchr1\t6\tT\tG\t0.2\t0.9\n\
    chr1\t7\tCA\tC\t0.7\tNA\nchr1\t11\tG\tC\t0.1\t0.7\n";

/// Among them a deletion that is not left-aligned, a variant without a row, an unknown contig and a missing label.
const LABELS: &str = "CHROM\tPOS\tREF\tALT\tlabel\ttissue\tdistance\n\
    1\t3\tC\tT\t1\tliver\t10\n1\t4\tG\tA\t1\tblood\t2000\n1\t5\tA\tC\t0\tliver\t30\n1\t6\tT\tG\t0\tblood\t400\n\
    1\t11\tG\tC\t0\tliver\t\n1\t9\tAA\tA\t1\tblood\t5\n1\t12\tT\tA\t1\tliver\t7\n9\t5\tA\tC\t1\tliver\t5\n\
    1\t5\tA\tC\t.\tliver\t30\n";

fn store(folder: &Path) -> (PathBuf, PathBuf) {
    let [fasta, scores, labels, store] =
        ["x.fa", "scores.tsv", "labels.tsv", "store"].map(|name| folder.join(name));
    fs::write(&fasta, ">chr1\nTACGATCAAAGT\n").unwrap();
    fs::write(&scores, SCORES).unwrap();
    fs::write(&labels, LABELS).unwrap();
    ok("init {} --reference {}", &[&store, &fasta]);
    ok("import {} --track a {}", &[&store, &scores]);
    (store, labels)
}

/// The line of a group, track and metric.
fn line<'a>(
    found: &'a [HashMap<String, String>],
    [group, track, versus, metric]: [&str; 4],
) -> &'a HashMap<String, String> {
    let wanted = [("group", group), ("track", track), ("versus", versus), ("metric", metric)];
    let fits = |row: &&HashMap<String, String>| wanted.iter().all(|(name, text)| row[*name] == *text);
    found.iter().find(fits).unwrap_or_else(|| panic!("no {group} {track} {versus} {metric} in {found:?}"))
}

#[test]
fn labels_are_joined_with_rows_and_figures_told_by_group() {
    let folder = tempfile::tempdir().unwrap();
    let (store, labels) = store(folder.path());
    let plot = folder.path().join("curves.svg");
    let words = "evaluate {} --labels {} --track a --track a:-other --track baseline:transition --track baseline:cpg \
                 --by tissue --by distance=100,1000 --threshold 0.5 --resamples 200 --format tsv --plot {}";
    let output = run(words, &[&store, &labels, &plot]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    for part in [
        "7 labelled variants of 9, 1 without a label, 1 unknown_contig",
        "a:score: 1 labelled variant without a row",
        "a:-other: 1 labelled variant with a row without this score",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let found = rows(&String::from_utf8(output.stdout).unwrap());
    for (place, n, positives, estimate) in [
        (["all", "a:score", "", "auroc"], "6", "3", "1"),
        (["all", "a:score", "", "auprc"], "6", "3", "1"),
        (["all", "a:score", "", "accuracy"], "6", "3", "1"),
        (["all", "a:score", "", "mcc"], "6", "3", "1"),
        (["all", "a:score", "", "true_positives"], "6", "3", "3"),
        (["all", "a:-other", "", "auroc"], "5", "2", "1"),
        (["all", "a:-other", "a:score", "auroc"], "5", "2", "0"),
        (["all", "a:-other", "a:score", "true_negatives"], "5", "2", "0"),
        (["all", "baseline:transition", "", "auroc"], "6", "3", "0.8333333333333334"),
        (["all", "baseline:cpg", "", "auroc"], "7", "4", "0.75"),
        (["all", "baseline:cpg", "a:score", "auroc"], "6", "3", "-0.16666666666666663"),
        (["blood", "a:score", "", "auroc"], "3", "2", "1"),
        (["liver", "baseline:cpg", "", "auroc"], "4", "2", "0.75"),
        (["below 100", "a:score", "", "auroc"], "3", "2", "1"),
        (["missing", "a:score", "", "accuracy"], "1", "0", "1"),
    ] {
        let row = line(&found, place);
        assert_eq!(
            (row["n"].as_str(), row["positives"].as_str(), row["estimate"].as_str()),
            (n, positives, estimate),
            "{place:?}"
        );
        assert_eq!(row["note"], "", "{place:?}");
    }
    let cpg = line(&found, ["all", "baseline:cpg", "", "auroc"]);
    let bound = |name: &str| cpg[name].parse::<f64>().unwrap();
    assert!(bound("low") < 0.75 && 0.75 <= bound("high"), "{cpg:?}");
    for group in ["100 to 1000", "from 1000", "missing"] {
        let row = line(&found, [group, "a:score", "", "auroc"]);
        assert_eq!([&row["estimate"], &row["low"], &row["note"]], ["", "", "undefined: one class only"]);
    }
    let svg = fs::read_to_string(&plot).unwrap();
    assert!(svg.contains("<svg") && svg.contains("baseline:cpg") && svg.contains("precision"));
    let png = folder.path().join("curves.PNG");
    ok("evaluate {} --labels {} --track a --resamples 9 --plot {}", &[&store, &labels, &png]);
    assert_eq!(png_size(&png), [2 * 1120, 2 * 600]);
    let common = rows(&ok(
        "evaluate {} --labels {} --track a --track a:other --track baseline:cpg --common --resamples 9 --format tsv",
        &[&store, &labels],
    ));
    assert!(common.iter().all(|row| row["n"] == "5"), "{common:?}");
    // The same seed gives the same bounds.
    let again = run(words, &[&store, &labels, &folder.path().join("again.svg")]);
    assert_eq!(rows(&String::from_utf8(again.stdout).unwrap()), found);
}

#[test]
fn labels_come_from_vcf_and_numbers_make_a_regression() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    let vcf = folder.path().join("x.vcf");
    fs::write(
        &vcf,
        "##INFO=<ID=SIG,Number=.,Type=String,Description=\"\">\n##INFO=<ID=MC,Number=.,Type=String,Description=\"\">\n\
         #CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n\
         chr1\t3\t.\tC\tT\t.\t.\tSIG=Bad/Worse;MC=SO:1|missense,SO:2|splice\n\
         chr1\t5\t.\tA\tC\t.\t.\tSIG=Good;MC=SO:1|missense\nchr1\t6\t.\tT\tG\t.\t.\tSIG=Unknown;MC=SO:1|missense\n\
         chr1\t11\t.\tG\tC\t.\t.\tSIG=Good\n",
    )
    .unwrap();
    let words = "evaluate {} --labels {} --label SIG --positive Bad,Bad/Worse --negative Good --track a --by MC \
                 --metric auroc --resamples 50 --format json";
    let output = run(words, &[&store, &vcf]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("3 labelled variants of 4, 1 with other labels"), "{said}");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let groups: Vec<(&str, u64, Option<f64>)> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["group"].as_str().unwrap(), row["n"].as_u64().unwrap(), row["estimate"].as_f64()))
        .collect();
    assert_eq!(
        groups,
        [("all", 3, Some(1.0)), ("missense", 2, Some(1.0)), ("missing", 1, None), ("splice", 1, None)]
    );
    assert_eq!(found[2]["note"], "undefined: one class only");
    let numbers = folder.path().join("numbers.csv");
    fs::write(&numbers, "chr,pos,ref,alt,effect\n1,3,C,T,2.5\n1,4,G,A,1.5\n1,5,A,C,-1\n1,6,T,G,-1\n")
        .unwrap();
    let words =
        "evaluate {} --labels {} --label effect --track a --track a:other --resamples 50 --format tsv";
    let found = rows(&ok(words, &[&store, &numbers]));
    assert_eq!(found.len(), 6);
    // Ranks 4 3 2 1 against 4 3 1½ 1½.
    let spearman = line(&found, ["all", "a:score", "", "spearman"])["estimate"].parse::<f64>().unwrap();
    assert!((spearman - 4.5 / (5.0_f64 * 4.5).sqrt()).abs() < 1e-12, "{spearman}");
    assert_eq!(line(&found, ["all", "a:score", "", "r2"])["positives"], "");
    assert!(
        ok("evaluate {} --labels {} --label effect --track a --resamples 9", &[&store, &numbers])
            .contains("spearman")
    );
}

#[test]
fn with_a_split_only_test_rows_are_measured() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    let labels = folder.path().join("split.csv");
    fs::write(
        &labels,
        "CHROM,POS,REF,ALT,label,tissue,part\n1,3,C,T,1,a,TEST\n1,4,G,A,1,a,train\n1,5,A,C,0,b,test\n1,6,T,G,1,b,test\n\
         1,11,G,C,0,b,val\n1,11,G,C,0,b,train\n",
    )
    .unwrap();
    let words =
        "evaluate {} --labels {} --track a --split-column part --by tissue --resamples 9 --format tsv";
    let output = run(words, &[&store, &labels]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("measured on the test split alone: 3 of 6 rows"), "{said}");
    let found = rows(&String::from_utf8(output.stdout).unwrap());
    let all = line(&found, ["all", "a:score", "", "auroc"]);
    assert_eq!([&all["n"], &all["positives"], &all["estimate"]], ["3", "2", "0.5"]);
    assert_eq!(line(&found, ["b", "a:score", "", "auroc"])["n"], "2");
    for (code, words, part) in [
        (1, "--split-column tissue", "line 2: tissue `a` is not a split; write train, validation or test"),
        (1, "--test 2", "no row is on contig `2`; rows are on chr1"),
        (1, "--test 1", "the training split is empty"),
        (1, "--test-share 1", "both together are below 1"),
        (1, "--test-share 0 --validation-share 0", "has no rows for testing"),
        (2, "--split-column part --test 1", "cannot be used with"),
    ] {
        let said = fails(code, &format!("evaluate {{}} --labels {{}} --track a {words}"), &[&store, &labels]);
        assert!(said.contains(part), "{words}: {said}");
    }
}

#[test]
fn repeats_with_another_label_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    let labels = folder.path().join("twice.csv");
    fs::write(
        &labels,
        "chrom,pos,ref,alt,label\n1,3,C,T,1\n1,3,C,T,0\n1,3,C,T,1\n1,4,G,A,0\n1,5,A,C,1\n1,5,A,C,1\n",
    )
    .unwrap();
    let told = said("evaluate {} --labels {} --track a --resamples 10", &[&store, &labels]);
    assert!(told.contains("; 3 repeat an earlier one, 1 of them with another label"), "{told}");
}

#[test]
fn what_cannot_be_evaluated_is_told_with_its_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let (store, labels) = store(folder.path());
    for (code, words, part) in [
        (1, "--track b", "track `b`"),
        (1, "--track a:nope", "score column `nope`"),
        (
            2,
            "--track baseline:luck",
            "unknown baseline `baseline:luck`; expected baseline:transition or baseline:cpg",
        ),
        (1, "--track a --label nope", "no column `nope`; it has CHROM"),
        (
            1,
            "--track a --label tissue",
            "line 2: label `liver` is not a number; name the values of both classes",
        ),
        (2, "--track a --metric f1", "f1 needs --threshold"),
        (2, "--track a --metric luck", "unknown metric; expected one of auroc"),
        (2, "--track a --by distance=9,3", "rising numbers"),
        (2, "--track a --plot x.pdf", "ends in .svg or .png"),
        (2, "--track a --positive x", "--negative"),
        (2, "--track a --task regression --metric auroc", "auroc needs labels 0 and 1"),
    ] {
        let said = fails(code, &format!("evaluate {{}} --labels {{}} {words}"), &[&store, &labels]);
        assert!(said.contains(part), "{words}: {said}");
    }
    // What fine-tuning cannot learn cannot be measured either.
    for label in ["1e300", "-2e30"] {
        let large = folder.path().join("large.csv");
        fs::write(&large, format!("chrom,pos,ref,alt,label\n1,3,C,T,0.5\n1,4,G,A,{label}\n")).unwrap();
        let said = fails(1, "evaluate {} --labels {} --track a", &[&store, &large]);
        assert!(said.contains(&format!("large.csv, line 3: label `{label}`")), "{said}");
    }
    let foreign = folder.path().join("foreign.csv");
    fs::write(&foreign, "chrom,pos,ref,alt,label\n7,3,C,T,1\n").unwrap();
    let said = fails(1, "evaluate {} --labels {} --track a", &[&store, &foreign]);
    assert!(said.contains("0 labelled variants of 1, 1 unknown_contig"), "{said}");
}
