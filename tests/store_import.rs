//! Imported tables hold what their files say, whatever their format and order.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use vestore::{ImportError, ImportOptions, Imported, QueryPlan, Request, Store, import};
use vestore_schema::{Position, Status, Variant};

use crate::store::rows_of;
use crate::support::{Random, genome_store};

/// Contig, 1-based position, alleles, two scores, as in a file.
type Row = (&'static str, u32, String, String, Option<f32>, Option<f32>);

/// SNVs of every third base, their alternates in any order, and some that contradict the reference.
fn table(bases: &[u8]) -> Vec<Row> {
    let mut random = Random(5);
    let mut rows = Vec::new();
    for position in (1..=5999).step_by(3) {
        let mut old = bases[position as usize - 1];
        if position % 500 == 1 {
            old = if old == b'A' { b'C' } else { b'A' };
        }
        for new in *b"TGCA" {
            if new != old && random.below(4) > 0 {
                let mut score = || (random.below(6) > 0).then(|| random.below(40_000) as f32 / 1000.0 - 20.0);
                let values = (score(), score());
                let text = |base: u8| char::from(base).to_string();
                rows.push(("1", position, text(old), text(new), values.0, values.1));
            }
        }
    }
    rows
}

fn cell(value: Option<f32>) -> String {
    value.map_or_else(|| "NA".to_owned(), |value| value.to_string())
}

fn write_table(path: &Path, rows: &[Row], separator: &str) {
    let mut text = ["chrom", "name", "pos", "ref", "alt", "first", "second"].join(separator) + "\n";
    for (contig, position, old, new, first, second) in rows {
        let cells = [contig, "\"x,y\"", &position.to_string(), old, new, &cell(*first), &cell(*second)];
        writeln!(text, "{}", cells.join(separator)).unwrap();
    }
    fs::write(path, text).unwrap();
}

fn write_vcf(path: &Path, rows: &[Row]) {
    let mut text = String::from(
        "##fileformat=VCFv4.2\n##INFO=<ID=first,Number=A,Type=Float,Description=\"\">\n\
         ##INFO=<ID=second,Number=A,Type=Float,Description=\"\">\n##INFO=<ID=NAME,Number=1,Type=String,Description=\"\">\n\
         #CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n",
    );
    for site in rows.chunk_by(|a, b| a.1 == b.1) {
        let joined = |text: &dyn Fn(&Row) -> String| site.iter().map(text).collect::<Vec<_>>().join(",");
        let (contig, position, old, ..) = &site[0];
        let new = joined(&|row| row.3.clone());
        let dot = |value: Option<f32>| value.map_or_else(|| ".".to_owned(), |value| value.to_string());
        let (first, second) = (joined(&|row| dot(row.4)), joined(&|row| dot(row.5)));
        writeln!(text, "{contig}\t{position}\t.\t{old}\t{new}\t.\t.\tNAME=x;first={first};second={second}")
            .unwrap();
    }
    fs::write(path, text).unwrap();
}

fn write_parquet(path: &Path, rows: &[Row]) {
    let text = |of: &dyn Fn(&Row) -> String| -> ArrayRef {
        Arc::new(rows.iter().map(|row| Some(of(row))).collect::<StringArray>())
    };
    let number = |of: &dyn Fn(&Row) -> Option<f32>| -> ArrayRef {
        Arc::new(rows.iter().map(|row| of(row).map(f64::from)).collect::<Float64Array>())
    };
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("chrom", text(&|row| row.0.to_owned()), false),
        (
            "pos",
            Arc::new(rows.iter().map(|row| Some(i64::from(row.1))).collect::<Int64Array>()) as ArrayRef,
            false,
        ),
        ("ref", text(&|row| row.2.clone()), false),
        ("alt", text(&|row| row.3.clone()), false),
        ("first", number(&|row| row.4), true),
        ("second", number(&|row| row.5), true),
    ])
    .unwrap();
    // What pandas and pyarrow write when nobody asks for anything else.
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let file = fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn take(store: &Store, name: &str, path: &Path) -> Result<Imported, ImportError> {
    import(store, name, path, &ImportOptions::default(), "test", |_| {})
}

