//! Stored scores recomputed with their model.

use vestore::{ScoreRow, Store};
use vestore_schema::{Position, Status, Variant};

use crate::programs::{fails, ok, rows, run, said, store};
use crate::support::{run as run_record, write};

#[test]
fn rescoring_finds_the_one_wrong_score() {
    let folder = tempfile::tempdir().unwrap();
    let (root, _) = store(folder.path());
    let options = "--window 120 --device cpu --threads 1 --quiet";
    ok(
        &format!("score {{}} --model small --region chr1:201-206 --score llr,distance {options} --track a"),
        &[&root],
    );
    ok(
        &format!(
            "score {{}} --model small --region chr1:301-303 --precision 0.001 {options} --track rounded"
        ),
        &[&root],
    );
    // Imported scores have no model.
    let table = folder.path().join("other.tsv");
    std::fs::write(&table, "contig\tposition\treference\talternate\tx\nchr1\t3010\tN\tA\t1.5\n").unwrap();
    ok("import {} --track other {}", &[&root, &table]);

    let text = said("verify {} --rescore 1000", &[&root]);
    assert!(text.contains("track a: 18 rows") && text.contains("track rounded: 9 rows"), "{text}");
    assert!(text.contains("27 rows rescored, 0 values differ"), "{text}");
    assert!(said("verify {} --rescore 5", &[&root]).contains("5 rows rescored, 0 values differ"));
    fails(2, "verify {} --rescore 0", &[&root]);

    // One more row, as right as the others but for one value.
    let tsv = ok("query {} chr1:201 --track a --format tsv", &[&root]);
    let known = &rows(&tsv)[0];
    assert_eq!(known["status"], "scored");
    let opened = Store::open(&root).unwrap();
    let track = opened.snapshot().unwrap().tracks.into_iter().find(|track| track.name == "a").unwrap();
    let number = |name: &str| known[name].parse::<f32>().unwrap();
    let mut values: Vec<Option<f32>> = track.columns.iter().map(|column| Some(number(column))).collect();
    values[2] = values[2].map(|value| value + 1e-3);
    let variant = Variant {
        contig: 0,
        position: Position::new(200),
        reference: known["reference"].as_str().into(),
        alternate: known["alternate"].as_str().into(),
    };
    let mut writer = opened.writer("test").unwrap();
    writer.remove_track("a").unwrap();
    writer.put_track(&track).unwrap();
    let segment = write(&mut writer, &track, &[ScoreRow { variant, values, status: Status::Scored }]);
    writer.commit(&[segment], &run_record(9, &track)).unwrap();
    drop(writer);
    let output = run("verify {} --rescore 1000", &[&root]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    let place = format!("chr1-201-{}-{}", known["reference"], known["alternate"]);
    for part in ["track a,", &place, &format!("column {}: stored", track.columns[2]), "recomputed"] {
        assert!(text.contains(part), "{text} lacks {part}");
    }
}
