//! Annotation of VCF against a plain map: every value right, every other byte kept.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use vestore::{
    Allele, AnnotateError, Normalized, QueryPlan, RefMismatch, Reference, Request, ScoreRow, Store,
    VariantForm, annotate, normalize,
};
use vestore_schema::{Status, Track, Variant};

use crate::support::ScoreKind;

use crate::store_export::tool;
use crate::support::{Random, genome_store, run, track, write};

type Model = BTreeMap<(Variant, usize), Vec<Option<f32>>>;

/// Scores of most SNVs and some indels of `chr1`, of two tracks, in several segments.
fn scores(store: &Store, bases: &[u8], tracks: &[Track]) -> Model {
    let mut random = Random(3);
    let mut model = Model::new();
    let mut writer = store.writer("test").unwrap();
    let mut reference = Reference::open(store.reference()).unwrap();
    for (which, track) in tracks.iter().enumerate() {
        writer.put_track(track).unwrap();
        for number in 0..3 {
            let mut rows: BTreeMap<Variant, ScoreRow> = BTreeMap::new();
            for position in 1000..5000_usize {
                for _ in 0..6 {
                    let length = if random.below(4) == 0 { 1 + random.below(3) as usize } else { 1 };
                    let old = std::str::from_utf8(&bases[position..position + length]).unwrap();
                    let new: String = (0..=random.below(9) / 8 * 2)
                        .map(|_| b"ACGT"[random.below(4) as usize] as char)
                        .collect();
                    let allele =
                        Allele { contig: 0, one_based: position as u64 + 1, reference: old, alternate: &new };
                    let Normalized::Row { variant, status: None, .. } =
                        normalize(allele, &mut reference).unwrap()
                    else {
                        continue;
                    };
                    if model.contains_key(&(variant.clone(), which)) {
                        continue;
                    }
                    let value =
                        |_| (random.below(5) > 0).then(|| random.below(2_000_000) as f32 / 1e5 - 10.0);
                    let values = track.columns.iter().map(value).collect();
                    rows.insert(variant.clone(), ScoreRow { variant, values, status: Status::Scored });
                }
            }
            let rows: Vec<ScoreRow> = rows.into_values().collect();
            let segment = write(&mut writer, track, &rows);
            writer.commit(&[segment], &run(number, track)).unwrap();
            model.extend(rows.into_iter().map(|row| ((row.variant, which), row.values)));
        }
    }
    model
}

fn shortest(value: f32) -> String {
    if value != 0.0 && value.abs() < 1e-4 { format!("{value:e}") } else { value.to_string() }
}

/// Lines of a VCF, and the same as they should be annotated.
fn lines(
    random: &mut Random,
    bases: &[u8],
    store: &Store,
    tracks: &[Track],
    model: &Model,
) -> (String, String) {
    let mut reference = Reference::open(store.reference()).unwrap();
    let (mut before, mut after) = (String::new(), String::new());
    for _ in 0..3000 {
        let at = random.below(5900) as usize;
        let contig =
            ["chr1", "1", "Chr1", "nowhere"][random.below(9).min(3).saturating_sub(random.below(4)) as usize];
        let length = 1 + random.below(8) as usize / 5;
        let mut old = std::str::from_utf8(&bases[at..at + length]).unwrap().to_owned();
        if random.below(10) == 0 {
            old.make_ascii_lowercase();
        }
        let alternates: Vec<String> = (0..=random.below(6) / 4)
            .map(|_| match random.below(30) {
                0 => "*".to_owned(),
                1 => "<DEL>".to_owned(),
                2 => format!("{old}ACG"),
                3 => "G]17:198982]".to_owned(),
                _ => (b"ACGT"[random.below(4) as usize] as char).to_string(),
            })
            .collect();
        let info = [".", "DP=3", "DP=3;AF=0.10", "X=1.50;FLAG"][random.below(4) as usize];
        let rest = ["", "\tGT:GQ\t0|1:3\t./.:.", "\tGT\t1/1\t0/1"][random.below(3) as usize];
        let ending = if random.below(20) == 0 { "\r\n" } else { "\n" };
        let begin = format!("{contig}\t{}\trs1;x\t{old}\t{}\t1e3\tq10", at + 1, alternates.join(","));
        write!(before, "{begin}\t{info}{rest}{ending}").unwrap();
        let mut added = Vec::new();
        for (which, track) in tracks.iter().enumerate() {
            for (column, name) in track.columns.iter().enumerate() {
                let values: Vec<String> = alternates
                    .iter()
                    .map(|alternate| {
                        let allele =
                            Allele { contig: 0, one_based: at as u64 + 1, reference: &old, alternate };
                        let variant = match normalize(allele, &mut reference).unwrap() {
                            Normalized::Row { variant, status: None, .. } if contig != "nowhere" => variant,
                            _ => return ".".to_owned(),
                        };
                        let values = model.get(&(variant, which));
                        values.and_then(|values| values[column]).map_or_else(|| ".".to_owned(), shortest)
                    })
                    .collect();
                added.push(format!("{}_{name}={}", track.name.replace('-', "_"), values.join(",")));
            }
        }
        let added = added.join(";");
        let info = if info == "." { added } else { format!("{info};{added}") };
        write!(after, "{begin}\t{info}{rest}{ending}").unwrap();
    }
    (before, after)
}