fn stored(store: &Store, name: &str) -> BTreeMap<Variant, (Vec<Option<f32>>, String)> {
    let plan =
        QueryPlan::new(store, &Request { tracks: vec![name.to_owned()], ..Request::default() }).unwrap();
    let rows: Vec<_> = plan.rows().flat_map(|batch| rows_of(store, &batch.unwrap())).collect();
    assert!(rows.is_sorted_by(|a, b| a.0 < b.0), "rows ascend");
    rows.into_iter().map(|(variant, _, scores, status)| (variant, (scores, status))).collect()
}

#[test]
fn every_format_and_order_gives_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = genome_store(folder.path());
    let rows = table(&bases);
    let mut expected = BTreeMap::new();
    let mut without_score = 0;
    for (_, position, old, new, first, second) in &rows {
        let at = *position as usize - 1;
        let status = match bases[at] {
            _ if first.is_none() && second.is_none() => {
                without_score += 1;
                continue;
            }
            b'N' => Status::NonAcgt,
            base if char::from(base).to_string() == *old => Status::Scored,
            _ => Status::RefMismatch,
        };
        let variant = Variant {
            contig: 0,
            position: Position::from_one_based((*position).into()).unwrap(),
            reference: old.as_str().into(),
            alternate: new.as_str().into(),
        };
        let scores = if status == Status::Scored { vec![*first, *second] } else { vec![None, None] };
        expected.insert(variant, (scores, status.as_str().to_owned()));
    }
    assert!(expected.values().any(|row| row.1 == "ref_mismatch"));
    let mut shuffled = rows.clone();
    let mut random = Random(9);
    for at in (1..shuffled.len()).rev() {
        shuffled.swap(at, random.below(at as u64 + 1) as usize);
    }
    let path = |name: &str| folder.path().join(name);
    write_table(&path("sorted.tsv"), &rows, "\t");
    write_table(&path("sorted.csv"), &rows, ",");
    write_table(&path("shuffled.tsv"), &shuffled, "\t");
    write_vcf(&path("sorted.vcf"), &rows);
    write_parquet(&path("sorted.parquet"), &rows);
    write_parquet(&path("shuffled.parquet"), &shuffled);
    for name in
        ["sorted.tsv", "sorted.csv", "sorted.vcf", "sorted.parquet", "shuffled.tsv", "shuffled.parquet"]
    {
        let done = take(&store, name, &path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!done.sorted, "{name} is in order after each block was sorted");
        assert_eq!(done.without_score, without_score, "{name}");
        assert_eq!(done.track.columns, ["first", "second"], "{name}");
        assert_eq!(done.rows, expected.len() as u64, "{name}");
        assert!(stored(&store, name) == expected, "{name}");
        assert!(matches!(take(&store, name, &path(name)), Err(ImportError::Present { .. })), "{name}");
    }
    // A contig that comes back is what only the external sort can handle.
    let (front, back) = rows.split_at(rows.len() / 2);
    let between: Row = ("HLA-A*01:01", 5, "A".to_owned(), "C".to_owned(), Some(1.0), None);
    let split = [back, std::slice::from_ref(&between), front].concat();
    write_table(&path("split.tsv"), &split, "\t");
    let done = take(&store, "split", &path("split.tsv")).unwrap();
    assert!(done.sorted);
    let mut found = stored(&store, "split");
    assert_eq!(done.rows, expected.len() as u64 + 1);
    assert_eq!(done.report.records, rows.len() as u64 + 1);
    found.retain(|variant, _| variant.contig == 0);
    assert!(found == expected);
    assert!(store.verify(|_| {}).unwrap().is_empty());
    let ids: Vec<_> = store.snapshot().unwrap().tracks.iter().map(|track| track.id).collect();
    assert!((1..ids.len()).all(|at| !ids[..at].contains(&ids[at])));
}

