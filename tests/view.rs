//! `vestore view`: what a page holds is what `query` prints, and nothing that a file holds becomes markup.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::programs::{fails, genome, ok, rows, run, said, store, vcf};
use crate::support::Random;

/// The document of a page.
fn document(page: &str) -> Value {
    let (_, rest) = page.split_once("<script type=\"application/json\" id=\"vestore-data\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn sums(differences: &Value) -> Vec<u64> {
    let mut sum = 0;
    let next = |difference: &Value| {
        sum += difference.as_u64().unwrap();
        sum
    };
    list(differences).iter().map(next).collect()
}

fn texts<'a>(numbers: &Value, texts: &'a Value) -> Vec<&'a str> {
    list(numbers).iter().map(|number| texts[number.as_u64().unwrap() as usize].as_str().unwrap()).collect()
}

type Cells = BTreeMap<(u64, String, String, String, String), (String, Option<u32>)>;

/// Position, alleles, track and column of each cell: its status and the bits of its score.
fn cells(document: &Value) -> Cells {
    let variants = &document["variants"];
    let positions = sums(&variants["position"]);
    let references = texts(&variants["reference"], &variants["alleles"]);
    let alternates = texts(&variants["alternate"], &variants["alleles"]);
    let mut cells = Cells::new();
    for track in list(&document["tracks"]) {
        let runs = list(&track["status"]);
        let statuses = runs.chunks(2).flat_map(|run| {
            let status = document["statuses"][run[0].as_u64().unwrap() as usize].as_str().unwrap();
            std::iter::repeat_n(status, run[1].as_u64().unwrap() as usize)
        });
        let statuses: Vec<&str> = statuses.collect();
        assert_eq!(statuses.len(), positions.len());
        for column in list(&track["columns"]) {
            let values = list(&column["values"]);
            assert_eq!(values.len(), positions.len());
            for (at, value) in values.iter().enumerate() {
                let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
                let key = (
                    positions[at],
                    references[at].to_owned(),
                    alternates[at].to_owned(),
                    name(track),
                    name(column),
                );
                let bits = value.as_f64().map(|value| (value as f32).to_bits());
                if statuses[at].is_empty() {
                    assert!(bits.is_none());
                } else {
                    cells.insert(key, (statuses[at].to_owned(), bits));
                }
            }
        }
    }
    cells
}

/// The same of what `query` prints, of these columns of each track.
fn queried(tsv: &str, columns: &[(&str, &str)]) -> Cells {
    let mut cells = Cells::new();
    for row in rows(tsv) {
        for (track, column) in columns.iter().filter(|(track, _)| *track == row["track"]) {
            let key = (
                row["position"].parse().unwrap(),
                row["reference"].clone(),
                row["alternate"].clone(),
                (*track).to_owned(),
                (*column).to_owned(),
            );
            let bits = row[*column].parse::<f32>().ok().map(f32::to_bits);
            cells.insert(key, (row["status"].clone(), bits));
        }
    }
    cells
}

/// A store with imported tracks `first` (columns `llr` and `cosine`) and `second` (`llr`) over [`genome`], of SNVs and
/// deletions that neither has all of.
fn imported(folder: &Path) -> (PathBuf, Vec<u8>) {
    let (fasta, store) = (folder.join("genome.fa"), folder.join("store"));
    let bases = genome(&fasta);
    ok("init {} --reference {} --assembly seeded", &[&store, &fasta]);
    let mut random = Random(7);
    for (track, columns) in [("first", &["llr", "cosine"][..]), ("second", &["llr"])] {
        let mut text = format!("contig\tposition\treference\talternate\t{}\n", columns.join("\t"));
        for position in 500..900_usize {
            for alternate in *b"ACGT" {
                let reference = bases[position - 1];
                if alternate == reference || random.below(5) == 0 {
                    continue;
                }
                let score = |random: &mut Random| match random.below(20) {
                    0 => "NA".to_owned(),
                    1 => "0".to_owned(),
                    2 => "-1e-7".to_owned(),
                    _ => ((random.below(2_000_000) as f32 / 1e5) - 12.0).to_string(),
                };
                let scores: Vec<String> = columns.iter().map(|_| score(&mut random)).collect();
                let (reference, alternate) = (reference as char, alternate as char);
                writeln!(text, "chr1\t{position}\t{reference}\t{alternate}\t{}", scores.join("\t")).unwrap();
            }
            if position % 50 == 0 && bases[position - 1] != bases[position] {
                let deleted = std::str::from_utf8(&bases[position - 1..=position]).unwrap();
                let scores = vec!["2.5"; columns.len()].join("\t");
                writeln!(text, "chr1\t{position}\t{deleted}\t{}\t{scores}", &deleted[..1]).unwrap();
            }
        }
        let table = folder.join(format!("{track}.tsv"));
        fs::write(&table, text).unwrap();
        ok(&format!("import {{}} --track {track} {{}} --quiet"), &[&store, &table]);
    }
    (store, bases)
}

