//! Presets of `import`, each on a file of the published shape, with its rows queried and compared.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use noodles::bgzf;

use crate::programs::{command, fails, ok, rows, said};
use crate::support::Random;

const LENGTH: usize = 400;

/// A store over one contig of this name, and its bases.
fn preset_store(folder: &Path, contig: &str, assembly: &str) -> (PathBuf, Vec<char>) {
    let mut random = Random(23);
    let bases: Vec<char> = (0..LENGTH).map(|_| ['A', 'C', 'G', 'T'][random.below(4) as usize]).collect();
    let (reference, store) = (folder.join("r.fa"), folder.join("s"));
    fs::write(&reference, format!(">{contig}\n{}\n", bases.iter().collect::<String>())).unwrap();
    ok(&format!("init {{}} --reference {{}} {assembly}"), &[&store, &reference]);
    (store, bases)
}

/// The alternates of a position, counted from 1, in order.
fn others(bases: &[char], position: usize) -> Vec<char> {
    "ACGT".chars().filter(|base| *base != bases[position - 1]).collect()
}

fn write_bgzf(path: &Path, text: &str) {
    let mut writer = bgzf::io::Writer::new(fs::File::create(path).unwrap());
    writer.write_all(text.as_bytes()).unwrap();
    writer.finish().unwrap();
}

/// Position, alternate and these columns of all rows of track `t`.
fn stored(store: &Path, columns: &[&str]) -> Vec<Vec<String>> {
    let answer = ok("query {} --track t --format tsv", &[store]);
    let wanted = ["position", "alternate"].iter().chain(columns);
    rows(&answer).iter().map(|row| wanted.clone().map(|name| row[*name].clone()).collect()).collect()
}

/// What the catalog says of the source of track `t`.
fn external(store: &Path) -> serde_json::Value {
    let output = ok("track list {} --format json", &[store]);
    serde_json::from_str::<serde_json::Value>(&output).unwrap()[0]["external"].clone()
}

#[test]
fn cadd_from_a_bgzf_file_and_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = preset_store(folder.path(), "1", "");
    let mut text = String::from(
        "## CADD GRCh38-v1.7 (c) University of Washington\n#Chrom\tPos\tRef\tAlt\tRawScore\tPHRED\n",
    );
    let mut expected = Vec::new();
    for position in 1..=50 {
        for (nth, alternate) in others(&bases, position).into_iter().enumerate() {
            let (raw, phred) =
                (format!("{}.{:06}", nth as i32 - 1, position * 137), format!("{position}.{nth}3"));
            writeln!(text, "1\t{position}\t{}\t{alternate}\t{raw}\t{phred}", bases[position - 1]).unwrap();
            let shortest = |text: &str| text.parse::<f32>().unwrap().to_string();
            expected.push(vec![
                position.to_string(),
                alternate.to_string(),
                shortest(&phred),
                shortest(&raw),
            ]);
        }
    }
    let file = folder.path().join("whole_genome_SNVs.tsv.gz");
    write_bgzf(&file, &text);
    let output = said("import {} --track t --preset cadd {}", &[&store, &file]);
    assert!(output.contains("150 rows written to track t with columns PHRED, RawScore"), "{output}");
    assert_eq!(stored(&store, &["PHRED", "RawScore"]), expected);
    let output = external(&store);
    assert_eq!(
        (output["directions"].to_string(), &output["preset"]),
        ("[\"high\",\"high\"]".to_owned(), &"cadd".into())
    );
    // The same bytes on standard input are the same track.
    let id = ok("track list {} --format json", &[&store]);
    ok("track remove {} t", &[&store]);
    let mut child =
        command("import {} --track t --preset cadd -", &[&store]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&fs::read(&file).unwrap()).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(stored(&store, &["PHRED", "RawScore"]), expected);
    let of = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()[0]["id"].clone();
    assert_eq!(of(&ok("track list {} --format json", &[&store])), of(&id));

    // Scores out of range are skipped, counted, and reported with line and value.
    let wrong = text.replacen("\t2.03\n", "\t-2.03\n", 1).replacen("\t3.13\n", "\t103.1\n", 1);
    fs::write(&file, wrong).unwrap();
    let report = folder.path().join("report.tsv");
    let output = said("import {} --track u --preset cadd --report {} {}", &[&store, &report, &file]);
    assert!(output.contains("2 left out: out_of_range"), "{output}");
    assert!(output.contains("line 6: PHRED `-2.03`; expected 0 to 100"), "{output}");
    assert!(output.contains("148 rows written"), "{output}");
    let listed = fs::read_to_string(&report).unwrap();
    let reasons: Vec<&str> = listed.lines().skip(1).map(|line| line.rsplit('\t').next().unwrap()).collect();
    assert_eq!(reasons, ["out_of_range PHRED=-2.03", "out_of_range PHRED=103.1"]);
}