const HEADER: &str = "##fileformat=VCFv4.2\n##INFO=<ID=DP,Number=1,Type=Integer,Description=\"depth\">\n";
const NAMES: &str = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb\n";

#[test]
fn values_are_right_and_every_other_byte_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = genome_store(folder.path());
    let tracks = [track("a-first", ScoreKind::Llr), track("second", ScoreKind::LlrGrid)];
    let model = scores(&store, &bases, &tracks);
    let plan = QueryPlan::new(&store, &Request::default()).unwrap();
    let mut random = Random(8);
    let (before, after) = lines(&mut random, &bases, &store, &tracks, &model);
    let path = folder.path().join("in.vcf");
    fs::write(&path, format!("{HEADER}{NAMES}{before}")).unwrap();
    let mut text = Vec::new();
    let annotated = annotate(&plan, &path, None, RefMismatch::Skip, &mut text).unwrap();
    assert_eq!(annotated.records, 3000);
    assert!(annotated.found > 500 && annotated.unknown_contigs > 50, "{annotated:?}");
    let text = String::from_utf8(text).unwrap();
    let rest = text.strip_prefix(HEADER).unwrap();
    let (declared, records) = rest.split_once(NAMES).unwrap();
    assert_eq!(declared.lines().count(), 4);
    let first = "##INFO=<ID=a_first_llr,Number=A,Type=Float,Description=\"llr of track a-first (id ";
    assert!(declared.starts_with(first), "{declared}");
    assert!(declared.contains(&tracks[0].id.to_string()) && declared.contains("model model"));
    for (record, expected) in records.split_inclusive('\n').zip(after.split_inclusive('\n')) {
        assert_eq!(record, expected);
    }
    assert_eq!(records.len(), after.len());

    // The same, compressed and without its last line end.
    let plain = folder.path().join("plain.vcf");
    fs::write(&plain, format!("{HEADER}{NAMES}{}", before.trim_end())).unwrap();
    let mut text = Vec::new();
    annotate(&plan, &plain, Some(VariantForm::Vcf), RefMismatch::Skip, &mut text).unwrap();
    assert!(String::from_utf8(text).unwrap().ends_with(after.trim_end()));
}

#[test]
fn fields_that_are_there_and_foreign_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = genome_store(folder.path());
    let tracks = [track("first", ScoreKind::LlrGrid)];
    scores(&store, &bases, &tracks);
    let plan = QueryPlan::new(&store, &Request::default()).unwrap();
    let path = folder.path().join("in.vcf");
    let refuse = |text: &str| {
        fs::write(&path, text).unwrap();
        annotate(&plan, &path, None, RefMismatch::Skip, std::io::sink()).unwrap_err()
    };
    let declared = "##INFO=<ID=first_llr_grid,Number=A,Type=Float,Description=\"\">\n";
    assert!(matches!(refuse(&format!("{HEADER}{declared}{NAMES}")), AnnotateError::FieldTaken { .. }));
    let error = refuse(&format!("{HEADER}{NAMES}z\t1\t.\tA\tC\t.\t.\t.\n")).to_string();
    assert!(error.contains("no record is on a contig") && error.contains("`z`"), "{error}");
    let error =
        refuse(&format!("{HEADER}{NAMES}1\t5\t.\tA\tC\t.\t.\t.\n1\tx\t.\tA\tC\t.\t.\t.\n")).to_string();
    assert!(error.contains("line 5") && error.contains("`x`"), "{error}");
    assert!(refuse("1\t5\t.\tA\n").to_string().contains("line 1"));
    let vcf = fs::write(&path, format!("{HEADER}{NAMES}")).map(|()| path.as_path()).unwrap();
    let error = annotate(&plan, vcf, Some(VariantForm::Bcf), RefMismatch::Skip, std::io::sink())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("is VCF, and the output is to be BCF") && error.contains("bcftools view"),
        "{error}"
    );
}

