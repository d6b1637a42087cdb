//! What tables say is read as it stands, or refused by name: never cast, guessed or dropped in silence.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, DictionaryArray, Float32Array, Float64Array, Int64Array, LargeStringArray,
    ListArray, RecordBatch, StringArray, StringViewArray,
};
use arrow::datatypes::{Float64Type, Int32Type};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use vestore::{
    Duplicates, ImportError, ImportOptions, Imported, QueryPlan, Rejection, Request, Store, import,
};

use crate::programs::{command, run};
use crate::store::rows_of;
use crate::support::genome_store;

/// Two positions of `chr1` whose bases are known, and an alternate of each.
struct Sites {
    store: Store,
    folder: tempfile::TempDir,
    bases: Vec<u8>,
}

impl Sites {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (store, bases) = genome_store(folder.path());
        Self { store, folder, bases }
    }

    /// Reference and alternate base at a 1-based position.
    fn alleles(&self, position: usize) -> (String, String) {
        let old = self.bases[position - 1];
        let new = if old == b'A' { 'C' } else { 'A' };
        (char::from(old).to_string(), new.to_string())
    }

    fn write(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn take(&self, track: &str, path: &Path, options: &ImportOptions) -> Result<Imported, ImportError> {
        import(&self.store, track, path, options, "test", |_| {})
    }

    /// Position, alternate and scores of each row of a track.
    fn rows(&self, track: &str) -> Vec<(u64, String, Vec<Option<f32>>)> {
        let request = Request { tracks: vec![track.to_owned()], ..Request::default() };
        let plan = QueryPlan::new(&self.store, &request).unwrap();
        let rows = plan.rows().flat_map(|batch| rows_of(&self.store, &batch.unwrap())).collect::<Vec<_>>();
        rows.into_iter()
            .map(|(variant, _, scores, _)| {
                (variant.position.one_based(), variant.alternate.to_string(), scores)
            })
            .collect()
    }
}

fn columns(pairs: &[(&str, &str)]) -> ImportOptions {
    let columns = pairs.iter().map(|(name, from)| ((*name).to_owned(), (*from).to_owned())).collect();
    ImportOptions { columns, ..ImportOptions::default() }
}

