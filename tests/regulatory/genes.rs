//! Gene effects of regulatory models through the command line.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use super::{SCORE, near, number, prepare};
use crate::programs::{fails, ok, rows};

type Line = HashMap<String, String>;

/// Genes around `chr1:2500`, whose window of 2,048 bases has 16 bins of 32 from 1-based 2245 on.
const GENES: &str = "chr1\tx\texon\t2245\t2340\t.\t+\t.\tgene_id \"plus\"; transcript_id \"p1\";
chr1\tx\texon\t2450\t2476\t.\t+\t.\tgene_id \"plus\"; transcript_id \"p1\";
chr1\tx\texon\t2453\t2484\t.\t+\t.\tgene_id \"plus\"; transcript_id \"p2\";
chr1\tx\texon\t2309\t2404\t.\t-\t.\tgene_id \"minus\"; transcript_id \"m1\";
chr1\tx\texon\t5000\t5400\t.\t-\t.\tgene_id \"minus\"; transcript_id \"m1\";
chr1\tx\texon\t2470\t2478\t.\t+\t.\tgene_id \"short\"; transcript_id \"s1\";
chr1\tx\texon\t200\t400\t.\t+\t.\tgene_id \"far\"; transcript_id \"f1\";
";
const KINDS: &str = "gene-sed,gene-log-sed,gene-d2,gene-js,gene-ref,gene-alt";

fn gene_effects(store: &Path, track: &str, more: &str) -> Vec<Line> {
    rows(&ok(&format!("query {{}} --gene-effects --track {track} {more} --format tsv"), &[store]))
}

/// By gene, the targets that it has effects on.
fn targets(lines: &[Line]) -> BTreeMap<&str, Vec<&str>> {
    let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in lines.iter().filter(|line| line["alternate"] == lines[0]["alternate"]) {
        found.entry(&line["gene"]).or_default().push(&line["target"]);
    }
    found
}

#[test]
fn a_gene_has_effects_on_the_targets_of_its_strand() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = prepare(folder.path());
    let gtf = folder.path().join("genes.gtf");
    fs::write(&gtf, GENES).unwrap();
    let score = |track: &str, more: &str| {
        let words = format!("{SCORE} --model mini --region chr1:2500 --genes {{}} --track {track} {more}");
        ok(&words, &[&store, &gtf]);
    };
    score("keep", &format!("--score {KINDS} --strand-pairs keep"));
    score("merge", &format!("--score sum,{KINDS}"));
    let (kept, merged) = (gene_effects(&store, "keep", ""), gene_effects(&store, "merge", ""));
    // No bin is nearest to the exon of `short`, and `far` is beyond the window.
    let strands = BTreeMap::from([("minus", vec!["A-", "B", "C-"]), ("plus", vec!["A+", "B", "C+"])]);
    assert_eq!(targets(&kept), strands);
    // Where strands are merged, a pair says of a gene what its strand says.
    let pairs = BTreeMap::from([("minus", vec!["A+", "B", "C+"]), ("plus", vec!["A+", "B", "C+"])]);
    assert_eq!(targets(&merged), pairs);
    assert_eq!((kept.len(), merged.len()), (3 * 6, 3 * 6));
    for (kept, merged) in kept.iter().zip(&merged) {
        for column in ["gene_sed", "gene_log_sed", "gene_d2", "gene_js", "gene_ref", "gene_alt"] {
            assert!(near(number(kept, column), number(merged, column)), "{column}: {kept:?} {merged:?}");
        }
        let change = number(kept, "gene_alt") - number(kept, "gene_ref");
        assert!((change - number(kept, "gene_sed")).abs() < 1e-4 * number(kept, "gene_ref"), "{kept:?}");
        assert!(kept["status"] == "scored" && number(kept, "gene_ref") > 0.0);
    }
    // The score is the largest effect on a gene.
    let scores = rows(&ok("query {} --track merge --format tsv", &[&store]));
    for score in &scores {
        let of = merged.iter().filter(|line| line["alternate"] == score["alternate"]);
        let largest = of.map(|line| number(line, "gene_sed").abs()).fold(0.0, f64::max);
        assert!(near(number(score, "gene_sed_max_abs"), largest) && number(score, "sum_max_abs") > 0.0);
        assert!(!score.contains_key("gene_ref_max_abs"));
    }
    // Chosen targets and the largest.
    let chosen = gene_effects(&store, "keep", "--target C* --columns gene_sed");
    assert_eq!(targets(&chosen), BTreeMap::from([("minus", vec!["C-"]), ("plus", vec!["C+"])]));
    assert!(!chosen[0].contains_key("gene_d2"));
    assert_eq!(gene_effects(&store, "keep", "--top 1").len(), 3 * 2);
    assert_eq!(ok("query {} --gene-effects --track keep --count", &[&store]).trim(), "18");
    let large = gene_effects(&store, "keep", "--where gene_ref>0.5");
    assert_eq!(large.len(), kept.iter().filter(|line| number(line, "gene_ref") > 0.5).count());
    // Exported, compacted, verified and computed again.
    let parquet = folder.path().join("effects.parquet");
    ok("query {} --gene-effects --track keep -o {}", &[&store, &parquet]);
    assert!(fs::metadata(&parquet).unwrap().len() > 0);
    ok(
        &format!("{SCORE} --model mini --region chr1:2600 --genes {{}} --track merge --score sum,{KINDS}"),
        &[&store, &gtf],
    );
    let whole = gene_effects(&store, "merge", "");
    ok("compact {} --quiet", &[&store]);
    assert_eq!(gene_effects(&store, "merge", ""), whole);
    ok("genes add {} {}", &[&store, &gtf]);
    assert!(ok("verify {} --rescore 100 --quiet", &[&store]).is_empty());
}