/// Batches of sorted SNVs with all scores pass untouched, but only when they agree with the reference.
#[test]
fn one_wrong_reference_allele_among_plain_rows_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = genome_store(folder.path());
    let mut rows: Vec<Row> = (1..=2900_u32)
        .flat_map(|position| {
            let old = bases[position as usize - 1];
            let others = b"ACGT".iter().filter(move |new| **new != old);
            others.map(move |new| {
                let text = |base: u8| char::from(base).to_string();
                ("chr1", position, text(old), text(*new), Some(position as f32), Some(0.5))
            })
        })
        .collect();
    let path = folder.path().join("plain.parquet");
    write_parquet(&path, &rows);
    take(&store, "plain", &path).unwrap();
    let found = stored(&store, "plain");
    assert_eq!(found.len(), rows.len());
    for (variant, (scores, status)) in &found {
        assert_eq!(
            (scores[0], scores[1], status.as_str()),
            (Some(variant.position.one_based() as f32), Some(0.5), "scored")
        );
    }
    let wrong = rows.len() - 100;
    (rows[wrong].2, rows[wrong].3) =
        if rows[wrong].2 == "A" { ("C".into(), "A".into()) } else { ("A".into(), rows[wrong].2.clone()) };
    write_parquet(&path, &rows);
    take(&store, "wrong", &path).unwrap();
    let found = stored(&store, "wrong");
    let mismatches: Vec<_> = found.iter().filter(|(_, row)| row.1 == "ref_mismatch").collect();
    assert_eq!(mismatches.len(), 1);
    assert_eq!(
        (mismatches[0].0.position.one_based(), mismatches[0].1.0.clone()),
        (rows[wrong].1.into(), vec![None, None])
    );
}

#[test]
fn columns_are_chosen_renamed_and_rounded() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = genome_store(folder.path());
    let rows = table(&bases);
    let path = folder.path().join("x.parquet");
    write_parquet(&path, &rows);
    let options = |columns: &[(&str, &str)], precision: Option<&str>| ImportOptions {
        columns: columns.iter().map(|(name, from)| ((*name).to_owned(), (*from).to_owned())).collect(),
        precision: precision.map(str::to_owned),
        ..ImportOptions::default()
    };
    let done =
        import(&store, "t", &path, &options(&[("cadd", "second")], Some("0.5")), "test", |_| {}).unwrap();
    assert_eq!(done.track.columns, ["cadd"]);
    for (scores, _) in stored(&store, "t").values() {
        assert!(scores[0].is_none_or(|score| (score * 2.0).fract() == 0.0));
    }
    let refused = |columns: &[(&str, &str)]| {
        import(&store, "u", &path, &options(columns, None), "test", |_| {}).unwrap_err()
    };
    assert!(refused(&[("nope", "nope")]).to_string().contains("second"));
    assert!(matches!(refused(&[("track", "first")]), ImportError::ColumnName { .. }));
    assert!(matches!(refused(&[("a", "first"), ("a", "second")]), ImportError::ColumnName { .. }));
}

#[test]
fn a_failed_import_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = genome_store(folder.path());
    let path = folder.path().join("x.tsv");
    write_table(&path, &table(&bases), "\t");
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str("1\tx\t5999\tA\tC\tabc\t1\n");
    fs::write(&path, text).unwrap();
    let options =
        ImportOptions { columns: vec![("first".to_owned(), "first".to_owned())], ..ImportOptions::default() };
    let error = import(&store, "t", &path, &options, "test", |_| {}).unwrap_err().to_string();
    assert!(error.contains("first `abc` is not a number"), "{error}");
    assert!(store.all_segments().unwrap().is_empty() && store.snapshot().unwrap().tracks.is_empty());
    let foreign = folder.path().join("foreign.tsv");
    fs::write(&foreign, "chrom\tpos\tref\talt\ts\nz\t1\tA\tC\t1\n").unwrap();
    assert!(take(&store, "u", &foreign).unwrap_err().to_string().contains("`z`"));
}

