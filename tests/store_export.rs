//! Exports, read back by other programs where they are installed.

#![expect(clippy::print_stderr, reason = "what is skipped is said")]

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use vestore::{
    Format, PositionValue, QueryPlan, Request, Store, TextFormat, index_ending, write_bedgraph, write_bigwig,
    write_hive, write_indexed_text, write_rows, write_text,
};
use vestore_schema::{Position, Region};

use crate::store::{answer, random_store};

/// Runs a Python program when the interpreter has `module`; says so and gives `None` when not.
/// `$VESTORE_PYTHON` names another interpreter.
pub(crate) fn python(module: &str, program: &str, paths: &[&Path]) -> Option<String> {
    let interpreter = std::env::var_os("VESTORE_PYTHON").unwrap_or_else(|| "python3".into());
    let has = Command::new(&interpreter).args(["-c", &format!("import {module}")]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: python3 has no {module}");
        return None;
    }
    let output = Command::new(&interpreter).arg("-c").arg(program).args(paths).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Runs a program in R where the packages that it names are installed; says so and gives `None` where not.
pub(crate) fn r(program: &str) -> Option<String> {
    let packages = ["DBI", "arrow", "dplyr", "duckdb"];
    let needed: Vec<&str> = packages.into_iter().filter(|package| program.contains(package)).collect();
    let check = "quit(status = !all(sapply(commandArgs(TRUE), requireNamespace, quietly = TRUE)))";
    let has = Command::new("Rscript").args(["-e", check]).args(&needed).output();
    if !has.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no Rscript with {needed:?}");
        return None;
    }
    // A recipe may start the command `vestore`.
    let programs = crate::programs::vestore().parent().unwrap().to_owned();
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([programs].into_iter().chain(std::env::split_paths(&inherited))).unwrap();
    let output = Command::new("Rscript").args(["-e", program]).env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Runs an installed program; says so and gives `None` when it is not there.
pub(crate) fn tool(name: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(name).args(arguments).output() {
        Err(_) => {
            eprintln!("skipped: {name} is not installed");
            None
        }
        Ok(output) => {
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            Some(String::from_utf8(output.stdout).unwrap())
        }
    }
}

fn plan(store: &Store, track: Option<&str>) -> QueryPlan {
    let tracks = track.map(str::to_owned).into_iter().collect();
    QueryPlan::new(store, &Request { tracks, ..Request::default() }).unwrap()
}

#[test]
fn text_exports_are_the_same_compressed_and_tabix_finds_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    let (store, ..) = random_store(&folder.path().join("s"), 41);
    let plan = plan(&store, None);
    for (format, name) in [(TextFormat::Tsv, "x.tsv.gz"), (TextFormat::Vcf, "x.vcf.gz")] {
        let mut text = Vec::new();
        write_text(format, &plan, &mut text).unwrap();
        let path = folder.path().join(name);
        let index = write_indexed_text(format, &plan, File::create(&path).unwrap()).unwrap();
        assert_eq!(index_ending(store.assembly()), ".tbi");
        fs::write(folder.path().join(format!("{name}.tbi")), index).unwrap();
        let unzipped = tool("gzip", &["-dc", path.to_str().unwrap()]).unwrap();
        let text = String::from_utf8(text).unwrap();
        if format == TextFormat::Tsv {
            assert!(text.starts_with("contig\tposition\treference\talternate\t"), "{text:.500}");
            assert_eq!(unzipped, format!("#{text}"));
        } else {
            assert_eq!(unzipped, text);
            assert!(
                text.lines().any(|line| line.starts_with("##") && line.contains("second.d")),
                "{text:.500}"
            );
        }
        let wanted: Vec<&str> = text
            .lines()
            .filter(|line| {
                let cells: Vec<&str> = line.split('\t').collect();
                let inside = |text: &str| text.parse::<u32>().is_ok_and(|at| (5001..=6000).contains(&at));
                cells[0] == "2" && inside(cells[1])
            })
            .collect();
        assert!(wanted.len() > 5);
        if let Some(found) = tool("tabix", &[path.to_str().unwrap(), "2:5001-6000"]) {
            let starts = |line: &&str| {
                let position: u32 = line.split('\t').nth(1).unwrap().parse().unwrap();
                (5001..=6000).contains(&position) // tabix also gives deletions that reach into the region
            };
            assert_eq!(found.lines().filter(starts).collect::<Vec<_>>(), wanted);
        }
        if format == TextFormat::Vcf
            && let Some(found) =
                tool("bcftools", &["view", "-H", "-r", "2:5001-6000", path.to_str().unwrap()])
        {
            let starts = |line: &&str| {
                let position: u32 = line.split('\t').nth(1).unwrap().parse().unwrap();
                (5001..=6000).contains(&position)
            };
            assert_eq!(found.lines().filter(starts).count(), wanted.len());
        }
    }
}

