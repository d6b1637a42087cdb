//! `vestore calibrate`: percentiles and PHRED against a plain computation, wherever scores are read.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::programs::{fails, genome, ok, rows, said};
use crate::support::Random;

/// Every SNV of some hundred bases with a score from few values, a column that does not say its direction, and an
/// insertion.
fn store(folder: &Path) -> (PathBuf, Vec<u8>) {
    let [fasta, scores, store] = ["genome.fa", "scores.tsv", "store"].map(|name| folder.join(name));
    let bases = genome(&fasta);
    let mut random = Random(8);
    let mut text = String::from("contig\tposition\tref\talt\tscore\tother\n");
    for position in 101..=500_usize {
        let reference = bases[position - 1] as char;
        for alternate in "ACGT".chars().filter(|alternate| *alternate != reference) {
            let score = random.below(60) as f64 / 8.0 - 3.0;
            let other = if position % 10 == 0 { "NA".to_owned() } else { (score * score).to_string() };
            writeln!(text, "chr1\t{position}\t{reference}\t{alternate}\t{score}\t{other}").unwrap();
        }
    }
    let anchor = bases[599] as char;
    writeln!(text, "chr1\t600\t{anchor}\t{anchor}ACGTACGTT\t1.25\t1").unwrap();
    fs::write(&scores, text).unwrap();
    ok("init {} --reference {}", &[&store, &fasta]);
    ok("import {} --track t {}", &[&store, &scores]);
    (store, bases)
}

fn plain(background: &[f64], score: f64) -> [f64; 2] {
    let count = |fits: &dyn Fn(f64) -> bool| background.iter().filter(|other| fits(**other)).count() as f64;
    let (less, up_to, all) =
        (count(&|other| other < score), count(&|other| other <= score), background.len() as f64);
    let equal = if less < up_to { 1.0 } else { 0.0 };
    [(less + up_to + equal) * 50.0 / all, -10.0 * ((all - less).max(1.0) / all).log10() + 0.0]
}

fn numbers(found: &[HashMap<String, String>], column: &str) -> Vec<Option<f64>> {
    found.iter().map(|row| row[column].parse().ok()).collect()
}

/// Checks the columns of `score` in all rows against the scores of `background`, both `turned` so that larger ones are
/// more extreme.
fn check(found: &[HashMap<String, String>], score: &str, background: &[f64], turned: &dyn Fn(f64) -> f64) {
    let scores = numbers(found, score);
    let background: Vec<f64> = background.iter().map(|score| turned(*score)).collect();
    for (ending, index) in [("percentile", 0), ("phred", 1)] {
        let made = numbers(found, &format!("{score}_{ending}"));
        for (made, score) in made.iter().zip(&scores) {
            let expected = score.map(|score| plain(&background, turned(score))[index]);
            assert_eq!(made.is_some(), expected.is_some());
            assert!((made.unwrap_or(0.0) - expected.unwrap_or(0.0)).abs() < 1e-9, "{made:?} {expected:?}");
        }
    }
}

#[test]
fn percentiles_equal_a_plain_computation_over_any_background() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    let query = |more: &str| rows(&ok(&format!("query {{}} --format tsv {more}"), &[&store]));
    let before = ok("query {} --format tsv", &[&store]);
    let unknown = fails(1, "calibrate {} --track t --score score", &[&store]);
    assert!(unknown.contains("--direction"), "{unknown}");

    let made = ok("calibrate {} --track t --score score --direction low", &[&store]);
    assert!(
        made.contains("all rows: 1,201 scores") && made.contains("score_percentile, score_phred"),
        "{made}"
    );
    let all = query("");
    assert_eq!(all.len(), 1201);
    let scores: Vec<f64> = numbers(&all, "score").into_iter().flatten().collect();
    check(&all, "score", &scores, &|score| -score);
    let again = said("calibrate {} --track t --score score --direction low", &[&store]);
    assert!(again.contains("nothing was changed"), "{again}");

    // Another direction and another background are other calibrations.
    let words = "calibrate {} --track t --score score --direction high --background chr1:201-300 --quiet";
    let other = fails(1, words, &[&store]);
    assert!(other.contains("--replace") && other.contains("all rows, low values"), "{other}");
    ok(&format!("{words} --replace"), &[&store]);
    let within = query("chr1:201-300");
    assert_eq!(within.len(), 300);
    let scores: Vec<f64> = numbers(&within, "score").into_iter().flatten().collect();
    check(&query(""), "score", &scores, &|score| score);

    // A file of regions, one of variants, and a column with missing scores.
    let [bed, vcf] = ["neutral.bed", "common.vcf"].map(|name| folder.path().join(name));
    fs::write(&bed, "chr1\t109\t120\nchr1\t399\t450\n").unwrap();
    ok("calibrate {} --track t --score other --direction magnitude --background {}", &[&store, &bed]);
    let within = query("chr1:110-120 chr1:400-450");
    let scores: Vec<f64> = numbers(&within, "other").into_iter().flatten().collect();
    assert_eq!(scores.len(), 3 * 62 - 3 * 8);
    check(&query(""), "other", &scores, &f64::abs);
    let common: Vec<&HashMap<String, String>> = within.iter().step_by(5).collect();
    let mut text = String::new();
    for row in &common {
        let [position, reference, alternate] = ["position", "reference", "alternate"].map(|name| &row[name]);
        writeln!(text, "chr1\t{position}\t.\t{reference}\t{alternate}\t.\t.\t.").unwrap();
    }
    fs::write(&vcf, format!("##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n{text}"))
        .unwrap();
    let words = "calibrate {} --track t --score score --direction low --replace --background {}";
    let made = ok(words, &[&store, &vcf]);
    assert!(made.contains(&format!("common.vcf: {} scores", common.len())), "{made}");
    let scores: Vec<f64> = common.iter().map(|row| row["score"].parse().unwrap()).collect();
    check(&query(""), "score", &scores, &|score| -score);

    // What was made can be removed, and leaves nothing.
    for column in ["score", "other"] {
        ok(&format!("calibrate {{}} --track t --score {column} --remove"), &[&store]);
    }
    assert_eq!(ok("query {} --format tsv", &[&store]), before);
    fails(1, "calibrate {} --track t --score score --remove", &[&store]);
    fails(1, "calibrate {} --track t --score none", &[&store]);
    let empty =
        fails(1, "calibrate {} --track t --score score --direction low --background chr1:1-50", &[&store]);
    assert!(empty.contains("no score to compare with"), "{empty}");
}

