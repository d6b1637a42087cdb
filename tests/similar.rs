//! `vestore similar`: the nearest embeddings, beside a plain model.

use std::fs;
use std::path::{Path, PathBuf};

use vestore::{EmbeddingRow, Store, embedding_batch};
use vestore_schema::{Position, Status, Table, Variant};

use crate::programs::{fails, ok, rows, run, said};
use crate::support::{self, Random, ScoreKind, genome_store, model, track};

const WIDTH: usize = 8;

/// A store with embeddings on two contigs in several segments, some without, some equal; and its rows.
fn filled(folder: &Path) -> (PathBuf, Vec<EmbeddingRow>, Vec<u8>) {
    let (store, bases) = genome_store(folder);
    let mut random = Random(3);
    let mut all = Vec::new();
    let (model, track) = (model("model"), track("t", ScoreKind::Llr));
    let mut writer = store.writer("test").unwrap();
    writer.put_model(&model).unwrap();
    writer.put_track(&track).unwrap();
    let mut segments = Vec::new();
    for (contig, from, to) in [(0, 10, 600), (0, 700, 900), (1, 1, 300)] {
        let rows: Vec<EmbeddingRow> = (from..to).map(|at| row(contig, at, &bases, &mut random)).collect();
        let batch = embedding_batch(WIDTH as u32, &rows);
        segments.extend(writer.write(Table::Embeddings, &track, Some(&model), contig, [batch]).unwrap());
        all.extend(rows);
    }
    let mut done = support::run(1, &track);
    done.table = Table::Embeddings;
    writer.commit(&segments, &done).unwrap();
    (store.root().to_owned(), all, bases)
}

fn row(contig: u32, one_based: u64, bases: &[u8], random: &mut Random) -> EmbeddingRow {
    let reference = if contig == 0 { bases[one_based as usize - 1] } else { b'A' };
    let alternate = if reference == b'C' { "T" } else { "C" };
    let position = Position::from_one_based(one_based).unwrap();
    let reference = char::from(reference).to_string().into();
    let variant = Variant { contig, position, reference, alternate: alternate.into() };
    // Few values, so that many are at one distance.
    let mut list = || (0..WIDTH).map(|_| random.below(3) as f32 - 1.0).collect::<Vec<f32>>();
    let lists = [list(), list()];
    let missing = one_based.is_multiple_of(17);
    let status = if missing { Status::NonAcgt } else { Status::Scored };
    EmbeddingRow { variant, embedding: (!missing).then_some(lists), status }
}