#[test]
fn scores_that_differ_are_told_from_repeats_whatever_the_order() {
    let sites = Sites::new();
    let ((a, x), (b, y)) = (sites.alleles(700), sites.alleles(900));
    let row = |position: u32, old: &str, new: &str, first: &str, second: &str| {
        format!("1\t{position}\t{old}\t{new}\t{first}\t{second}\n")
    };
    let body = [
        row(700, &a, &x, "0.1", "1"),
        row(700, &a, &x, "0.1", "1"),
        row(700, &a, &x, "0.9", ""),
        row(900, &b, &y, "0.5", "2"),
        row(900, &b, &y, "0.5", "2"),
    ];
    let header = "chrom\tpos\tref\talt\tfirst\tsecond\n";
    let sorted = sites.write("sorted.tsv", &format!("{header}{}", body.concat()));
    // A row of another contig between two of this one: only the sort can handle that.
    let hla = "HLA-A*01:01\t5\tA\tC\t1\t1\n";
    let split = format!("{header}{}{hla}{}", body[..1].concat(), body[1..].concat());
    let split = sites.write("split.tsv", &split);
    for (path, name) in [(&sorted, "s"), (&split, "t")] {
        let report = sites.folder.path().join(format!("{name}.report"));
        let options = |duplicates| ImportOptions {
            duplicates,
            report: Some(report.clone()),
            ..ImportOptions::default()
        };
        let done = sites.take(&format!("{name}-first"), path, &options(Duplicates::First)).unwrap();
        assert_eq!((done.report.duplicates, done.report.conflicts), (2, 1), "{name}");
        assert!(done.sorted, "the lines of a listing need the sort");
        assert_eq!(
            done.report.first_conflict().unwrap(),
            format!("chr1-700-{a}-{x} has 0.1, 1 and 0.9, none"),
            "{name}"
        );
        let listed = fs::read_to_string(&report).unwrap();
        assert_eq!(listed.matches("conflicting_duplicate").count(), 1, "{listed}");
        let line = if name == "s" { 4 } else { 5 };
        let of_row = format!("\n{}\t{line}\tchr1\t700\t{a}\t{x}\tconflicting_duplicate\n", path.display());
        assert!(listed.contains(&of_row), "{listed}");
        let found = sites.rows(&format!("{name}-first"));
        let of_chr1: Vec<_> = found.iter().filter(|row| row.0 > 5).cloned().collect();
        let expected =
            [(700, x.clone(), vec![Some(0.1), Some(1.0)]), (900, y.clone(), vec![Some(0.5), Some(2.0)])];
        assert_eq!(of_chr1, expected, "{name}");

        let error =
            sites.take(&format!("{name}-fail"), path, &options(Duplicates::Fail)).unwrap_err().to_string();
        assert!(
            error.contains(&format!("chr1-700-{a}-{x} has more than one score: 0.1, 1 and 0.9, none")),
            "{error}"
        );
        assert!(sites.rows(&format!("{name}-first")).len() == found.len());

        let done = sites.take(&format!("{name}-mean"), path, &options(Duplicates::Mean)).unwrap();
        assert_eq!((done.report.duplicates, done.report.conflicts), (2, 1), "{name}");
        // The repeat counts once.
        let mean = f64::midpoint(f64::from(0.1_f32), f64::from(0.9_f32)) as f32;
        let found: Vec<_> = sites.rows(&format!("{name}-mean")).into_iter().filter(|row| row.0 > 5).collect();
        assert_eq!(found[0], (700, x.clone(), vec![Some(mean), Some(1.0)]), "{name}");
        assert_eq!(found[1], expected[1]);
    }
    // Scores that are equal once they are rounded do not differ.
    let options = ImportOptions { precision: Some("1".to_owned()), ..columns(&[("second", "second")]) };
    let near = sites
        .write("near.tsv", &format!("{header}{}{}", row(700, &a, &x, "", "1"), row(700, &a, &x, "", "1.2")));
    let done = sites.take("near", &near, &options).unwrap();
    assert_eq!((done.report.duplicates, done.report.conflicts), (1, 0));
    // Nor do they count twice in a mean.
    let options = ImportOptions {
        duplicates: Duplicates::Mean,
        precision: Some("1".to_owned()),
        ..columns(&[("second", "second")])
    };
    let text = ["1", "1.2", "7"].map(|second| row(700, &a, &x, "", second)).concat();
    let three = sites.write("three.tsv", &format!("{header}{text}"));
    let done = sites.take("three", &three, &options).unwrap();
    assert_eq!((done.report.duplicates, done.report.conflicts), (1, 1));
    assert_eq!(sites.rows("three"), [(700, x.clone(), vec![Some(4.0)])]);
    let ids: Vec<_> = sites.store.snapshot().unwrap().tracks.iter().map(|track| track.id).collect();
    assert!((1..ids.len()).all(|at| !ids[..at].contains(&ids[at])), "the policy is part of the identity");
}