/// Contig name, position and value of every position of track `first`.
fn expected(store: &Store, mean: bool) -> Vec<(String, Position, f32)> {
    let rows = answer(store, &Request { tracks: vec!["first".into()], ..Request::default() });
    let mut expected: Vec<(String, Position, Vec<f32>)> = Vec::new();
    for (variant, _, scores, _) in rows {
        let Some(llr) = scores[0] else { continue };
        let name = store.assembly().contig(variant.contig).name.clone();
        match expected.last_mut() {
            Some((contig, position, values)) if (&*contig, *position) == (&name, variant.position) => {
                values.push(llr);
            }
            _ => expected.push((name, variant.position, vec![llr])),
        }
    }
    let value = |values: &[f32]| {
        if mean {
            (values.iter().copied().map(f64::from).sum::<f64>() / values.len() as f64) as f32
        } else {
            values.iter().copied().reduce(|a, b| if b.abs() > a.abs() { b } else { a }).unwrap()
        }
    };
    expected.into_iter().map(|(contig, position, values)| (contig, position, value(&values))).collect()
}

#[test]
fn bedgraph_and_bigwig_hold_one_value_per_position() {
    let folder = tempfile::tempdir().unwrap();
    let (store, ..) = random_store(&folder.path().join("s"), 42);
    let plan = plan(&store, Some("first"));
    for (value, mean) in [(PositionValue::Extreme, false), (PositionValue::Mean, true)] {
        let expected = expected(&store, mean);
        let mut text = Vec::new();
        write_bedgraph(&plan, "llr", value, &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("# ") && text.contains("\"name\":\"first\""));
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines.len(), expected.len());
        for (line, (contig, position, value)) in lines.iter().zip(&expected) {
            let cells: Vec<&str> = line.split('\t').collect();
            assert_eq!(
                (cells[0], cells[1].parse(), cells[2].parse()),
                (&**contig, Ok(position.zero_based()), Ok(position.one_based()))
            );
            assert_eq!(cells[3].parse(), Ok(*value));
        }
        let path = folder.path().join("x.bw");
        write_bigwig(&plan, "llr", value, File::create(&path).unwrap()).unwrap();
        let program = "import pybigtools, sys\n\
            file = pybigtools.open(sys.argv[1])\n\
            for contig in ('1', 'HLA-A*01:01', '2'):\n\
            \x20   for start, end, value in file.records(contig):\n\
            \x20       for at in range(start, end): print(contig, at, repr(value))\n\
            print('sum', file.info()['summary']['sum'])\n\
            for level in file.zooms():\n\
            \x20   total = sum(row[2]['sum'] for c in ('1', 'HLA-A*01:01', '2') for row in file.zoom_records(level, c))\n\
            \x20   print('zoom', level, total)\n";
        let Some(found) = python("pybigtools", program, &[&path]) else { continue };
        let mut lines = found.lines();
        for (contig, position, value) in &expected {
            let cells: Vec<&str> = lines.next().unwrap().split(' ').collect();
            assert_eq!((cells[0], cells[1].parse()), (&**contig, Ok(position.zero_based())));
            assert_eq!(cells[2].parse::<f64>().unwrap() as f32, *value);
        }
        let sum: f64 = expected.iter().map(|(.., value)| f64::from(*value)).sum();
        let sums: Vec<f64> = lines.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
        assert!(sums.len() >= 3, "{found:.300}");
        assert!(sums.iter().all(|found| (found - sum).abs() < 0.5), "{sums:?} are not {sum}");
    }
}