/// What stands for nearness in the answer, and the order of the plain model: the score, then the variant.
fn expected(all: &[EmbeddingRow], of: &Variant, by: usize, metric: &str, top: usize) -> Vec<(f32, Variant)> {
    let list = |row: &EmbeddingRow| -> Option<Vec<f64>> {
        Some(row.embedding.as_ref()?[by].iter().map(|number| f64::from(*number)).collect())
    };
    let target = list(all.iter().find(|row| row.variant == *of).unwrap()).unwrap();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut found: Vec<(f64, Variant)> = Vec::new();
    for row in all.iter().filter(|row| row.variant != *of) {
        let Some(list) = list(row) else { continue };
        let far = if metric == "euclidean" {
            list.iter().zip(&target).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
        } else {
            -dot(&list, &target) / (dot(&list, &list).sqrt() * dot(&target, &target).sqrt())
        };
        if far.is_finite() {
            found.push((far, row.variant.clone()));
        }
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
    let score = |far: f64| if metric == "euclidean" { far as f32 } else { (0.0 - far) as f32 };
    found.into_iter().take(top).map(|(far, variant)| (score(far), variant)).collect()
}

#[test]
fn neighbours_are_those_of_a_plain_model() {
    let folder = tempfile::tempdir().unwrap();
    let (root, all, _) = filled(folder.path());
    let store = Store::open(&root).unwrap();
    let name = |variant: &Variant| variant.display(store.assembly()).to_string();
    let of_contig = |contig: u32, one_based: u64| {
        let here = |row: &&EmbeddingRow| {
            row.variant.contig == contig && row.variant.position.one_based() == one_based
        };
        all.iter().find(here).unwrap().variant.clone()
    };
    for (of, by, metric, top) in [
        (of_contig(0, 100), "delta", "cosine", 10),
        (of_contig(0, 101), "delta", "euclidean", 500),
        (of_contig(0, 800), "reference", "cosine", 1),
        (of_contig(1, 7), "reference", "euclidean", 2000),
    ] {
        let words = format!("similar {{}} {} --by {by} --metric {metric} --top {top}", name(&of));
        let text = ok(&format!("{words} --format tsv"), &[&root]);
        let column = if metric == "cosine" { "cosine" } else { "distance" };
        let found: Vec<(f32, String)> = rows(&text)
            .iter()
            .map(|row| {
                let variant = ["contig", "position", "reference", "alternate"].map(|name| row[name].as_str());
                assert_eq!((row["track"].as_str(), row["status"].as_str()), ("t", "scored"));
                (row[column].parse().unwrap(), variant.join("-"))
            })
            .collect();
        let wanted: Vec<(f32, String)> = expected(&all, &of, usize::from(by == "delta"), metric, top)
            .into_iter()
            .map(|(score, variant)| (score, name(&variant)))
            .collect();
        // Cosines that are equal may differ in the last bit between two ways of adding.
        assert_eq!(found.len(), wanted.len(), "{words}");
        for (found, wanted) in found.iter().zip(&wanted) {
            assert!((found.0 - wanted.0).abs() < 1e-6, "{words}: {found:?} {wanted:?}");
        }
        if metric == "euclidean" {
            assert_eq!(found, wanted, "{words}");
        }
        // The same on one thread, and in another format.
        let mut one = crate::programs::command(&format!("{words} --format tsv"), &[&root]);
        let one = one.env("RAYON_NUM_THREADS", "1").output().unwrap();
        assert_eq!(String::from_utf8(one.stdout).unwrap(), text);
        let json: serde_json::Value =
            serde_json::from_str(&ok(&format!("{words} --format json"), &[&root])).unwrap();
        assert_eq!(json.as_array().unwrap().len(), found.len());
    }
    let told = said(&format!("similar {{}} {}", name(&of_contig(0, 100))), &[&root]);
    assert!(told.contains("of track t compared by delta cosine") && told.contains("left out"), "{told}");
}

#[test]
fn labels_stand_beside_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let (root, all, _) = filled(folder.path());
    let store = Store::open(&root).unwrap();
    let of = &all[1].variant;
    let of = of.display(store.assembly()).to_string();
    let mut text = "##fileformat=VCFv4.2\n##INFO=<ID=SIG,Number=.,Type=String>\n\
                    #CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        .to_owned();
    for (at, row) in all.iter().enumerate().take(400).skip(2) {
        let Variant { position, reference, alternate, .. } = &row.variant;
        let label = if at % 2 == 0 { "Benign" } else { "Pathogenic" };
        let line = |label: &str| {
            format!("1\t{}\t.\t{reference}\t{alternate}\t.\t.\tSIG={label}\n", position.one_based())
        };
        text += &line(label);
        if at == 3 {
            text += &line("Pathogenic");
            text += &line("Uncertain");
        }
    }
    let labels = folder.path().join("labels.vcf");
    fs::write(&labels, &text).unwrap();
    let words = format!("similar {{}} {of} --top 2000 --labels {{}} --label SIG --format tsv");
    let found = rows(&ok(&words, &[&root, &labels]));
    for row in &found {
        let at = all.iter().position(|known| {
            let contig = &store.assembly().contig(known.variant.contig).name;
            *contig == row["contig"] && known.variant.position.one_based().to_string() == row["position"]
        });
        let wanted = match at.unwrap() {
            3 => "Pathogenic|Uncertain",
            at if !(2..400).contains(&at) => "",
            at if at % 2 == 0 => "Benign",
            _ => "Pathogenic",
        };
        assert_eq!(row["label"], wanted, "{row:?}");
    }
    let told = fails(1, &format!("similar {{}} {of} --labels {{}}"), &[&root, &labels]);
    assert!(told.contains("no column `label`; it has SIG"), "{told}");
    // Another assembly's labels say nothing of these variants.
    let complement = |base: &str| base.replace(['A', 'C', 'G', 'T'], "N");
    let wrong: String = text
        .lines()
        .map(|line| {
            let mut cells: Vec<String> = line.split('\t').map(str::to_owned).collect();
            if cells.len() == 8 && !line.starts_with('#') {
                let other = if cells[3] == "A" { "G" } else { "A" };
                assert_ne!(complement(&cells[3]), cells[3]);
                (cells[3], cells[4]) = (other.to_owned(), "N".to_owned());
            }
            cells.join("\t") + "\n"
        })
        .collect();
    fs::write(&labels, wrong).unwrap();
    let told = fails(1, &words, &[&root, &labels]);
    assert!(told.contains("assembly"), "{told}");
}