/// Files of Borzoi have seven columns, those of GPN and LOGO five and no header.
#[test]
fn records_get_the_columns_that_they_lack() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = genome_store(folder.path());
    let tracks = [track("first", ScoreKind::LlrGrid)];
    let model = scores(&store, &bases, &tracks);
    let plan = QueryPlan::new(&store, &Request::default()).unwrap();
    let path = folder.path().join("in.vcf");
    let ((variant, _), values) = model.iter().find(|((_, _), values)| values[0].is_some()).unwrap();
    let (at, old, new) = (variant.position.one_based(), &variant.reference, &variant.alternate);
    let value = format!("first_llr_grid={}", shortest(values[0].unwrap()));
    let annotated = |text: &str| {
        fs::write(&path, text).unwrap();
        let mut out = Vec::new();
        annotate(&plan, &path, None, RefMismatch::Skip, &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        let (start, rest) = out.split_once("##INFO=<ID=first_llr_grid").unwrap();
        (start.to_owned(), rest.split_once('\n').unwrap().1.to_owned())
    };
    for (columns, filled) in [("", "\t.\t.\t"), ("\t9", "\t9\t.\t"), ("\t9\tPASS", "\t9\tPASS\t")] {
        let (start, rest) =
            annotated(&format!("1\t{at}\tx\t{old}\t{new}{columns}\r\n1\t7\tx\tN\t.{columns}"));
        assert_eq!(
            (start.as_str(), rest),
            ("", format!("1\t{at}\tx\t{old}\t{new}{filled}{value}\r\n1\t7\tx\tN\t.{filled}."))
        );
    }
    let names = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER";
    let (start, rest) =
        annotated(&format!("\u{feff}##fileformat=VCFv4.2\n{names}\n1\t{at}\tx\t{old}\t{new}\t.\t.\n"));
    assert_eq!(start, "\u{feff}##fileformat=VCFv4.2\n", "a byte order mark stays");
    assert_eq!(rest, format!("{names}\tINFO\n1\t{at}\tx\t{old}\t{new}\t.\t.\t{value}\n"));
}

#[test]
fn a_field_that_stands_in_a_record_undeclared_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = genome_store(folder.path());
    scores(&store, &bases, &[track("first", ScoreKind::LlrGrid)]);
    let plan = QueryPlan::new(&store, &Request::default()).unwrap();
    let path = folder.path().join("in.vcf");
    let with = |header: &str, info: &str| {
        fs::write(
            &path,
            format!("{HEADER}{header}{NAMES}1\t5\t.\tA\tC\t.\t.\tDP=3\n1\t6\t.\tA\tC\t.\t.\t{info}\n"),
        )
        .unwrap();
        annotate(&plan, &path, None, RefMismatch::Skip, std::io::sink())
    };
    for info in
        ["first_llr_grid=9", "DP=1;first_llr_grid", "first_llr_grid;DP=1", "DP=1;first_llr_grid=1,2;X"]
    {
        let error = with("", info).unwrap_err().to_string();
        assert!(error.contains("line 5: INFO already has `first_llr_grid`"), "{error}");
    }
    for info in ["first_llr_grid2=9", "xfirst_llr_grid=9", "X=first_llr_grid", "."] {
        with("", info).unwrap();
    }
    let declared = "##INFO=<Number=1,Type=Float,Description=\"a, ID=x\",ID=first_llr_grid>\n";
    assert!(matches!(with(declared, "."), Err(AnnotateError::FieldTaken { .. })));
    with("##INFO=<ID=x,Number=1,Type=String,Description=\"<ID=first_llr_grid,\">\n", ".").unwrap();
}