#[test]
fn folders_and_files_are_read_by_others_with_all_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _, model) = random_store(&folder.path().join("s"), 43);
    let plan = plan(&store, None);
    let hive = folder.path().join("hive");
    assert_eq!(write_hive(&plan, &[], &hive).unwrap(), model.len() as u64);
    let arrow = folder.path().join("x.arrow");
    write_rows(Format::ArrowFile, plan.schema(), plan.rows(), File::create(&arrow).unwrap()).unwrap();
    let parquet = folder.path().join("x.parquet");
    write_rows(Format::Parquet, plan.schema(), plan.rows(), File::create(&parquet).unwrap()).unwrap();
    let region = Request { regions: vec![Region { contig: 1, start: 999, end: 9000 }], ..Request::default() };
    let told = format!("{} {}", model.len(), answer(&store, &region).len());
    let scores = store.root().join("scores");
    for place in [&scores, &hive] {
        let duckdb = "import duckdb, sys\n\
            rows = f\"read_parquet('{sys.argv[1]}/**/*.parquet', hive_partitioning=true, hive_types_autocast=0, union_by_name=true)\"\n\
            count = lambda where: duckdb.sql(f'select count(*) from {rows} {where}').fetchall()[0][0]\n\
            print(count(''), count(\"where contig = 'HLA-A*01:01' and position between 1000 and 9000\"))\n";
        if let Some(found) = python("duckdb", duckdb, &[place]) {
            assert_eq!(found.trim(), told, "duckdb, {}", place.display());
        }
        let polars = "import polars as pl, sys\n\
            rows = pl.scan_parquet(sys.argv[1] + '/**/*.parquet', hive_partitioning=True, missing_columns='insert', extra_columns='ignore')\n\
            some = rows.filter((pl.col('contig') == 'HLA-A*01:01') & pl.col('position').is_between(1000, 9000))\n\
            print(rows.select(pl.len()).collect().item(), some.select(pl.len()).collect().item())\n";
        if let Some(found) = python("polars", polars, &[place]) {
            assert_eq!(found.trim(), told, "polars, {}", place.display());
        }
        let pyarrow = "import pyarrow.dataset as ds, pyarrow.compute as pc, sys\n\
            rows = ds.dataset(sys.argv[1], partitioning=ds.partitioning(flavor='hive'))\n\
            where = (pc.field('contig') == 'HLA-A*01:01') & (pc.field('position') >= 1000) & (pc.field('position') <= 9000)\n\
            print(rows.count_rows(), rows.count_rows(filter=where))\n";
        if let Some(found) = python("pyarrow.dataset", pyarrow, &[place]) {
            assert_eq!(found.trim(), told, "pyarrow, {}", place.display());
        }
    }
    let metadata = "import pyarrow.ipc as ipc, pyarrow.parquet as pq, sys\n\
        tables = [ipc.open_file(sys.argv[1]).read_all(), pq.read_table(sys.argv[2])]\n\
        for table in tables: print(table.num_rows, b'second.d' in table.schema.metadata[b'vestore.tracks'])\n";
    if let Some(found) = python("pyarrow", metadata, &[&arrow, &parquet]) {
        let line = format!("{} True\n", model.len());
        assert_eq!(found, line.repeat(2));
    }
}