#[test]
fn gene_rows_that_were_removed_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = prepare(folder.path());
    let gtf = folder.path().join("genes.gtf");
    fs::write(&gtf, GENES).unwrap();
    // Scored beside other kinds, without a gene: the gene row has a status of its own.
    let score =
        format!("{SCORE} --model mini --region chr1:3500 --genes {{}} --track t --score sum,gene-sed");
    ok(&score, &[&store, &gtf]);
    let whole = ok("query {} --gene-effects --track t --format tsv", &[&store]);
    ok("track remove {} t --status no_gene", &[&store]);
    assert_eq!(ok("query {} --gene-effects --track t --count", &[&store]).trim(), "0");
    assert_eq!(ok("query {} --track t --count", &[&store]).trim(), "3");
    ok(&score, &[&store, &gtf]);
    assert_eq!(ok("query {} --gene-effects --track t --format tsv", &[&store]), whole);
    // And where the score is removed while the gene rows stay.
    let stitched = folder.path().join("indel.vcf");
    let bases = fs::read_to_string(folder.path().join("genome.fa")).unwrap();
    let bases: String = bases.lines().skip(1).take_while(|line| !line.starts_with('>')).collect();
    let base = &bases[2499..2500];
    let other = if base == "A" { "C" } else { "A" };
    let line = format!("chr1\t2500\t.\t{base}\t{base}{other}{other}\t.\t.\t.\n");
    fs::write(
        &stitched,
        format!("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n{line}"),
    )
    .unwrap();
    let score =
        format!("{SCORE} --model mini --variants {{}} --genes {{}} --track u --score gene-js,gene-ref");
    ok(&score, &[&store, &stitched, &gtf]);
    let whole = ok("query {} --gene-effects --track u --format tsv", &[&store]);
    assert!(whole.contains("\tscored\t") && !whole.contains("no_gene"), "{whole}");
    ok("track remove {} u --status unsupported_allele", &[&store]);
    ok(&score, &[&store, &stitched, &gtf]);
    assert_eq!(ok("query {} --gene-effects --track u --format tsv", &[&store]), whole);
}

#[test]
fn variants_without_genes_say_so_and_options_must_fit() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = prepare(folder.path());
    let gtf = folder.path().join("genes.gtf");
    fs::write(&gtf, GENES).unwrap();
    let far = "--model mini --region chr1:3500";
    ok(&format!("{SCORE} {far} --genes {{}} --track genes --score gene-sed"), &[&store, &gtf]);
    ok(&format!("{SCORE} {far} --genes {{}} --track both --score sum,gene-sed"), &[&store, &gtf]);
    let lines = gene_effects(&store, "genes", "");
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line["status"] == "no_gene" && line["gene"].is_empty()), "{lines:?}");
    let scores = rows(&ok("query {} --track genes --format tsv", &[&store]));
    assert!(scores.iter().all(|row| row["status"] == "no_gene" && row["gene_sed_max_abs"].is_empty()));
    let both = rows(&ok("query {} --track both --format tsv", &[&store]));
    assert!(both.iter().all(|row| row["status"] == "scored" && row["gene_sed_max_abs"].is_empty()));
    assert!(gene_effects(&store, "both", "").iter().all(|line| line["status"] == "no_gene"));
    // Values without effects are no scores, and targets of the other strand say nothing of a gene.
    ok(&format!("{SCORE} {far} --genes {{}} --track values --score ref,alt,gene-sed"), &[&store, &gtf]);
    let only = "--model mini --region chr1:2530 --target A+ --strand-pairs keep";
    ok(&format!("{SCORE} {only} --genes {{}} --track strand --score gene-sed"), &[&store, &gtf]);
    for track in ["values", "strand"] {
        let rows = rows(&ok(&format!("query {{}} --track {track} --format tsv"), &[&store]));
        let expected = if track == "values" { "no_gene" } else { "scored" };
        assert!(rows.len() == 3 && rows.iter().all(|row| row["status"] == expected), "{track}: {rows:?}");
    }
    assert_eq!(targets(&gene_effects(&store, "strand", "")), BTreeMap::from([("plus", vec!["A+"])]));
    // Continued with the table of the track, once the store keeps it.
    let more = format!("{SCORE} --model mini --region chr1:2500 --track genes --score gene-sed");
    assert!(fails(1, &more, &[&store]).contains("which the store does not keep; give it with --genes"));
    ok("genes add {} {}", &[&store, &gtf]);
    ok(&more, &[&store]);
    assert_eq!(gene_effects(&store, "genes", "").len(), 3 + 3 * 6);
    for (options, told) in [
        ("--score gene-sed", "`gene-sed` needs genes"),
        ("--score sum --genes {}", "the gene-… score kinds"),
        ("--score gene-ref --genes {}", "gene-ref"),
        ("--score gene-sad --genes {}", "gene-sad"),
    ] {
        let words = format!("{SCORE} {far} --track other {options}");
        let paths: [&Path; 2] = [&store, &gtf];
        let said = fails(2, &words, &paths[..=usize::from(options.contains("{}"))]);
        assert!(said.contains(told), "{options}: {said}");
    }
    let junctions = folder.path().join("junctions.csv");
    let text = "gene_id,chr,strand,start,end,jn_start,jn_end\nG,chr1,-,2101,2400,\"2150\",\"2301\"\n";
    fs::write(&junctions, text).unwrap();
    let told = fails(2, &format!("{SCORE} {far} --score gene-sed --genes {{}}"), &[&store, &junctions]);
    assert!(told.contains("names only junctions"), "{told}");
    assert!(fails(2, "query {} --top 3", &[&store]).contains("add --effects"));
}