/// Every byte but the added fields stays, in all files of the data folder.
#[test]
fn real_files_keep_every_other_byte() {
    let folder = crate::programs::workspace().join("../shared/data");
    let fasta = folder.join("genome/GRCh38.mini.fa.gz");
    if !fasta.exists() {
        eprintln!("skipped: {} is absent", fasta.display());
        return;
    }
    let made = tempfile::tempdir().unwrap();
    let assembly = Reference::open(&fasta).unwrap().survey().unwrap();
    let record = vestore_schema::StoreRecord {
        reference: fasta.to_str().unwrap().to_owned(),
        copied: false,
        assembly,
    };
    let store = Store::create(
        &made.path().join("store"),
        std::sync::Arc::new(vestore::Disk::new(&made.path().join("store"))),
        record,
    )
    .unwrap();
    let table = made.path().join("t.tsv");
    // One row that no file has: the fields are added everywhere.
    let contig = &store.assembly().contigs[0].name;
    fs::write(&table, format!("chrom\tpos\tref\talt\ts\n{contig}\t1\tN\tA\t1\n")).unwrap();
    let options = vestore::ImportOptions::default();
    vestore::import(&store, "zz", &table, &options, "test", |_| {}).unwrap();
    let plan = QueryPlan::new(&store, &Request::default()).unwrap();
    let mut files = 0;
    for place in ["vcf", "vcf/messy", "labelled"] {
        let Ok(entries) = folder.join(place).read_dir() else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if ![".vcf", ".vcf.gz"].iter().any(|ending| name.ends_with(ending)) {
                continue;
            }
            let mut out = Vec::new();
            if annotate(&plan, &path, None, RefMismatch::Skip, &mut out).is_err() {
                continue; // Of another assembly, or not a VCF.
            }
            let mut before = Vec::new();
            std::io::Read::read_to_end(
                &mut noodles::bgzf::io::Reader::new(fs::File::open(&path).unwrap()),
                &mut before,
            )
            .or_else(|_| fs::read(&path).map(|bytes| before = bytes).map(|()| 0))
            .unwrap();
            let after: Vec<u8> = out
                .split_inclusive(|byte| *byte == b'\n')
                .filter(|line| !line.starts_with(b"##INFO=<ID=zz_s,"))
                .flat_map(without_added)
                .collect();
            let lacking = before.split(|byte| *byte == b'\n').any(|line| {
                !line.is_empty() && line[0] != b'#' && memchr::memchr_iter(b'\t', line).count() < 7
            });
            if lacking {
                let plain = String::from_utf8(after).unwrap().replace("\t.\t.\t.", "");
                assert!(plain.as_bytes() == before, "{name}");
            } else {
                assert!(after == before, "{name}");
            }
            files += 1;
        }
    }
    assert!(files > 2, "{files} files were annotated");
}

/// A line without the field `zz_s`.
fn without_added(line: &[u8]) -> Vec<u8> {
    let Some(at) = memchr::memmem::find(line, b"zz_s=") else { return line.to_vec() };
    let end = at
        + line[at..].iter().position(|byte| matches!(byte, b'\t' | b'\n' | b'\r')).unwrap_or(line.len() - at);
    let (front, empty) = match line[at - 1] {
        b';' => (&line[..at - 1], ""),
        _ => (&line[..at], "."),
    };
    [front, empty.as_bytes(), &line[end..]].concat()
}

#[test]
fn bcftools_reads_what_was_annotated() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = genome_store(folder.path());
    let tracks = [track("first", ScoreKind::Llr)];
    let model = scores(&store, &bases, &tracks);
    let plan = QueryPlan::new(&store, &Request::default()).unwrap();
    let path = folder.path().join("in.vcf");
    let mut text = format!("{HEADER}##contig=<ID=chr1>\n{}", NAMES.replace("\tFORMAT\ta\tb", ""));
    for (variant, _) in model.keys() {
        let Variant { position, reference, alternate, .. } = variant;
        writeln!(text, "chr1\t{}\t.\t{reference}\t{alternate}\t.\t.\t.", position.one_based()).unwrap();
    }
    fs::write(&path, text).unwrap();
    let out = folder.path().join("out.vcf");
    let annotated = annotate(&plan, &path, None, RefMismatch::Skip, fs::File::create(&out).unwrap()).unwrap();
    // More rows than a batch of a segment holds, each asked for.
    assert!(store.all_segments().unwrap().iter().any(|segment| segment.rows > 9000));
    assert_eq!(annotated.found, model.len() as u64);
    let arguments = ["query", "-f", "%first_llr\n", out.to_str().unwrap()];
    if let Some(found) = tool("bcftools", &arguments) {
        let values: Vec<Option<f32>> = found.lines().map(|line| line.parse().ok()).collect();
        let expected: Vec<Option<f32>> = model.values().map(|values| values[0]).collect();
        assert_eq!(values.len(), expected.len());
        for (value, expected) in values.iter().zip(&expected) {
            let near = |a: f32, b: f32| (a - b).abs() <= b.abs() * 1e-5;
            assert!(*value == *expected || near(value.unwrap(), expected.unwrap()), "{value:?} {expected:?}");
        }
    }
}

