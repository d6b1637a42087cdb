//! Stored effects recomputed with their model.

use vestore::{
    EffectOptions, EffectRow, GeneEffectRow, ScoreRow, Store, effect_batches, gene_effect_batch, score_batch,
};
use vestore_schema::{Position, Status, Table, Track, Variant};

use crate::programs::{ok, rows, run, said};
use crate::support::run as run_record;

/// The variant of a row of an answer over `chr1`.
fn variant(row: &std::collections::HashMap<String, String>) -> Variant {
    Variant {
        contig: 0,
        position: Position::from_one_based(row["position"].parse().unwrap()).unwrap(),
        reference: row["reference"].as_str().into(),
        alternate: row["alternate"].as_str().into(),
    }
}

fn only_track(store: &Store) -> Track {
    store.snapshot().unwrap().tracks.remove(0)
}

/// What `verify --rescore` prints about a store with mismatches.
fn mismatches(root: &std::path::Path) -> String {
    let output = run("verify {} --rescore 1000", &[root]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn rescoring_finds_changed_and_missing_effects() {
    let folder = tempfile::tempdir().unwrap();
    let (root, _) = crate::regulatory::prepare(folder.path());
    let score = format!("{} --model mini --score sum,d2,ref --track t", crate::regulatory::SCORE);
    ok(&format!("{score} --region chr1:2500-2502 --strand-pairs keep"), &[&root]);
    assert!(said("verify {} --rescore 1000", &[&root]).contains("9 rows rescored, 0 values differ"));

    let store = Store::open(&root).unwrap();
    let (track, names) = (only_track(&store), store.target_names(&only_track(&store)).unwrap());
    assert_eq!(track.effect_columns, ["sum", "d2", "ref"]);
    let scores = rows(&ok("query {} --format tsv", &[&root]));
    let lines = super::asked(&store, &vestore::Request::default(), &EffectOptions::default(), None).unwrap();
    let number = |text: &str| (!text.is_empty()).then(|| text.parse::<f32>().unwrap());
    let scores: Vec<ScoreRow> = scores
        .iter()
        .map(|row| ScoreRow {
            variant: variant(row),
            values: track.columns.iter().map(|column| number(&row[column])).collect(),
            status: Status::Scored,
        })
        .collect();
    let effects: Vec<EffectRow> = lines
        .chunks(names.len())
        .map(|lines| {
            let kind = |kind: usize| {
                lines.iter().map(|line| line.3[kind].map_or(f32::NAN, f32::from_bits)).collect()
            };
            EffectRow::new(lines[0].0.clone(), (0..3).map(kind).collect(), Status::Scored)
        })
        .collect();
    // The rows as they were, with `change` made to the effects.
    let stored_again = |change: &dyn Fn(&mut Vec<EffectRow>)| {
        let mut changed = effects.clone();
        change(&mut changed);
        let mut writer = store.writer("test").unwrap();
        writer.remove_track("t").unwrap();
        writer.put_track_with_targets(&track, &names).unwrap();
        let batch = score_batch(&track, &scores);
        let mut segments = Vec::new();
        segments.extend(writer.write(Table::Scores, &track, None, 0, [batch]).unwrap());
        let batches = effect_batches(&track, &changed);
        segments.extend(writer.write(Table::Effects, &track, None, 0, batches).unwrap());
        writer.commit(&segments, &run_record(9, &track)).unwrap();
    };
    stored_again(&|_| {});
    assert!(said("verify {} --rescore 1000", &[&root]).contains("9 rows rescored, 0 values differ"));

    let place = effects[4].variant.display(store.assembly()).to_string();
    stored_again(&|rows| rows[4].effects[1][2] += 1e-2);
    let text = mismatches(&root);
    assert!(text.lines().count() == 1 && text.contains(&place), "{text}");
    let told = format!("column d2, target {}: stored", names[2]);
    assert!(text.contains("track t,") && text.contains(&told) && text.contains("recomputed"), "{text}");

    stored_again(&|rows| rows[4].effects[2].iter_mut().for_each(|value| *value += 1.0));
    let text = mismatches(&root);
    let told = format!("column ref, target {} and 4 other targets: stored", names[0]);
    assert!(text.lines().count() == 1 && text.contains(&told), "{text}");
    stored_again(&|rows| rows[4].effects[0].fill(f32::NAN));
    let text = mismatches(&root);
    assert!(text.contains("column sum, target") && text.contains("stored none"), "{text}");
    stored_again(&|rows| drop(rows.remove(4)));
    let text = mismatches(&root);
    assert!(text.contains(&place) && text.contains("effects: stored none"), "{text}");
}

#[test]
fn rescoring_finds_changed_effects_in_genes() {
    let folder = tempfile::tempdir().unwrap();
    let (root, genes, _) = crate::splice::prepare(folder.path());
    ok("genes add {} {}", &[&root, &genes]);
    let options = "--region chr1:1295-1304 --distance 10 --track t --device cpu --threads 1 --quiet";
    ok(&format!("score {{}} --model mini {options} --genes {{}}"), &[&root, &genes]);
    assert!(said("verify {} --rescore 1000", &[&root]).contains("30 rows rescored, 0 values differ"));

    let store = Store::open(&root).unwrap();
    let track = only_track(&store);
    let number = |text: &str| (!text.is_empty()).then(|| text.parse::<f32>().unwrap());
    let values = |columns: &[String], row: &std::collections::HashMap<String, String>| -> Vec<Option<f32>> {
        columns.iter().map(|column| number(&row[column])).collect()
    };
    let scores: Vec<ScoreRow> = rows(&ok("query {} --format tsv", &[&root]))
        .iter()
        .map(|row| ScoreRow {
            variant: variant(row),
            values: values(&track.columns, row),
            status: Status::Scored,
        })
        .collect();
    let mut effects: Vec<GeneEffectRow> = rows(&ok("query {} --gene-effects --format tsv", &[&root]))
        .iter()
        .map(|row| GeneEffectRow {
            variant: variant(row),
            gene: row["gene"].clone(),
            values: values(&track.gene_columns, row),
            effects: Vec::new(),
            status: Status::Scored,
        })
        .collect();
    effects[5].values[0] = effects[5].values[0].map(|value| value + 1e-2);
    let (place, gene) = (effects[5].variant.display(store.assembly()).to_string(), effects[5].gene.clone());
    let lost = effects.pop().unwrap();
    let mut writer = store.writer("test").unwrap();
    writer.remove_track("t").unwrap();
    writer.put_track(&track).unwrap();
    let mut segments = Vec::new();
    segments.extend(writer.write(Table::Scores, &track, None, 0, [score_batch(&track, &scores)]).unwrap());
    let batch = gene_effect_batch(&track, &effects);
    segments.extend(writer.write(Table::GeneEffects, &track, None, 0, [batch]).unwrap());
    writer.commit(&segments, &run_record(9, &track)).unwrap();
    drop(writer);
    let text = mismatches(&root);
    let changed = format!("variant {place}, gene {gene}, column {}: stored", track.gene_columns[0]);
    assert!(text.lines().count() == 2 && text.contains(&changed), "{text}");
    let lost = lost.variant.display(store.assembly()).to_string();
    assert!(text.contains(&format!("variant {lost}, genes: stored A, recomputed A+B")), "{text}");
}