#[test]
fn the_atlas_of_variant_impact_scores() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = preset_store(folder.path(), "chr1", "--assembly GRCh38");
    let mut text = String::from("chr\tpos\tref\talt\traw\tPHRED\n");
    let mut expected = Vec::new();
    for position in 5..=20 {
        for alternate in others(&bases, position) {
            let score = position as f32 / 64.0;
            writeln!(text, "1\t{position}\t{}\t{alternate}\t{score}\t{}", bases[position - 1], 2.0 * score)
                .unwrap();
            let cells =
                [position.to_string(), alternate.to_string(), (2.0 * score).to_string(), score.to_string()];
            expected.push(cells.to_vec());
        }
    }
    let file = folder.path().join("avi.tsv.gz");
    write_bgzf(&file, &text);
    ok("import {} --track t --preset avi {}", &[&store, &file]);
    assert_eq!(stored(&store, &["PHRED", "raw"]), expected);
}

#[test]
fn alphamissense_keeps_the_largest_score_of_the_transcripts() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = preset_store(folder.path(), "1", "");
    let mut text = String::from(
        "# Copyright (2023) DeepMind Technologies Limited\n#\n# Licensed under a licence\n\
         #CHROM\tPOS\tREF\tALT\tgenome\tuniprot_id\ttranscript_id\tprotein_variant\tam_pathogenicity\tam_class\n",
    );
    let mut expected = Vec::new();
    for position in 10..=20 {
        for alternate in others(&bases, position) {
            let scores = [0.25, 0.5 + position as f32 / 64.0, 0.125];
            // Every third position is in three transcripts.
            let count = if position % 3 == 0 { 3 } else { 1 };
            for (transcript, score) in scores[..count].iter().enumerate() {
                writeln!(
                    text,
                    "chr1\t{position}\t{}\t{alternate}\thg38\tQ8NH21\tENST0000000000{transcript}.4\tV2L\t{score}\tlikely_benign",
                    bases[position - 1]
                )
                .unwrap();
            }
            let kept = if count == 3 { scores[1] } else { scores[0] };
            expected.push(vec![position.to_string(), alternate.to_string(), kept.to_string()]);
        }
    }
    let file = folder.path().join("AlphaMissense_hg38.tsv.gz");
    write_bgzf(&file, &text);
    let output = said("import {} --track t --preset alphamissense {}", &[&store, &file]);
    assert!(output.contains("the largest of each column is kept"), "{output}");
    assert_eq!(stored(&store, &["am_pathogenicity"]), expected);
    // Another rule can be chosen.
    ok("track remove {} t", &[&store]);
    ok("import {} --track t --preset alphamissense --duplicates first {}", &[&store, &file]);
    assert!(stored(&store, &["am_pathogenicity"]).iter().all(|row| row[2] == "0.25"));
}