#[test]
fn key_columns_are_named_and_two_positions_are_not_guessed() {
    let sites = Sites::new();
    let (a, x) = sites.alleles(700);
    let path = sites
        .write("revel.csv", &format!("chr,hg19_pos,grch38_pos,ref,alt,REVEL\n1,701,700,{a},{x},0.027\n"));
    let error = sites.take("r", &path, &ImportOptions::default()).unwrap_err().to_string();
    assert!(
        error.contains("--columns position=NAME") && error.contains("`hg19_pos`, `grch38_pos`"),
        "{error}"
    );
    sites.take("r", &path, &columns(&[("position", "grch38_pos"), ("REVEL", "REVEL")])).unwrap();
    assert_eq!(sites.rows("r"), [(700, x.clone(), vec![Some(0.027)])]);
    // Without score columns, all numbers beside the key: the other position is one of them.
    let done = sites.take("all", &path, &columns(&[("position", "grch38_pos")])).unwrap();
    assert_eq!(done.track.columns, ["hg19_pos", "REVEL"]);
    let vcf = sites
        .write("x.vcf", "##INFO=<ID=s,Number=A,Type=Float>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n");
    let error = sites.take("v", &vcf, &columns(&[("position", "POS")])).unwrap_err().to_string();
    assert!(error.contains("leave `position=POS` out"), "{error}");
}

#[test]
fn alleles_that_vcf_does_not_allow_and_impossible_positions_are_counted() {
    let sites = Sites::new();
    let (a, x) = sites.alleles(700);
    let rows = [
        format!("1\t0\tA\tC\t1\n1\t700\t{a}\t{x}\t0.5\n"),
        "1\t701\tG\u{1b}]0;owned\u{7}\tA\t1\n1\t701\tG\rX\tA\t1\n1\t701\t=1+1\tA\t1\n".to_string(),
        "1\t702\t.\t<*>\t1\n1\t702\t-\tA\t1\n1\t702\tA\t-\t1\n1\t702\tA\tA C\t1\n1\t702\tR\t<DEL>\t1\n"
            .to_owned(),
    ];
    let path = sites.write("x.tsv", &format!("chrom\tpos\tref\talt\ts\n{}", rows.concat()));
    let report = sites.folder.path().join("report");
    let options = ImportOptions { report: Some(report.clone()), ..ImportOptions::default() };
    let done = sites.take("t", &path, &options).unwrap();
    let rejected = |why| done.report.rejected(why);
    assert_eq!(rejected(Rejection::OutsideContig), 1);
    assert_eq!(rejected(Rejection::InvalidAllele), 4);
    assert_eq!((rejected(Rejection::EmptyAllele), rejected(Rejection::MissingReference)), (2, 1));
    let found = sites.rows("t");
    assert_eq!(found, [(700, x, vec![Some(0.5)]), (702, "<DEL>".to_owned(), vec![None])]);
    let listed = fs::read_to_string(&report).unwrap();
    assert!(listed.contains("\t4\tchr1\t701\tG\\u001b]0;owned\\u0007\tA\tinvalid_allele\n"), "{listed}");
    assert!(listed.contains("\t2\tchr1\t0\tA\tC\toutside_contig\n"), "{listed}");
    assert!(!listed.contains(['\u{1b}', '\u{7}', '\r']), "{listed}");
}