/// A store over a genome of 400,000 bases with a run of 5,000 A, and the bases.
fn long_store(folder: &std::path::Path) -> (Store, Vec<u8>) {
    let mut random = Random(77);
    let mut bases: Vec<u8> = (0..400_000).map(|_| b"ACGT"[random.below(4) as usize]).collect();
    bases[200_000..205_000].fill(b'A');
    let fasta = folder.join("long.fa");
    fs::write(&fasta, [b">one\n".as_slice(), &bases, b"\n>two\n", &bases[..100_000], b"\n"].concat())
        .unwrap();
    let assembly = vestore::Reference::open(&fasta).unwrap().survey().unwrap();
    let reference = fasta.to_str().unwrap().to_owned();
    let record = vestore_schema::StoreRecord { reference, copied: false, assembly };
    (
        Store::create(
            &folder.join("long"),
            std::sync::Arc::new(vestore::Disk::new(&folder.join("long"))),
            record,
        )
        .unwrap(),
        bases,
    )
}

#[test]
fn shuffled_rows_become_the_same_track_as_sorted_ones() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = long_store(folder.path());
    let mut random = Random(78);
    let mut lines: Vec<(String, usize, String)> = Vec::new();
    for row in 0..3000 {
        let contig = ["one", "chrone", "two", "nine"][random.below(4) as usize];
        let at =
            random.below(99_000) as usize + if contig.ends_with("one") { 300_000 * (row % 2) } else { 0 };
        let length = 1 + random.below(12) as usize / 10;
        let old = String::from_utf8(bases[at..at + length].to_vec()).unwrap();
        let new = ["A", "C", "GG", "<DEL>"][random.below(4) as usize];
        let score = ["", "nan", "inf", "1.5", "2.5", "-3"][random.below(6) as usize];
        lines.push((contig.to_owned(), at + 1, format!("{contig}\t{}\t{old}\t{new}\t{score}", at + 1)));
    }
    // These move left by up to 5,000 bases, over rows that stand before them.
    for at in [204_000, 204_900, 202_000] {
        lines.push(("one".to_owned(), at, format!("one\t{at}\tAA\tA\t{}", at / 1000)));
    }
    lines.push(("one".to_owned(), 203_000, "one\t203000\tA\tC\t9".to_string()));
    lines.push(("two".to_owned(), 900_000, "two\t900000\tA\tC\t9".to_owned()));
    lines.sort();
    let write = |name: &str, lines: &[(String, usize, String)]| {
        let path = folder.path().join(name);
        let rows: Vec<&str> = lines.iter().map(|(_, _, line)| line.as_str()).collect();
        fs::write(&path, format!("contig\tposition\treference\talternate\tx\n{}\n", rows.join("\n")))
            .unwrap();
        path
    };
    let in_order = write("sorted.tsv", &lines);
    for at in (1..lines.len()).rev() {
        lines.swap(at, random.below(at as u64 + 1) as usize);
    }
    let shuffled = write("shuffled.tsv", &lines);
    let outcome = |track: &str, path: &std::path::Path| {
        let options = ImportOptions { spill_folder: Some(folder.path().into()), ..ImportOptions::default() };
        let done = import(&store, track, path, &options, "test", |_| {}).unwrap();
        let rows: Vec<_> = stored(&store, track).into_iter().collect();
        assert!(rows.len() > 1000 && done.sorted, "{} rows", rows.len());
        (rows.len(), done.report.records, done.without_score, done.report.normalized, rows)
    };
    let (a, b) = (outcome("a", &in_order), outcome("b", &shuffled));
    assert_eq!((a.0, a.1, a.2, a.3), (b.0, b.1, b.2, b.3));
    // Of rows of one variant with other scores the first in the file counts, so that those may differ.
    let same = a.4.iter().zip(&b.4).filter(|(a, b)| a == b).count();
    assert!(a.4.iter().map(|row| &row.0).eq(b.4.iter().map(|row| &row.0)) && same + 20 > a.4.len());
}