#[test]
fn a_page_holds_what_query_prints() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = imported(folder.path());
    let all = [("first", "llr"), ("first", "cosine"), ("second", "llr")];
    let asked = [
        ("chr1:550-840", "", &[("first", "llr"), ("second", "llr")][..]),
        ("chr1", "--score llr,cosine", &all),
        ("chr1:600-700", "--track first --score cosine", &all[1..2]),
    ];
    for (place, flags, columns) in asked {
        let page = ok(&format!("view {{}} {place} {flags} -o -"), &[&store]);
        let document = document(&page);
        let found = cells(&document);
        let tsv = ok(&format!("query {{}} {place} --format tsv"), &[&store]);
        assert_eq!(found, queried(&tsv, columns), "{place} {flags}");
        assert!(found.len() > 200 && found.values().any(|(_, bits)| bits.is_none()), "{place}");
        let (start, end) = (document["start"].as_u64().unwrap(), document["end"].as_u64().unwrap());
        let sequence = std::str::from_utf8(&bases[start as usize - 1..end as usize]).unwrap();
        assert_eq!(document["sequence"].as_str().unwrap(), sequence);
        assert!(!page.contains("{{") && page.contains("default-src 'none'"));
        for address in ["http://", "https://", "src=", "@import", "url("] {
            let own = page.replace("http://www.w3.org/2000/svg", "");
            assert!(!own.contains(address), "{address}");
        }
    }
    let page = ok("view {} chr1-600-A-C chr1-620-A-C -o -", &[&store]);
    let document = document(&page);
    assert_eq!((document["start"].as_u64(), document["end"].as_u64()), (Some(550), Some(670)));
}

#[test]
fn a_variant_is_in_the_middle_and_held() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = imported(folder.path());
    let tsv = ok("query {} chr1:700-800 --track first --format tsv --limit 1", &[&store]);
    let row = &rows(&tsv)[0];
    let variant = ["contig", "position", "reference", "alternate"].map(|name| row[name].clone()).join("-");
    let document = document(&ok(&format!("view {{}} {variant} -o -"), &[&store]));
    assert_eq!(document["title"], variant);
    let focus = document["focus"].as_u64().unwrap() as usize;
    assert_eq!(sums(&document["variants"]["position"])[focus].to_string(), row["position"]);
    assert_eq!(document["end"].as_u64().unwrap() - document["start"].as_u64().unwrap(), 100);
}