#[test]
fn spliceai_takes_the_largest_of_the_genes_for_each_allele() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = preset_store(folder.path(), "1", "");
    let mut text = String::from(
        "##fileformat=VCFv4.2\n##INFO=<ID=SpliceAI,Number=.,Type=String,Description=\"SpliceAIv1.3.1 variant annotation. \
         Format: ALLELE|SYMBOL|DS_AG|DS_AL|DS_DG|DS_DL|DP_AG|DP_AL|DP_DG|DP_DL\">\n\
         #CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n",
    );
    let new = others(&bases, 30);
    writeln!(
        text,
        "1\t30\t.\t{}\t{},{}\t.\t.\tSpliceAI={1}|A|0.01|0.20|0.00|0.05|-3|4|7|9,{1}|B|0.10|0.00|0.00|0.91|1|1|1|2,{2}|A|0.00|.|0.30|0.00|1|1|1|1",
        bases[29], new[0], new[1]
    )
    .unwrap();
    // Published files have a record per gene.
    writeln!(text, "1\t30\t.\t{}\t{1}\t.\t.\tSpliceAI={1}|B|0.00|.|0.70|0.00|1|1|1|1", bases[29], new[1])
        .unwrap();
    writeln!(text, "1\t31\t.\t{}\t{}\t.\t.\tSpliceAI=.", bases[30], others(&bases, 31)[0]).unwrap();
    let file = folder.path().join("spliceai.vcf");
    fs::write(&file, &text).unwrap();
    let output = said("import {} --track t --preset spliceai {}", &[&store, &file]);
    assert!(output.contains("1 row without any score left out"), "{output}");
    let columns = ["splice_max", "acceptor_gain", "acceptor_loss", "donor_gain", "donor_loss"];
    let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
    let (first, second) = (new[0].to_string(), new[1].to_string());
    assert_eq!(
        stored(&store, &columns),
        [
            row(&["30", &first, "0.91", "0.1", "0.2", "0", "0.91"]),
            row(&["30", &second, "0.7", "0", "", "0.7", "0"]),
        ]
    );
    for (from, to, part) in [
        ("|-3|4|7|9,", "|-3|4|7,", "line 4: SpliceAI"),
        ("ID=SpliceAI,", "ID=Other,", "does not look like spliceai"),
        ("|0.91|", "|x|", "is not a number"),
    ] {
        fs::write(&file, text.replacen(from, to, 1)).unwrap();
        let output = fails(1, "import {} --track u --preset spliceai {}", &[&store, &file]);
        assert!(output.contains(part), "{output}");
    }
}

#[test]
fn revel_reads_the_position_of_the_assembly() {
    let header = "chr,hg19_pos,grch38_pos,ref,alt,aaref,aaalt,REVEL,Ensembl_transcriptid\n";
    for (assembly, flags, column) in
        [("--assembly GRCh37", "", 0), ("--assembly hg38", "", 1), ("", "--columns position=grch38_pos", 1)]
    {
        let folder = tempfile::tempdir().unwrap();
        let (store, bases) = preset_store(folder.path(), "1", assembly);
        let mut text = header.to_owned();
        let mut expected = Vec::new();
        for nth in 0..20_usize {
            // Descending on GRCh38, and three without a position there.
            let places = [20 + nth, 80 - nth];
            let position = places[column];
            let (old, new) = (bases[position - 1], others(&bases, position)[nth % 3]);
            let missing = nth % 7 == 2;
            let second = if missing { ".".to_owned() } else { places[1].to_string() };
            writeln!(text, "1,{},{second},{old},{new},V,L,0.{nth:03},ENST{nth};ENST1", places[0]).unwrap();
            if column == 0 || !missing {
                let score = format!("0.{nth:03}").parse::<f32>().unwrap();
                expected.push(vec![position.to_string(), new.to_string(), score.to_string()]);
            }
        }
        expected.sort_by_key(|row| row[0].parse::<u32>().unwrap());
        let file = folder.path().join("revel_with_transcript_ids.csv");
        fs::write(&file, &text).unwrap();
        let output = said(&format!("import {{}} --track t --preset revel {flags} {{}}"), &[&store, &file]);
        assert_eq!(output.contains("3 rows skipped: no position in this assembly"), column == 1, "{output}");
        assert_eq!(stored(&store, &["REVEL"]), expected);
    }
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = preset_store(folder.path(), "1", "--assembly T2T");
    let file = folder.path().join("revel.csv");
    fs::write(&file, header).unwrap();
    let output = fails(1, "import {} --track t --preset revel {}", &[&store, &file]);
    assert!(output.contains("is called `T2T`") && output.contains("--columns position=hg19_pos"), "{output}");
}