fn parquet(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn a_page_that_grows_beyond_reason_is_refused_before_it_does() {
    let sites = Sites::new();
    let path = sites.folder.path().join("bomb.parquet");
    let rows = 5_000_000;
    let text = |value: &str| Arc::new(StringArray::from(vec![value; rows])) as ArrayRef;
    let batch = RecordBatch::try_from_iter([
        ("chrom", text("chr1")),
        ("pos", Arc::new(Int64Array::from(vec![500; rows])) as ArrayRef),
        ("ref", text("A")),
        ("alt", text("C")),
        ("score", Arc::new(Float64Array::from(vec![0.5; rows])) as ArrayRef),
    ]);
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).unwrap()))
        .set_dictionary_enabled(false)
        .set_data_page_size_limit(1 << 30)
        .set_data_page_row_count_limit(rows)
        .set_write_batch_size(rows)
        .set_max_row_group_row_count(Some(rows))
        .build();
    let batch = batch.unwrap();
    let mut writer =
        ArrowWriter::try_new(fs::File::create(&path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    assert!(fs::metadata(&path).unwrap().len() < 1 << 20);
    let refused = import(&sites.store, "bomb", &path, &ImportOptions::default(), "test", |_| {}).unwrap_err();
    let told = format!("{:#}", anyhow::Error::from(refused));
    assert!(told.contains("bomb.parquet") && told.contains("would take"), "{told}");
}

#[test]
fn parquet_is_read_without_silent_casts() {
    let sites = Sites::new();
    let ((a, x), (b, y)) = (sites.alleles(700), sites.alleles(701));
    let path = sites.folder.path().join("x.parquet");
    let text = |values: [&str; 2]| Arc::new(StringArray::from(values.to_vec())) as ArrayRef;
    let numbers = |values: [f64; 2]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
    let key = |positions: ArrayRef, alternates: ArrayRef| {
        vec![("chrom", text(["1", "1"])), ("pos", positions), ("ref", text([&a, &b])), ("alt", alternates)]
    };
    let good = || key(numbers([700.0, 701.0]), text([&x, &y]));
    let mut number = 0;
    let mut take = |table: Vec<(&str, ArrayRef)>, options: &ImportOptions| {
        number += 1;
        parquet(&path, table);
        let track = format!("t{number}");
        sites.take(&track, &path, options).map(|done| (done, sites.rows(&track)))
    };
    let default = ImportOptions::default();
    let with = |mut key: Vec<(&'static str, ArrayRef)>, scores: ArrayRef| {
        key.push(("s", scores));
        key
    };
    let expected = [(700, x.clone(), vec![Some(0.5)]), (701, y.clone(), vec![Some(0.25)])];

    // Whole floats are positions; fractions, negative and missing ones are not.
    assert_eq!(take(with(good(), numbers([0.5, 0.25])), &default).unwrap().1, expected);
    for wrong in [700.5, -1.0, f64::NAN, 1e300] {
        let table = with(key(numbers([700.0, wrong]), text([&x, &y])), numbers([0.5, 0.25]));
        let error = take(table, &default).unwrap_err().to_string();
        assert!(error.contains("x.parquet, row 2: pos `") && error.contains("is not a position"), "{error}");
    }
    let flags = Arc::new(BooleanArray::from(vec![true, true])) as ArrayRef;
    let error =
        take(with(key(flags, text([&x, &y])), numbers([0.5, 0.25])), &default).unwrap_err().to_string();
    assert!(error.contains("pos `Boolean` is the type of the column"), "{error}");

    // Texts are numbers or an error; other layouts of text are text.
    let named = columns(&[("s", "s")]);
    assert_eq!(take(with(good(), text(["0.5", " 0.25 "])), &named).unwrap().1, expected);
    assert_eq!(take(with(good(), text(["0.5", "."])), &named).unwrap().1.len(), 1);
    let error = take(with(good(), text(["0.5", "0.1;0.2"])), &named).unwrap_err().to_string();
    assert!(error.contains("row 2: s `0.1;0.2` is not a number"), "{error}");
    let dictionary: DictionaryArray<Int32Type> = [x.as_str(), y.as_str()].into_iter().collect();
    for alternates in [
        Arc::new(dictionary) as ArrayRef,
        Arc::new(LargeStringArray::from(vec![x.as_str(), y.as_str()])),
        Arc::new(StringViewArray::from(vec![x.as_str(), y.as_str()])),
    ] {
        let table = with(key(numbers([700.0, 701.0]), alternates), numbers([0.5, 0.25]));
        assert_eq!(take(table, &default).unwrap().1, expected);
    }

    // Lists of alternates, and of scores.
    let alternates = |lists: &[&[&str]]| {
        let mut builder = arrow::array::ListBuilder::new(arrow::array::StringBuilder::new());
        for list in lists {
            list.iter().for_each(|text| builder.values().append_value(text));
            builder.append(true);
        }
        Arc::new(builder.finish()) as ArrayRef
    };
    let scores = |lists: [&[f64]; 2]| {
        let lists = lists.map(|list| Some(list.iter().map(|value| Some(*value)).collect::<Vec<_>>()));
        Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(lists)) as ArrayRef
    };
    let places = || numbers([700.0, 701.0]);
    let one = alternates(&[&[&x], &[&y]]);
    assert_eq!(take(with(key(places(), one.clone()), numbers([0.5, 0.25])), &default).unwrap().1, expected);
    assert_eq!(take(with(key(places(), one), scores([&[0.5], &[0.25]])), &named).unwrap().1, expected);
    let several = alternates(&[&[&x], &[&y, "<DEL>"]]);
    let rows = take(with(key(places(), several.clone()), scores([&[0.5], &[0.25, 1.0]])), &named).unwrap().1;
    assert_eq!((&rows[..1], rows.len()), (&expected[..1], 3));
    assert!(rows.contains(&expected[1]));
    let error =
        take(with(key(places(), several.clone()), numbers([0.5, 0.25])), &default).unwrap_err().to_string();
    assert!(error.contains("row 2: s `0.25` is one score of several"), "{error}");
    let error =
        take(with(key(places(), several), scores([&[0.5], &[0.25]])), &named).unwrap_err().to_string();
    assert!(error.contains("row 2: s `1` values for 2 alternate alleles"), "{error}");

    // pandas' index is not a score; a missing allele is an error.
    let mut table = with(good(), numbers([0.5, 0.25]));
    table.push(("__index_level_0__", Arc::new(Int64Array::from(vec![0, 1]))));
    table.push(("half", Arc::new(Float32Array::from(vec![1.0, 2.0]))));
    assert_eq!(take(table, &default).unwrap().0.track.columns, ["s", "half"]);
    let missing = Arc::new(StringArray::from(vec![Some(x.as_str()), None])) as ArrayRef;
    let error = take(with(key(places(), missing), numbers([0.5, 0.25])), &default).unwrap_err().to_string();
    assert!(error.contains("row 2: alt `` is missing"), "{error}");
}