/// The numbers of a row by column.
type Row<'a> = &'a dyn Fn(&str) -> f64;
/// Whether a row fulfils a condition.
type Fits = fn(Row<'_>) -> bool;

#[test]
fn conditions_on_percentiles_equal_a_filter_over_all_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    ok("calibrate {} --track t --score score --direction low", &[&store]);
    ok("calibrate {} --track t --score other --direction magnitude", &[&store]);
    let all = rows(&ok("query {} --format tsv", &[&store]));
    let conditions: [(&str, Fits); 5] = [
        ("score_phred >= 10", |row| row("score_phred") >= 10.0),
        ("score_percentile > 90 and other < 9", |row| row("score_percentile") > 90.0 && row("other") < 9.0),
        ("score_percentile < 5", |row| row("score_percentile") < 5.0),
        ("other_percentile >= 50 or score_phred = 0", |row| {
            row("other_percentile") >= 50.0 || row("score_phred") == 0.0
        }),
        ("score_phred > 60", |_| false),
    ];
    for (condition, fits) in conditions {
        let expected =
            all.iter().filter(|row| fits(&|name: &str| row[name].parse().unwrap_or(f64::NAN))).count();
        assert_eq!(expected == 0, condition.ends_with("> 60"), "{condition}");
        let words = "query {} --count --where {}";
        let condition = Path::new(condition);
        assert_eq!(ok(words, &[&store, condition]).trim(), expected.to_string(), "{}", condition.display());
        let wide = ok("query {} --wide --count --where {}", &[&store, condition]);
        assert_eq!(wide.trim(), expected.to_string());
    }
    let sorted =
        rows(&ok("query {} --format tsv --columns score_phred --sort -score_phred --limit 3", &[&store]));
    let mut expected: Vec<f64> = numbers(&all, "score_phred").into_iter().flatten().collect();
    expected.sort_by(|a, b| b.total_cmp(a));
    assert_eq!(
        numbers(&sorted, "score_phred"),
        expected[..3].iter().map(|one| Some(*one)).collect::<Vec<_>>()
    );
}

#[test]
fn contexts_subtract_the_mean_of_their_class() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = store(folder.path());
    ok("calibrate {} --track t --score score --direction high --by trinucleotide", &[&store]);
    let all = rows(&ok("query {} --format tsv", &[&store]));
    let complement = |base: char| match base {
        'A' => 'T',
        'C' => 'G',
        'G' => 'C',
        _ => 'A',
    };
    let class = |row: &HashMap<String, String>| -> Option<String> {
        let position: usize = row["position"].parse().unwrap();
        let context: String = bases[position - 2..=position].iter().map(|base| *base as char).collect();
        let (reference, alternate) = (&row["reference"], &row["alternate"]);
        (alternate.len() == 1).then(|| {
            if "CT".contains(reference.as_str()) {
                return format!("{context}>{alternate}");
            }
            let turned: String = context.chars().rev().map(complement).collect();
            format!("{turned}>{}", complement(alternate.chars().next().unwrap()))
        })
    };
    let mut classes: HashMap<String, Vec<f64>> = HashMap::new();
    for row in &all {
        if let Some(class) = class(row) {
            classes.entry(class).or_default().push(row["score"].parse().unwrap());
        }
    }
    let adjusted: Vec<Option<f64>> = all
        .iter()
        .map(|row| {
            let of_class = &classes[&class(row)?];
            let mean = of_class.iter().sum::<f64>() / of_class.len() as f64;
            Some(f64::from((row["score"].parse::<f64>().unwrap() - mean) as f32))
        })
        .collect();
    let background: Vec<f64> = adjusted.iter().flatten().copied().collect();
    assert_eq!(background.len(), 1200);
    for (row, adjusted) in all.iter().zip(&adjusted) {
        let expected = adjusted.map(|adjusted| plain(&background, adjusted)[0]);
        let found: Option<f64> = row["score_percentile"].parse().ok();
        assert_eq!(found.is_some(), expected.is_some());
        assert!((found.unwrap_or(0.0) - expected.unwrap_or(0.0)).abs() < 1e-9, "{found:?} {expected:?}");
    }
    // Without the reference there are no such columns, and everything else stays.
    fs::rename(folder.path().join("genome.fa"), folder.path().join("elsewhere.fa")).unwrap();
    let without = ok("query {} --format tsv", &[&store]);
    assert!(without.lines().count() == 1202 && !without.contains("score_percentile"), "{}", &without[..200]);
    let asked = fails(1, "query {} --columns score_percentile", &[&store]);
    assert!(asked.contains("no column `score_percentile`: columns of calibrations by context"), "{asked}");
    let elsewhere = folder.path().join("elsewhere.fa");
    let with = rows(&ok("query {} --format tsv --reference {}", &[&store, &elsewhere]));
    assert!(with == all);
    fs::rename(&elsewhere, folder.path().join("genome.fa")).unwrap();
    let plain = ok("query {} chr1:300-310 --where {} --count", &[&store, Path::new("score_percentile >= 0")]);
    assert_eq!(plain.trim(), "33");
}