#[test]
fn labels_and_genes_of_the_region_are_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = imported(folder.path());
    let base = |position: usize| (bases[position - 1] as char).to_string();
    let other = |position: usize| if bases[position - 1] == b'A' { "C" } else { "A" };
    let (labels, genes) = (folder.path().join("labels.vcf"), folder.path().join("genes.gtf"));
    let head = "##fileformat=VCFv4.2\n##INFO=<ID=CLNSIG,Number=.,Type=String,Description=\"x\">\n\
                #CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n";
    let record = |position: usize, info: &str| {
        format!("1\t{position}\trs{position}\t{}\t{}\t.\t.\t{info}\n", base(position), other(position))
    };
    let records = [
        record(600, "CLNSIG=Pathogenic"),
        record(610, "CLNSIG=Benign|x"),
        record(620, "."),
        record(2000, "."),
    ];
    fs::write(&labels, format!("{head}{}", records.concat())).unwrap();
    let exon = |start: u32, end: u32, transcript: &str| {
        format!("chr1\tx\texon\t{start}\t{end}\t.\t-\t.\tgene_id \"G1\"; transcript_id \"{transcript}\";\n")
    };
    let gtf = [exon(400, 560, "a"), exon(550, 580, "b"), exon(700, 720, "a")].concat();
    fs::write(
        &genes,
        format!("{gtf}chr1\tx\texon\t5000\t5100\t.\t+\t.\tgene_id \"G2\"; transcript_id \"c\";\n"),
    )
    .unwrap();
    let seen = |words: &str, paths: &[&Path]| document(&ok(words, paths));
    let whole = seen("view {} chr1:550-800 --labels {} --genes {} -o -", &[&store, &labels, &genes]);
    let found = &whole["labels"];
    assert_eq!(found["field"], "CLNSIG");
    assert_eq!(sums(&found["position"]), [600, 610]);
    assert_eq!(texts(&found["text"], &found["texts"]), ["Pathogenic", "Benign|x"]);
    assert_eq!(texts(&found["alternate"], &found["alleles"]), [other(600), other(610)]);
    assert_eq!(list(&whole["genes"]).len(), 1);
    let gene = &whole["genes"][0];
    assert_eq!((gene["id"].as_str(), gene["strand"].as_str()), (Some("G1"), Some("-")));
    assert_eq!(gene["exons"], serde_json::json!([[400, 580], [700, 720]]));
    // A table that the store keeps is the default, and has a name.
    ok("genes add {} {}", &[&store, &genes]);
    for flags in ["", "--genes genes.gtf"] {
        let kept = seen(&format!("view {{}} chr1:550-800 {flags} -o -"), &[&store]);
        assert_eq!(kept["genes"], whole["genes"]);
        assert_eq!(kept["genes_from"], "genes.gtf");
    }
    assert!(
        fails(1, "view {} chr1:550-800 --genes nothing -o -", &[&store])
            .contains("unknown gene table `nothing`")
    );
    // Without classifications, identifiers count.
    vcf(&labels, &[("chr1", 600, base(600), other(600).to_owned())]);
    let text = fs::read_to_string(&labels).unwrap().replace("600\t.", "600\trs7");
    fs::write(&labels, text).unwrap();
    let found = seen("view {} chr1:550-800 --labels {} -o -", &[&store, &labels]);
    assert_eq!(found["labels"]["field"], "ID");
    assert_eq!(found["labels"]["texts"], serde_json::json!(["rs7"]));
    // Of another assembly.
    let wrong: Vec<_> = (600..620).map(|at| ("chr1", at as u32, other(at).to_owned(), base(at))).collect();
    vcf(&labels, &wrong);
    let message = fails(1, "view {} chr1:550-800 --labels {} -o -", &[&store, &labels]);
    assert!(message.contains("wrong assembly"), "{message}");
}

#[test]
fn nothing_that_a_file_holds_becomes_markup() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (fasta, store, table) = (at("g.fa"), at("store"), at("t.tsv"));
    let contig = "c</script><script>alert(1)</script>";
    fs::write(&fasta, format!(">{contig}\nACGTTGCATCGGATCCATGC\n")).unwrap();
    let column = "score";
    fs::write(
        &table,
        format!("contig\tposition\treference\talternate\t{column}\n{contig}\t5\tT\tA\t0.5\n{contig}\t6\tG\tA\t-2\n"),
    )
    .unwrap();
    ok("init {} --reference {} --assembly <i>", &[&store, &fasta]);
    ok("import {} --track t {} --quiet", &[&store, &table]);
    let (labels, genes) = (at("</script>.vcf"), at("<!--.gtf"));
    let labels = if fs::write(&labels, "").is_ok() { labels } else { at("l.vcf") };
    fs::write(
        &labels,
        format!(
            "##INFO=<ID=CLNSIG,Number=1>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n\
             {contig}\t5\t.\tT\tA\t.\t.\tCLNSIG=<!--<script>-->\n"
        ),
    )
    .unwrap();
    fs::write(
        &genes,
        format!("{contig}\tx\texon\t2\t9\t.\t+\t.\tgene_id \"</script >\"; transcript_id \"t\";\n"),
    )
    .unwrap();
    let output = at("page.html");
    let figure = at("figure.svg");
    let place = format!("{contig}:1-20");
    let words = "view {} {} --labels {} --genes {} -o {} --static {}";
    let paths: [&Path; 6] = [&store, Path::new(&place), &labels, &genes, &output, &figure];
    ok(words, &paths);
    let page = fs::read_to_string(&output).unwrap();
    assert_eq!(page.matches("<script").count(), 2, "the document and the script");
    assert_eq!(page.matches("</script").count(), 2);
    assert!(!page.contains("<!--") && !page.contains("<img") && !page.contains("<i>"));
    let document = document(&page);
    assert_eq!(document["contig"]["name"], contig);
    assert_eq!(document["tracks"][0]["columns"][0]["name"], column);
    assert_eq!(document["labels"]["texts"][0], "<!--<script>-->");
    assert_eq!(document["genes"][0]["id"], "</script >");
    let svg = fs::read_to_string(&figure).unwrap();
    assert!(!svg.contains("<script") && !svg.contains("<img"), "{svg}");
    assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
}