#[test]
fn standard_input_is_imported_as_the_file_is() {
    let sites = Sites::new();
    let (a, x) = sites.alleles(700);
    let text = format!("chrom\tpos\tref\talt\ts\n1\t700\t{a}\t{x}\t0.5\n");
    let file = sites.write("x.tsv", &text);
    let store = sites.store.root().to_owned();
    let mut started = command("import {} --track a - --quiet", &[&store])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    started.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let done = started.wait_with_output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(sites.rows("a"), [(700, x, vec![Some(0.5)])]);
    let source = sites.store.snapshot().unwrap().tracks[0].external.clone().unwrap().source;
    assert_eq!(source, vestore_schema::Digest::of(text.as_bytes()));
    // The same bytes under another name are the same track.
    let again = run("import {} --track b {} --quiet", &[&store, &file]);
    assert!(!again.status.success());
    assert!(
        String::from_utf8_lossy(&again.stderr).contains("`a`"),
        "{}",
        String::from_utf8_lossy(&again.stderr)
    );
}

#[test]
fn differing_duplicates_are_told_also_when_quiet() {
    let sites = Sites::new();
    let (a, x) = sites.alleles(700);
    let path = sites
        .write("x.tsv", &format!("chrom\tpos\tref\talt\ts\n1\t700\t{a}\t{x}\t0.1\n1\t700\t{a}\t{x}\t0.9\n"));
    let store = sites.store.root().to_owned();
    let done = run("import {} --track a {} --quiet", &[&store, &path]);
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{told}");
    assert!(
        told.contains(&format!("1 duplicate row differs in score (chr1-700-{a}-{x} has 0.1 and 0.9)")),
        "{told}"
    );
    let failed = run("import {} --track b {} --quiet --duplicates fail", &[&store, &path]);
    assert_eq!(failed.status.code(), Some(1));
}