#[test]
fn calibrated_columns_leave_in_every_form_and_stay_through_changes_of_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    let [vcf, annotated, published, bedgraph] =
        ["in.vcf", "out.vcf", "published", "x.bedgraph"].map(|name| folder.path().join(name));
    ok("calibrate {} --track t --score score --direction low", &[&store]);
    let row = &rows(&ok("query {} chr1:250-250 --format tsv", &[&store]))[0];
    let phred: f64 = row["score_phred"].parse().unwrap();
    let list = said("track list {}", &[&store]);
    assert!(
        list.contains("t.score is calibrated with 1,201 scores: all rows, low values are extreme"),
        "{list}"
    );
    let listed = ok("track list {} --format json", &[&store]);
    assert!(
        listed.contains("\"calibrations\"") && listed.contains("\"background\": \"all rows\""),
        "{listed}"
    );
    let variant = format!("chr1-250-{}-{}", row["reference"], row["alternate"]);
    let explained = ok("explain {} {} --track t", &[&store, Path::new(&variant)]);
    assert!(explained.contains(&format!("{phred:.4}")), "{explained}");

    let text = format!("chr1\t250\t.\t{}\t{}\t.\t.\t.\n", row["reference"], row["alternate"]);
    fs::write(&vcf, format!("##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n{text}"))
        .unwrap();
    ok("annotate {} {} {}", &[&store, &vcf, &annotated]);
    let text = fs::read_to_string(&annotated).unwrap();
    assert!(text.contains("ID=t_score_phred") && text.contains("low values are extreme"), "{text}");
    let value = text.split("t_score_phred=").nth(1).unwrap().split([';', '\n']).next().unwrap();
    assert_eq!(value.parse::<f32>().unwrap(), phred as f32);
    let exported = ok("query {} chr1:250-250 --format vcf", &[&store]);
    assert!(exported.contains(&format!("t_score_phred={phred}")), "{exported}");
    ok("export {} --format bedgraph --track t --score score_phred -o {}", &[&store, &bedgraph]);
    assert!(
        fs::read_to_string(&bedgraph).unwrap().lines().filter(|line| !line.starts_with('#')).count() >= 400
    );

    let all = ok("query {} --format tsv", &[&store]);
    ok("compact {}", &[&store]);
    ok("verify {}", &[&store]);
    ok("publish {} {}", &[&store, &published]);
    assert_eq!(ok("query {} --format tsv", &[&published]), all);
    ok("track remove {} t", &[&store]);
    assert!(!ok("track list {} --format json", &[&store]).contains("calibrations"));
}

#[test]
fn a_name_that_the_track_has_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [fasta, scores, store] = ["x.fa", "s.tsv", "store"].map(|name| folder.path().join(name));
    fs::write(&fasta, ">chr1\nTACGATCAAAGT\n").unwrap();
    fs::write(&scores, "contig\tposition\tref\talt\ta\ta_phred\nchr1\t3\tC\tT\t0.9\t0.1\n").unwrap();
    ok("init {} --reference {}", &[&store, &fasta]);
    ok("import {} --track t {}", &[&store, &scores]);
    let refused = fails(1, "calibrate {} --track t --score a --direction high", &[&store]);
    assert!(refused.contains("`a_phred`"), "{refused}");
    // Of another track it is a column like any other.
    ok("import {} --track u {} --columns a", &[&store, &scores]);
    ok("calibrate {} --track u --score a --direction high", &[&store]);
    let found = rows(&ok("query {} --format tsv", &[&store]));
    let phreds: Vec<&str> = found.iter().map(|row| row["a_phred"].as_str()).collect();
    assert_eq!(phreds, ["0.10000000149011612", "0"]);
    ok("query {} --wide --format tsv", &[&store]);
}