#[test]
fn columns_of_dbnsfp_are_named_and_lists_need_a_rule() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = preset_store(folder.path(), "1", "");
    let mut text = String::from(
        "#chr\tpos(1-based)\tref\talt\taaref\thg19_pos(1-based)\tSIFT_score\tgenename\tMPC_score\n",
    );
    let mut expected = Vec::new();
    for position in 40..=45 {
        let alternate = others(&bases, position)[0];
        let list = ["0.5;.;0.0625", ".", "0.25"][position % 3];
        let least = ["0.0625", "", "0.25"][position % 3];
        writeln!(
            text,
            "1\t{position}\t{}\t{alternate}\tV\t{}\t{list}\tG;G\t1.5",
            bases[position - 1],
            position + 9
        )
        .unwrap();
        expected.push(vec![position.to_string(), alternate.to_string(), least.to_owned(), "1.5".to_owned()]);
    }
    let file = folder.path().join("dbNSFP4.9a_variant.chr1");
    fs::write(&file, text).unwrap();
    let output = fails(2, "import {} --track t --preset dbnsfp {}", &[&store, &file]);
    assert!(output.contains("name the scores with `--columns"), "{output}");
    let import = "import {} --track t --preset dbnsfp --columns sift=SIFT_score,MPC_score";
    let output = fails(1, &format!("{import} {{}}"), &[&store, &file]);
    assert!(
        output.contains("line 4: SIFT_score `0.5;.;0.0625` is a list") && output.contains("--list"),
        "{output}"
    );
    let output = fails(2, &format!("{import} --list min --direction sift=low {{}}"), &[&store, &file]);
    assert!(output.contains("column `MPC_score` has no direction"), "{output}");
    let output = fails(2, &format!("{import} --list min --direction x=low {{}}"), &[&store, &file]);
    assert!(output.contains("--direction names column `x`"), "{output}");
    assert!(fails(2, &format!("{import} --direction sift=up {{}}"), &[&store, &file]).contains("sift=up"));
    ok(
        &format!("{import} --list min --direction sift=low --direction MPC_score=high {{}}"),
        &[&store, &file],
    );
    assert_eq!(stored(&store, &["sift", "MPC_score"]), expected);
    let output = external(&store);
    assert_eq!(
        (output["directions"].to_string(), &output["list"]),
        ("[\"low\",\"high\"]".to_owned(), &"min".into())
    );
}

#[test]
fn files_of_another_shape_are_refused_with_what_was_found() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = preset_store(folder.path(), "1", "--assembly GRCh38");
    let file = folder.path().join("x");
    let vcf = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n";
    let table = "#Chrom\tPos\tRef\tAlt\tPHRED\tRawScore\n1\t5\tA\tC\t1\t1\n";
    for preset in ["cadd", "alphamissense", "avi", "spliceai", "revel", "dbnsfp --columns PHRED"] {
        for (text, found) in [(table, "Chrom, Pos, Ref, Alt, PHRED, RawScore"), (vcf, "a VCF")] {
            fs::write(&file, text).unwrap();
            let output = fails(1, &format!("import {{}} --track t --preset {preset} {{}}"), &[&store, &file]);
            let name = preset.split(' ').next().unwrap();
            assert!(
                output.contains(&format!("does not look like {name}")) && output.contains(found),
                "{output}"
            );
        }
    }
    assert!(ok("track list {} --format json", &[&store]).trim() == "[]");
}