#[test]
fn wrong_command_lines_and_outputs_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = imported(folder.path());
    let at = |name: &str| folder.path().join(name);
    let page = at("page.html");
    for (words, part) in [
        ("view {} chr1:1-9", "required"),
        ("view {} -o x.html", "required"),
        ("view {} chr1:9-1 -o -", "not a region"),
        ("view {} chr1:550-560 -o page.pdf", "expected a name that ends in .html"),
        ("view {} chr1:550-560 --static figure.tiff", "expected a file name that ends in .svg or .png"),
        ("view {} chr1:550-560 --score nothing -o -", "nothing"),
        (
            "view {} chr1:550-560 --score status -o -",
            "not a score column: `status`; expected one of cosine, llr",
        ),
        ("view {} chr1:550-560 short -o -", "several contigs"),
    ] {
        let message = fails(2, words, &[&store]);
        assert!(message.contains(part), "{words}: {message}");
    }
    for (words, part) in [
        ("view {} chr1:3000-3100 -o -", "no rows in chr1:3000-3100"),
        ("view {} chr1:550-560 --track nothing -o -", "nothing"),
        ("view {} chr7:550-560 -o -", "no contig `chr7`"),
    ] {
        let message = fails(1, words, &[&store]);
        assert!(message.contains(part), "{words}: {message}");
    }
    let message = said("view {} chr1:550-560 -o {}", &[&store, &page]);
    assert!(message.contains("of 2 tracks"), "{message}");
    let before = fs::read(&page).unwrap();
    assert!(fails(1, "view {} chr1:600-700 -o {}", &[&store, &page]).contains("the output exists"));
    assert!(fs::read(&page).unwrap() == before);
    ok("view {} chr1:600-700 -o {} --force", &[&store, &page]);
    assert!(fs::read(&page).unwrap() != before);
    let inside = store.join("page.html");
    assert!(fails(1, "view {} chr1:600-700 -o {}", &[&store, &inside]).contains("lies in a vestore store"));
    // What fails leaves nothing.
    let new = at("new.html");
    fails(1, "view {} chr1:3000-3100 -o {}", &[&store, &new]);
    assert!(!new.exists());
}

#[test]
fn a_region_beyond_the_limit_is_refused_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let (fasta, store, table) =
        (folder.path().join("g.fa"), folder.path().join("s"), folder.path().join("t.tsv"));
    let line = "ACGTTGCATCGGATCCATGC".repeat(50) + "\n";
    fs::write(&fasta, format!(">1\n{}", line.repeat(5001))).unwrap();
    ok("init {} --reference {}", &[&store, &fasta]);
    fs::write(&table, "contig\tposition\treference\talternate\tx\n1\t5\tT\tA\t0.5\n1\t4000005\tT\tA\t1\n")
        .unwrap();
    ok("import {} --track t {} --quiet", &[&store, &table]);
    let message = fails(1, "view {} 1 -o -", &[&store]);
    assert!(message.contains("5,001,000 bases, at most 5,000,000; choose a smaller region"), "{message}");
    let document = document(&ok("view {} 1:1-5000000 -o -", &[&store]));
    assert_eq!(sums(&document["variants"]["position"]), [5, 4_000_005]);
}

#[test]
fn a_published_store_without_its_reference_has_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = imported(folder.path());
    let published = folder.path().join("published");
    ok("publish {} {} --quiet", &[&store, &published]);
    fs::rename(folder.path().join("genome.fa"), folder.path().join("moved.fa")).unwrap();
    let output = run("view {} chr1:495-510 -o -", &[&published]);
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success() && message.contains("has no reference") && message.contains("11 of 16 bases"),
        "{message}"
    );
    let found = document(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(found["sequence_is_reference"], false);
    let known = format!(".....{}", std::str::from_utf8(&bases[499..510]).unwrap());
    assert_eq!(found["sequence"].as_str().unwrap(), known);
    let moved = folder.path().join("moved.fa");
    let found = document(&ok("view {} chr1:495-510 -o - --reference {}", &[&published, &moved]));
    assert_eq!(found["sequence"].as_str().unwrap().as_bytes(), &bases[494..510]);
}