/// BCF is VCF in other bytes: annotating it gives what annotating the VCF gives.
#[test]
fn annotated_bcf_is_the_annotated_vcf() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = genome_store(folder.path());
    let tracks = [track("a-first", ScoreKind::Llr), track("second", ScoreKind::LlrGrid)];
    let model = scores(&store, &bases, &tracks);
    let plan = QueryPlan::new(&store, &Request::default()).unwrap();
    let (records, _) = lines(&mut Random(12), &bases, &store, &tracks, &model);
    let declared = "##INFO=<ID=AF,Number=A,Type=Float,Description=\"AF, of them\">\n\
        ##INFO=<ID=X,Number=1,Type=Float,Description=\"IDX=3\">\n##INFO=<ID=FLAG,Number=0,Type=Flag,Description=\"f\">\n\
        ##FILTER=<ID=q10,Description=\"low\">\n##FORMAT=<ID=GT,Number=1,Type=String,Description=\"g\">\n\
        ##FORMAT=<ID=GQ,Number=1,Type=Integer,Description=\"q\">\n##FORMAT=<ID=second_llr_grid,Number=1,Type=Float,Description=\"same id\">\n";
    let contigs = "##contig=<ID=chr1>\n##contig=<ID=1>\n##contig=<ID=Chr1>\n##contig=<ID=nowhere>\n";
    let site_only: String = records
        .lines()
        .flat_map(|line| {
            let cells: Vec<&str> = line.trim_end().split('\t').take(8).collect();
            [cells.join("\t"), "\tGT:GQ\t0/1:3\t1/1:4\n".to_owned()]
        })
        .collect();
    let many = format!("chr1\t2001\t.\tA\t{}\t.\t.\t.\tGT\t0/0\t0/1\n", ["C", "G", "T"].repeat(6).join(","));
    let vcf = folder.path().join("in.vcf");
    fs::write(&vcf, format!("{HEADER}{declared}{contigs}{NAMES}{site_only}{many}")).unwrap();
    let bcf = folder.path().join("in.bcf");
    let convert = ["view", "-Ob", "-o", bcf.to_str().unwrap(), vcf.to_str().unwrap()];
    if tool("bcftools", &convert).is_none() {
        return;
    }
    // Both by way of bcftools, which writes numbers and missing INFO in its own way.
    let printed =
        |path: &std::path::Path| tool("bcftools", &["view", "--no-version", path.to_str().unwrap()]).unwrap();
    let roundtrip = folder.path().join("roundtrip.vcf");
    fs::write(&roundtrip, printed(&bcf)).unwrap();
    let (as_text, as_bcf) = (folder.path().join("out.vcf"), folder.path().join("out.bcf"));
    let from_text =
        annotate(&plan, &roundtrip, None, RefMismatch::Skip, fs::File::create(&as_text).unwrap()).unwrap();
    let from_bcf =
        annotate(&plan, &bcf, Some(VariantForm::Bcf), RefMismatch::Skip, fs::File::create(&as_bcf).unwrap())
            .unwrap();
    // Warnings name the file.
    let counts =
        |found: &vestore::Annotated| (found.records, found.alleles, found.found, found.unknown_contigs);
    assert_eq!(counts(&from_text), counts(&from_bcf));
    assert_eq!((from_text.warnings.len(), from_bcf.warnings.len()), (1, 1));
    assert!(from_bcf.found > 500 && from_bcf.records == 3001, "{from_bcf:?}");
    let records = |text: String| {
        text.lines().filter(|line| !line.starts_with("##")).map(str::to_owned).collect::<Vec<_>>()
    };
    let (text, bcf) = (printed(&as_text), printed(&as_bcf));
    let info = |text: &str| {
        text.lines().filter(|line| line.starts_with("##INFO")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(info(&text), info(&bcf));
    assert_eq!(records(text), records(bcf));
}