/// The name of an output decides its format and compression, in every command that writes rows or records.
#[test]
fn names_of_outputs_keep_what_they_promise() {
    let sites = Sites::new();
    let (a, x) = sites.alleles(700);
    let table = sites.write("x.tsv", &format!("chrom\tpos\tref\talt\ts\n1\t700\t{a}\t{x}\t0.5\n"));
    sites.take("t", &table, &ImportOptions::default()).unwrap();
    let vcf = sites.write("in.vcf", &format!("##fileformat=VCFv4.2\nchr1\t700\t.\t{a}\t{x}\t.\t.\t.\n"));
    let store = sites.store.root().to_owned();
    let out = |name: &str| sites.folder.path().join(name);
    let text = |path: &Path| {
        let mut text = String::new();
        std::io::Read::read_to_string(
            &mut noodles::bgzf::io::Reader::new(fs::File::open(path).unwrap()),
            &mut text,
        )
        .unwrap_or_else(|error| panic!("{} is not BGZF: {error}", path.display()));
        text
    };
    let succeed = |words: &str, paths: &[&Path]| {
        let done = run(words, paths);
        assert!(done.status.success(), "{words}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    };
    let tsv = succeed("query {} --format tsv", &[&store]);
    for name in ["q.tsv.gz", "q.tsv.bgz", "q.TSV.GZ"] {
        succeed("query {} -o {}", &[&store, &out(name)]);
        assert_eq!(text(&out(name)), tsv, "{name}");
    }
    succeed("query {} -o {}", &[&store, &out("q.csv")]);
    assert_eq!(fs::read_to_string(out("q.csv")).unwrap(), tsv.replace('\t', ","));
    succeed("query {} -o {}", &[&store, &out("q.json.gz")]);
    assert!(text(&out("q.json.gz")).starts_with('['));
    succeed("query {} -o {}", &[&store, &out("q.vcf.bgz")]);
    assert!(text(&out("q.vcf.bgz")).contains("t_s=0.5"));
    succeed("export {} -o {}", &[&store, &out("e.vcf.bgz")]);
    assert!(text(&out("e.vcf.bgz")).contains("t_s=0.5") && out("e.vcf.bgz.tbi").exists());
    succeed("export {} -o {}", &[&store, &out("e.bedgraph.gz")]);
    assert!(text(&out("e.bedgraph.gz")).contains("chr1\t699\t700\t0.5\n"));
    succeed("annotate {} {} {}", &[&store, &vcf, &out("a.vcf.bgz")]);
    assert!(text(&out("a.vcf.bgz")).contains("t_s=0.5"));
    // Without an extension nothing is promised.
    succeed("query {} -o {}", &[&store, &out("table")]);
    assert_eq!(fs::read_to_string(out("table")).unwrap(), succeed("query {}", &[&store]));
    for (words, name, part) in [
        ("query {} -o {}", "q.tsv.zst", "cannot write `.zst` files"),
        ("export {} -o {}", "e.tsv.xz", "cannot write `.xz` files"),
        ("query {} -o {}", "q.parquet.gz", "compressed already"),
        ("query {} --format tsv -o {}", "q2.csv", "says csv, but --format is tsv"),
        ("export {} --format vcf -o {}", "e2.tsv", "says tsv, but --format is vcf"),
        ("query {} -o {}", "q.arrow.gz", "compressed already"),
        ("query {} -o {}", "q.bw", "no known extension; expected .tsv, .tab, .csv"),
        ("query {} -o {}", "q.bed", "no known extension"),
        ("query {} -o {}", "q.gz", "no known extension"),
        ("export {} -o {}", "e.csv", "no known extension; expected .tsv"),
        ("export {} -o {}", "e", "choose a format with --format"),
    ] {
        let done = run(words, &[&store, &out(name)]);
        let told = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.code() == Some(2) && told.contains(part), "{name}: {told}");
        assert!(!out(name).exists(), "{name}");
    }
}

/// One opener for all inputs: regions, variants, tables and the reference.
#[test]
fn marks_and_foreign_encodings_are_the_same_everywhere() {
    let sites = Sites::new();
    let (a, x) = sites.alleles(700);
    let table = format!("chrom\tpos\tref\talt\ts\n1\t700\t{a}\t{x}\t0.5\n");
    let marked = sites.write("marked.tsv", &format!("\u{feff}{table}"));
    sites.take("t", &marked, &ImportOptions::default()).unwrap();
    let store = sites.store.root().to_owned();
    let bed = sites.write("in.bed", "\u{feff}chr1\t699\t700\n");
    assert_eq!(String::from_utf8(run("query {} --bed {} --count", &[&store, &bed]).stdout).unwrap(), "1\n");
    let vcf = sites.write("in.vcf", &format!("\u{feff}chr1\t700\t.\t{a}\t{x}\n"));
    assert_eq!(
        String::from_utf8(run("query {} --variants {} --count", &[&store, &vcf]).stdout).unwrap(),
        "1\n"
    );
    let fasta = sites.write("marked.fa", "\u{feff}>c\nACGT\nAC\n");
    let mut reference = vestore::Reference::open(&fasta).unwrap();
    let region = vestore_schema::Region { contig: 0, start: 3, end: 6 };
    assert_eq!(reference.fetch(region).unwrap(), b"TAC");
    // The index that was written beside it is understood again.
    assert_eq!(vestore::Reference::open(&fasta).unwrap().fetch(region).unwrap(), b"TAC");

    let wide = sites.folder.path().join("wide");
    let units: Vec<u8> = table.encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(&wide, &units).unwrap();
    let xz = sites.folder.path().join("x.xz");
    fs::write(&xz, b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46\0\0\0\0").unwrap();
    for words in ["import {} --track u {}", "query {} --bed {}", "query {} --variants {}", "annotate {} {} -"]
    {
        for (path, part) in
            [(&wide, "encoded as UTF-16; convert it: `iconv"), (&xz, "compressed with xz; decompress it")]
        {
            let done = run(words, &[&store, path]);
            let told = String::from_utf8_lossy(&done.stderr).into_owned();
            assert!(done.status.code() == Some(1) && told.contains(part), "{words}: {told}");
        }
    }
    let error = vestore::Reference::open(&xz).unwrap_err().to_string();
    assert!(error.contains("is compressed with xz"), "{error}");
}

/// A header line that holds `IDX=` in quotes numbers nothing; blocks of a gVCF end nothing.
#[test]
fn records_that_state_no_reference_are_counted() {
    let sites = Sites::new();
    let (a, x) = sites.alleles(700);
    let text = format!(
        "##fileformat=VCFv4.2\n##INFO=<ID=s,Number=A,Type=Float,Description=\"\">\n\
         #CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\nchr1\t650\t.\t.\t<*>\t.\t.\tEND=660\n\
         chr1\t660\t.\t.\t<NON_REF>\t.\t.\tEND=670\nchr1\t700\t.\t{a}\t{x}\t.\t.\ts=0.5\n"
    );
    let vcf = sites.write("g.vcf", &text);
    let done = sites.take("t", &vcf, &ImportOptions::default()).unwrap();
    assert_eq!((done.rows, done.report.rejected(Rejection::MissingReference)), (1, 2));
    let mut report = vestore::Report::new();
    let mut reference = vestore::Reference::open(sites.store.reference()).unwrap();
    let options = vestore::PlanOptions::default();
    let plan = vestore::Plan::read(
        vestore::VariantSource::open(&vcf).unwrap(),
        &mut reference,
        sites.store.assembly(),
        &options,
        &mut report,
    )
    .unwrap();
    assert_eq!((plan.len(), report.rejected(Rejection::MissingReference)), (1, 2));
    assert_eq!(
        String::from_utf8(run("query {} --variants {} --count", &[sites.store.root(), &vcf]).stdout).unwrap(),
        "1\n"
    );
}
