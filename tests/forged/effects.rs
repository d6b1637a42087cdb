//! Segments of effects that no vestore wrote.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, FixedSizeListArray, Float32Array, Int32Array, ListBuilder, PrimitiveBuilder, StringArray,
};
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::arrow::{ARROW_SCHEMA_META_KEY, encode_arrow_schema};
use parquet::file::metadata::KeyValue;
use vestore::{Store, effect_batches};
use vestore_schema::{FORMAT_KEY, TARGETS_KEY, Table, effects_schema, effects_type};

use super::endure;
use super::segments::{Columns, forge_with};
use crate::effects::{all_lines, effect_track, names, random_rows};
use crate::programs::{fails, ok};
use crate::support::{Random, new_store, run};

/// Targets of its one track, `t`.
const TARGETS: usize = 3;

/// A store with one segment, of effects.
fn filled(root: &Path) {
    filled_with(root, TARGETS);
}

/// The same, on so many targets.
fn filled_with(root: &Path, targets: usize) {
    let store = new_store(root, &["1", "2"]);
    let names = names(targets);
    let track = effect_track("t", &names);
    let mut writer = store.writer("test").unwrap();
    writer.put_track_with_targets(&track, &names).unwrap();
    let rows: Vec<_> = random_rows(&mut Random(6), &track, 0, 20).into_iter().map(|row| row.1).collect();
    let segment =
        writer.write(Table::Effects, &track, None, 0, effect_batches(&track, &rows)).unwrap().unwrap();
    writer.commit(&[segment], &run(1, &track)).unwrap();
}

/// Lists of `width` numbers for three rows.
fn lists(width: i32, numbers: [Option<f32>; 3]) -> ArrayRef {
    let rows = numbers.map(|number| number.map(|number| vec![Some(number); width as usize]));
    Arc::new(FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows, width))
}