#[test]
fn a_figure_has_a_heatmap_for_each_column() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = imported(folder.path());
    let at = |name: &str| folder.path().join(name);
    let drawn = |words: &str, name: &str| {
        ok(words, &[&store, &at(name)]);
        fs::read(at(name)).unwrap()
    };
    let svg = |words: &str, name: &str| String::from_utf8(drawn(words, name)).unwrap();
    let near = svg("view {} chr1:600-650 --score llr,cosine --static {}", "near.svg");
    for name in ["first · llr", "first · cosine", "second · llr", "direction unknown"] {
        assert!(near.contains(name), "{name}");
    }
    assert!(near.starts_with("<svg ") && near.ends_with("</svg>\n"));
    // Cells are coloured, and few elements are spent on a long stretch.
    assert!(near.matches("<rect").count() > 300);
    let whole = svg("view {} chr1 --static {}", "whole.svg");
    assert!(whole.len() < 400_000, "{}", whole.len());
    let png = drawn("view {} chr1:600-650 --static {}", "near.png");
    assert!(png.starts_with(b"\x89PNG") && png.len() > 10_000);
}

#[test]
fn calibrated_percentiles_colour_a_column() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = imported(folder.path());
    ok("calibrate {} --track first --score llr --direction low --quiet", &[&store]);
    let found = document(&ok("view {} chr1:550-650 --score llr,llr_phred -o -", &[&store]));
    let first = &found["tracks"][0];
    let names: Vec<&str> =
        list(&first["columns"]).iter().map(|column| column["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["llr", "llr_phred", "llr_percentile"]);
    assert_eq!(first["columns"][0]["percentile"], "llr_percentile");
    assert_eq!(
        (&first["columns"][0]["direction"], &first["columns"][2]["direction"]),
        (&"low".into(), &"high".into())
    );
    assert_eq!(list(&found["tracks"][1]["columns"]).len(), 1, "the other track has no calibration");
    assert!(first["provenance"].to_string().contains("calibrated"));
    let variants = &found["variants"];
    let positions = sums(&variants["position"]);
    let alleles = |name: &str| texts(&variants[name], &variants["alleles"]);
    let (references, alternates) = (alleles("reference"), alleles("alternate"));
    let mut compared = 0;
    for row in rows(&ok("query {} chr1:550-650 --track first --format tsv", &[&store])) {
        let is_same = |at: &usize| {
            positions[*at].to_string() == row["position"]
                && references[*at] == row["reference"]
                && alternates[*at] == row["alternate"]
        };
        let at = (0..positions.len()).find(is_same).unwrap();
        for (index, name) in [(1, "llr_phred"), (2, "llr_percentile")] {
            let value = first["columns"][index]["values"][at].as_f64();
            assert_eq!(value, row[name].parse().ok(), "{name}");
            compared += usize::from(value.is_some());
        }
    }
    assert!(compared > 100);
}

#[test]
fn ablation_is_that_of_query() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    let words =
        "--model small --region chr1:1000-1004 --score llr --track t --device cpu --threads 1 --quiet";
    ok(&format!("score {{}} {words}"), &[&store]);
    ok(&format!("ablate {{}} {words}"), &[&store]);
    let document = document(&ok("view {} chr1:1000-1004 -o -", &[&store]));
    assert_eq!(document["tracks"][0]["columns"][0]["direction"], "low");
    assert_eq!(list(&document["tracks"][0]["columns"]).len(), 1, "the first column of the kind");
    let detail = &document["details"][0];
    assert_eq!(
        (detail["table"].as_str(), detail["columns"][0]["name"].as_str()),
        (Some("ablation"), Some("llr"))
    );
    let variants = &document["variants"];
    let (positions, alternates) =
        (sums(&variants["position"]), texts(&variants["alternate"], &variants["alleles"]));
    let mut found = Vec::new();
    for (row, variant) in list(&detail["variant"]).iter().enumerate() {
        let variant = variant.as_u64().unwrap() as usize;
        let value = detail["columns"][0]["values"][row].as_f64().map(|value| (value as f32).to_bits());
        let layer = detail["layer"][row].as_u64().unwrap();
        found.push((positions[variant], alternates[variant].to_owned(), layer, value));
    }
    let tsv = ok("query {} chr1:1000-1004 --ablation --format tsv", &[&store]);
    let expected: Vec<_> = rows(&tsv)
        .iter()
        .map(|row| {
            let value = row["llr"].parse::<f32>().ok().map(f32::to_bits);
            let number = |name: &str| row[name].parse::<u64>().unwrap();
            (number("position"), row["alternate"].clone(), number("layer"), value)
        })
        .collect();
    assert!(found.len() >= 24);
    assert_eq!(found, expected);
    let provenance = document["tracks"][0]["provenance"].to_string();
    for part in ["weights", "kept layers", "2 of 2 layers", "recipe", "track id"] {
        assert!(provenance.contains(part), "{provenance}");
    }
    assert!(!document.to_string().contains(folder.path().to_str().unwrap()), "a place on disk");
}
