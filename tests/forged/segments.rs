//! Segments whose Parquet no vestore wrote, named by a catalog that agrees with them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, FixedSizeListArray, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray,
};
use arrow::datatypes::{DataType, Field, Float32Type, Schema};
use base64::Engine;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::arrow::{ARROW_SCHEMA_META_KEY, ArrowWriter};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use serde_json::json;
use vestore::Store;

use super::{endure, filled, rewrite};

/// Columns by name, each with whether it may be null.
pub(super) type Columns = Vec<(&'static str, ArrayRef, bool)>;

/// Three good rows of a score.
fn good() -> Columns {
    let text = |values: [&'static str; 3]| Arc::new(StringArray::from(Vec::from(values))) as ArrayRef;
    vec![
        ("position", Arc::new(Int32Array::from(vec![500, 600, 700])), false),
        ("reference", text(["A", "C", "G"]), false),
        ("alternate", text(["C", "G", "T"]), false),
        ("llr", Arc::new(Float32Array::from(vec![0.5, -1.0, 2.0])), true),
        ("llr_forward", Arc::new(Float32Array::from(vec![0.5, -1.0, 2.0])), true),
        ("llr_reverse", Arc::new(Float32Array::from(vec![0.5, -1.0, 2.0])), true),
        ("status", text(["scored", "scored", "scored"]), false),
    ]
}

/// Puts a file of `columns` in the place of track t's first segment.
fn forge(root: &Path, columns: Columns) {
    forge_with(root, columns, |_| {});
}

/// As [`forge`], with a footer that `footer` changes.
pub(super) fn forge_with(root: &Path, columns: Columns, footer: impl FnOnce(&mut Vec<KeyValue>)) {
    let store = Store::open(root).unwrap();
    let segment = store.all_segments().unwrap().into_iter().find(|segment| segment.track == "t").unwrap();
    let path = root.join(segment.path());
    let old = parquet::file::reader::FileReader::metadata(
        &parquet::file::serialized_reader::SerializedFileReader::new(fs::File::open(&path).unwrap()).unwrap(),
    )
    .file_metadata()
    .key_value_metadata()
    .unwrap()
    .clone();
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array, null)| Field::new(*name, array.data_type().clone(), *null))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let batch =
        RecordBatch::try_new(Arc::clone(&schema), columns.into_iter().map(|(_, array, _)| array).collect())
            .unwrap();
    let own = old.into_iter().filter(|pair| pair.key.starts_with("vestore.") && pair.key != "vestore.blocks");
    let mut pairs: Vec<KeyValue> = own.collect();
    footer(&mut pairs);
    let hidden = pairs.iter().any(|pair| pair.key == ARROW_SCHEMA_META_KEY);
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).unwrap()))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_key_value_metadata(Some(pairs))
        .build();
    let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(hidden);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), schema, options).unwrap();
    writer.write(&batch).unwrap();
    writer.flush().unwrap();
    writer.sync().unwrap();
    let (start, sums) = {
        let before = writer.inner();
        let sums: Vec<u8> =
            before.chunks(16 << 10).flat_map(|block| crc32fast::hash(block).to_le_bytes()).collect();
        (before.len(), base64::engine::general_purpose::STANDARD.encode(sums))
    };
    writer.append_key_value_metadata(KeyValue::new("vestore.blocks".to_owned(), sums));
    let bytes = writer.into_inner().unwrap();
    let checksum = vestore_schema::Digest::of(&bytes).to_string();
    let tail = crc32fast::hash(&bytes[start..]);
    let positions = batch.column(0);
    let rows = positions.len();
    fs::write(&path, &bytes).unwrap();
    rewrite(root, "segments", 0, |record| {
        record["rows"] = json!(rows);
        record["statuses"] = json!({ "scored": rows });
        record["bytes"] = json!(bytes.len());
        record["checksum"] = json!(checksum);
        record["tail"] = json!({ "start": start, "crc32": tail });
        record["last"] = json!(999);
    });
}

#[expect(clippy::needless_pass_by_value, reason = "each call makes its array in place")]
fn changed(name: &str, array: ArrayRef, null: bool) -> Columns {
    let mut columns = good();
    for column in &mut columns {
        if column.0 == name {
            (column.1, column.2) = (Arc::clone(&array), null);
        }
    }
    columns
}

fn numbers(values: [f32; 3]) -> ArrayRef {
    Arc::new(Float32Array::from(Vec::from(values)))
}

#[test]
fn forged_segments_are_damaged_and_nothing_worse() {
    let text = |values: [Option<&str>; 3]| Arc::new(StringArray::from(Vec::from(values))) as ArrayRef;
    let without = |name: &str| good().into_iter().filter(|column| column.0 != name).collect::<Columns>();
    let lists = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(
        [Some([Some(1.0)]), Some([Some(f32::NAN)]), None],
        1,
    );
    let twice = || {
        let mut columns = good();
        columns.insert(4, ("llr", numbers([1.0, 2.0, 3.0]), true));
        columns
    };
    let forged: Vec<(&str, Columns)> = vec![
        ("position as text", changed("position", text([Some("1"), Some("2"), Some("3")]), false)),
        ("position of 64 bits", changed("position", Arc::new(Int64Array::from(vec![500, 600, 700])), false)),
        (
            "position not ascending",
            changed("position", Arc::new(Int32Array::from(vec![700, 600, 500])), false),
        ),
        ("position 0", changed("position", Arc::new(Int32Array::from(vec![0, 600, 700])), false)),
        ("position beyond", changed("position", Arc::new(Int32Array::from(vec![500, 600, i32::MAX])), false)),
        (
            "missing position",
            changed("position", Arc::new(Int32Array::from(vec![Some(500), None, Some(700)])), true),
        ),
        ("missing allele", changed("alternate", text([Some("C"), None, Some("T")]), true)),
        ("doubles", changed("llr", Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0])), true)),
        ("a list", changed("llr", Arc::new(lists), true)),
        ("not a number", changed("llr", numbers([f32::NAN, 1.0, 2.0]), true)),
        ("infinite", changed("llr_reverse", numbers([1.0, 2.0, f32::INFINITY]), true)),
        ("no status", without("status")),
        ("no score", without("llr")),
        ("no alternate", without("alternate")),
        ("a column twice", twice()),
    ];
    for (what, columns) in forged {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("store");
        drop(filled(&root));
        forge(&root, columns);
        let store = Store::open(&root).unwrap();
        let damage = store.verify(|_| {}).unwrap();
        assert_eq!(damage.len(), 1, "{what}: {damage:?}");
        assert!(damage[0].is_loss(), "{what}: {damage:?}");
        endure(folder.path(), what);
    }
}

#[test]
fn a_forged_segment_of_good_rows_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    drop(filled(&root));
    forge(&root, good());
    let told = Store::open(&root).unwrap().verify(|_| {}).unwrap();
    // All but the range, which no test here needs to be right.
    assert!(
        told.len() == 1 && told[0].to_string().contains("3 rows, not 3, or not at the positions"),
        "{told:?}"
    );
    assert_eq!(DataType::Int32, *good()[0].1.data_type());
}