fn columns(log_sum: ArrayRef, js: ArrayRef) -> Columns {
    let text = |values: [&'static str; 3]| Arc::new(StringArray::from(Vec::from(values))) as ArrayRef;
    vec![
        ("position", Arc::new(Int32Array::from(vec![500, 600, 700])), false),
        ("reference", text(["A", "C", "G"]), false),
        ("alternate", text(["C", "G", "T"]), false),
        ("log_sum", log_sum, true),
        ("js", js, true),
        ("ref", lists(3, [Some(1.0), None, Some(2.0)]), true),
        ("status", text(["scored", "scored", "scored"]), false),
    ]
}

fn good() -> ArrayRef {
    lists(3, [Some(0.5), None, Some(-1.0)])
}

#[test]
fn forged_effects_are_damaged_and_nothing_worse() {
    let doubles =
        FixedSizeListArray::from_iter_primitive::<Float64Type, _, _>([Some([Some(1.0); 3]), None, None], 3);
    let plain = Arc::new(Float32Array::from(vec![1.0, 2.0, 3.0]));
    let none = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>([Some([]), None, Some([])], 0);
    let forged: Vec<(&str, &str, Columns)> = vec![
        ("longer lists", "lists of 3 numbers", columns(lists(4, [Some(1.0), None, None]), good())),
        ("shorter lists", "lists of 3 numbers", columns(good(), lists(2, [Some(1.0), None, None]))),
        ("lists of nothing", "", columns(good(), Arc::new(none))),
        ("numbers without lists", "which no effects have", columns(plain, good())),
        ("lists of doubles", "which no effects have", columns(Arc::new(doubles), good())),
        ("not a number", "not a number", columns(lists(3, [Some(f32::NAN), None, None]), good())),
        ("infinite", "not a number", columns(good(), lists(3, [None, None, Some(f32::INFINITY)]))),
        (
            "no kind",
            "no column `js`",
            columns(good(), good()).into_iter().filter(|column| column.0 != "js").collect(),
        ),
    ];
    for (what, told, columns) in forged {
        check(what, told, columns, |_| {});
    }
}

#[test]
fn forged_names_of_targets_are_damage() {
    let rename = |names: Option<&'static str>| {
        move |pairs: &mut Vec<KeyValue>| {
            pairs.retain(|pair| pair.key != TARGETS_KEY);
            pairs.extend(names.map(|names| KeyValue::new(TARGETS_KEY.to_owned(), names.to_owned())));
        }
    };
    for (names, told) in [
        (None, "names of targets in its footer: they are missing"),
        (Some("{}"), "they are missing"),
        (Some(r#"["a","b","c"]"#), "the names of other targets"),
        (Some(r#"["a","b\u001b","c"]"#), "not a name of a target"),
    ] {
        check("names", told, columns(good(), good()), rename(names));
    }
}

#[test]
fn lists_that_version_2_left_whole_are_read_and_cut_when_upgraded() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    filled_with(&root, 130);
    let numbers = [Some(0.5), None, Some(-1.0)];
    let mut whole = columns(lists(130, numbers), lists(130, [None, Some(7.0), None]));
    whole[5].1 = lists(130, [Some(1.0), None, Some(2.0)]);
    forge_with(&root, whole, |pairs| {
        pairs.retain(|pair| pair.key != FORMAT_KEY);
        pairs.push(KeyValue::new(FORMAT_KEY.to_owned(), r#"{"version":2,"features":[]}"#.to_owned()));
    });
    let store = Store::open(&root).unwrap();
    let lines = all_lines(&store);
    assert_eq!(lines.len(), 3 * 130);
    let of = |line: usize, kind: usize| lines[line].3[kind].map(f32::from_bits);
    assert_eq!([of(0, 0), of(129, 0), of(130, 1), of(389, 2)], [Some(0.5), Some(0.5), Some(7.0), Some(2.0)]);
    assert_eq!([of(0, 1), of(130, 0)], [None, None]);
    let last = ok("query {} --effects --target RNA-128 --format tsv", &[&root]);
    assert_eq!(last.lines().count(), 4);
    store.writer("test").unwrap().upgrade(|_| {}).unwrap();
    let segment = store.all_segments().unwrap().remove(0);
    let file = File::open(root.join(segment.path())).unwrap();
    let file = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let names: Vec<&str> = file.schema().fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names[3..9], ["log_sum_0", "log_sum_128", "js_0", "js_128", "ref_0", "ref_128"]);
    assert_eq!(all_lines(&store), lines);
}

#[test]
fn a_list_without_end_is_refused_before_it_is_read() {
    // One row whose list has millions of entries, none a number: a few bytes, in a file that says three.
    let item = Field::new("item", DataType::Float32, true);
    let mut endless = ListBuilder::new(PrimitiveBuilder::<Float32Type>::new()).with_field(Arc::new(item));
    for _ in 0..2 {
        endless.append(true);
    }
    endless.values().append_nulls(30_000_000);
    endless.append(true);
    let endless: ArrayRef = Arc::new(endless.finish());
    let kinds = ["log_sum", "js", "ref"].map(str::to_owned);
    let said = |pairs: &mut Vec<KeyValue>| {
        let schema: Arc<Schema> = effects_schema(&kinds, TARGETS as u32);
        pairs.push(KeyValue::new(ARROW_SCHEMA_META_KEY.to_owned(), encode_arrow_schema(&schema)));
    };
    assert!(matches!(effects_type(3), DataType::FixedSizeList(_, 3)));
    check(
        "an endless list",
        "a page of lists has 30000002 entries, more than 9",
        columns(endless, good()),
        said,
    );
}

/// A store with a forged segment: `verify` names the damage, and every command ends as it should.
fn check(what: &str, told: &str, columns: Columns, footer: impl FnOnce(&mut Vec<KeyValue>)) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    filled(&root);
    forge_with(&root, columns, footer);
    let damage = Store::open(&root).unwrap().verify(|_| {}).unwrap();
    assert!(damage.len() == 1 && damage[0].is_loss(), "{what}: {damage:?}");
    assert!(damage[0].to_string().contains(told), "{what}: {damage:?}");
    if what != "names" && what != "lists of nothing" {
        let error = fails(1, "query {} --effects --format tsv", &[&root]);
        assert!(error.contains(told), "{what}: {error}");
    }
    endure(folder.path(), &super::COMMANDS, what);
}