#[test]
fn what_cannot_be_compared_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let (root, all, bases) = filled(folder.path());
    let store = Store::open(&root).unwrap();
    let name = |at: usize| all[at].variant.display(store.assembly()).to_string();
    // Position 17 has no embedding, position 3000 no row.
    let missing = all.iter().position(|row| row.embedding.is_none()).unwrap();
    let (old, new) = (char::from(bases[2999 - 1]), if bases[2999 - 1] == b'C' { 'T' } else { 'C' });
    for (code, words, part) in [
        (1, name(missing), "has no embedding in track t: its status is non_acgt"),
        (1, format!("1-2999-{old}-{new}"), "has no embedding in track t; score it with --embeddings"),
        (2, "1:5-9".to_owned(), "not a variant: `1:5-9`"),
        (2, format!("{} --top 0", name(1)), "expected 1 to 100000"),
        (2, format!("{} --top 100001", name(1)), "expected 1 to 100000"),
        (2, format!("{} --by both", name(1)), "invalid value"),
        (2, format!("{} --label x", name(1)), "--labels"),
        (2, format!("{} --format vcf", name(1)), "no VCF form"),
        (2, format!("{} -o x.svg", name(1)), "x.svg"),
        (1, format!("{} --track no", name(1)), "no track `no`"),
    ] {
        let told = fails(code, &format!("similar {{}} {words}"), &[&root]);
        assert!(told.contains(part), "{words}: {told}");
    }
    // An embedding without a length has no cosine, and is left out of those of others.
    let zero = EmbeddingRow { embedding: Some([vec![0.0; WIDTH], vec![0.0; WIDTH]]), ..all[0].clone() };
    let (model, track) = (model("model"), track("u", ScoreKind::Llr));
    let mut writer = store.writer("test").unwrap();
    writer.put_track(&track).unwrap();
    let other = EmbeddingRow { embedding: Some([vec![1.0; WIDTH], vec![1.0; WIDTH]]), ..all[1].clone() };
    let batch = embedding_batch(WIDTH as u32, &[zero, other]);
    let segment = writer.write(Table::Embeddings, &track, Some(&model), 0, [batch]).unwrap().unwrap();
    let mut done = support::run(2, &track);
    done.table = Table::Embeddings;
    writer.commit(&[segment], &done).unwrap();
    drop(writer);
    let told = fails(2, &format!("similar {{}} {}", name(0)), &[&root]);
    assert!(told.contains("several tracks have embeddings: t, u"), "{told}");
    let told = fails(1, &format!("similar {{}} {} --track u", name(0)), &[&root]);
    assert!(
        told.contains("its length is 0; expected a number above 0 (of length 0, try --metric euclidean)"),
        "{told}"
    );
    let told = said(&format!("similar {{}} {} --track u", name(1)), &[&root]);
    assert!(told.contains("0 variants of track u compared") && told.contains("1 without"), "{told}");
    let output =
        run(&format!("similar {{}} {} --track u --metric euclidean --format tsv", name(0)), &[&root]);
    assert_eq!(rows(&String::from_utf8(output.stdout).unwrap()).len(), 1);
    // A published store answers too.
    let published = folder.path().join("published");
    ok("publish {} {}", &[&root, &published]);
    let words = format!("similar {{}} {} --track t --format tsv", name(1));
    assert_eq!(ok(&words, &[&published]), ok(&words, &[&root]));
}
