use std::sync::Arc;

use arrow::array::{Float32Array, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema};
use vestore_schema::Contig;

use super::*;

fn batch() -> RecordBatch {
    let schema = Schema::new(vec![
        Field::new("contig", DataType::Utf8, false),
        Field::new("position", DataType::Int32, false),
        Field::new("status", DataType::Utf8, false),
        Field::new("a.llr", DataType::Float32, true),
        Field::new("a.cosine", DataType::Float32, true),
        Field::new("b.llr", DataType::Float32, true),
    ]);
    RecordBatch::try_new(
        Arc::new(schema),
        vec![
            Arc::new(StringArray::from(vec!["chr1", "chr1", "chr2", "chrM"])),
            Arc::new(Int32Array::from(vec![1, 2, 3, 4])),
            Arc::new(StringArray::from(vec!["scored", "scored", "non_acgt", "scored"])),
            Arc::new(Float32Array::from(vec![Some(-4.0), Some(0.1), None, Some(-3.0)])),
            Arc::new(Float32Array::from(vec![Some(0.5), Some(0.0), None, None])),
            Arc::new(Float32Array::from(vec![Some(-5.0), Some(1.0), None, Some(-3.0)])),
        ],
    )
    .unwrap()
}

fn assembly() -> Assembly {
    let contig = |name: &str| Contig { name: name.to_owned(), length: 100, digest: String::new() };
    Assembly { name: None, contigs: ["chr1", "chr2", "chrM"].map(contig).to_vec() }
}

fn wanted(text: &str) -> Vec<i32> {
    let batch = batch();
    let mask = Filter::parse(text).unwrap().bind(&batch.schema(), &assembly()).unwrap().wanted(&batch);
    (1..).zip(mask.iter()).filter(|(_, wanted)| *wanted == Some(true)).map(|(number, _)| number).collect()
}

#[test]
fn conditions_choose_rows_and_missing_compares_as_false() {
    for (text, rows) in [
        ("a.llr < -3", vec![1]),
        ("a.llr <= -3 and cosine > 0.1", vec![1]),
        ("-3 >= a.llr", vec![1, 4]),
        ("a.llr = 0.1", vec![2]),
        ("a.llr != 0.1", vec![1, 4]),
        ("not a.llr != 0.1", vec![2, 3]),
        ("cosine is null", vec![3, 4]),
        ("`a.cosine` is not null", vec![1, 2]),
        ("a.llr > b.llr", vec![1]),
        ("status = 'scored' and position >= 2 or position = 1", vec![1, 2, 4]),
        ("status = \"scored\" AND (position >= 2 OR position = 1)", vec![1, 2, 4]),
        ("not (position < 2 or position > 3)", vec![2, 3]),
        ("a.llr<-3.5e0", vec![1]),
        ("status<>'scored'", vec![3]),
        ("contig = 'chr1'", vec![1, 2]),
        ("contig = '1'", vec![1, 2]),
        ("contig != '1'", vec![3, 4]),
        ("'MT' = contig or contig = \"2\"", vec![3, 4]),
    ] {
        assert_eq!(wanted(text), rows, "{text}");
    }
}

#[test]
fn nothing_malformed_is_a_condition() {
    let deep = "(".repeat(5000);
    for text in [
        "",
        "llr",
        "llr <",
        "< 3",
        "llr < 3 and",
        "llr < 3)",
        "(llr < 3",
        "llr = 'x",
        "llr ! 3",
        "llr < 3 4",
        "llr is",
        "llr is not",
        "3 is null",
        "llr < 1e999",
        "llr < 3-4",
        "and < 3",
        "llr < §",
        &deep,
    ] {
        assert!(matches!(Filter::parse(text), Err(FilterError::Malformed { .. })), "{text}");
    }
    let error = Filter::parse("llr < 3 oder x").unwrap_err().to_string();
    assert!(error.contains("at character 9"), "{error}");
}

#[test]
fn unknown_and_unlike_columns_are_told() {
    let schema = batch().schema();
    let error = |text: &str| Filter::parse(text).unwrap().bind(&schema, &assembly()).unwrap_err().to_string();
    let nope = error("cosin < 3");
    assert!(nope.contains("unknown column `cosin`") && nope.contains("6 columns are a.cosine"), "{nope}");
    let several = error("llr < 3");
    assert!(
        several.contains("ambiguous column `llr`: 2 columns") && several.contains("a.llr, b.llr"),
        "{several}"
    );
    let contig = error("contig = 'chr3'");
    assert!(contig.contains("unknown contig `chr3`") && contig.contains("chr1"), "{contig}");
    assert!(error("contig = 1").contains("in quotes"));
    for text in ["status = 'nope'", "'nope' != status", "a.llr < 3 or not (status = '')"] {
        let status = error(text);
        assert!(status.contains("unknown status `") && status.contains("scored, ref_mismatch"), "{status}");
    }
    assert!(error("status < 3").contains("cannot be compared"));
}

#[test]
fn bounds_are_what_every_wanted_row_fulfils() {
    let filter =
        Filter::parse("3 > a.llr and (position = 7 or cosine < 1) and position != 5 and not b.llr < 1");
    let filter = filter.unwrap().bind(&batch().schema(), &assembly()).unwrap();
    let bounds = filter.bounds();
    assert_eq!(bounds.iter().map(|bound| bound.column).collect::<Vec<_>>(), ["a.llr", "position"]);
    assert!(bounds[0].can_hold(2.0, 9.0) && !bounds[0].can_hold(3.0, 9.0));
    assert!(bounds[1].can_hold(5.0, 6.0) && !bounds[1].can_hold(5.0, 5.0));
}
