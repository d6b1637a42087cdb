//! The recipes of README.md that read a store without vestore, run as they stand there, on a store with two
//! tracks of different score kinds and a contig whose name is no plain word.

use std::fs;

use arrow::ipc::reader::FileReader;
use vestore::{Format, QueryPlan, Request, Store, write_rows};
use vestore_schema::Region;

use crate::programs::workspace;
use crate::store::{answer, random_store};
use crate::store_export::python;

/// The code under "Read it elsewhere" in `language` that contains `word`, with the store at `store`.
fn recipe(language: &str, word: &str, store: &Store) -> String {
    let readme = fs::read_to_string(workspace().join("README.md")).unwrap();
    let section = readme.split("\n## ").find(|section| section.starts_with("Read it elsewhere")).unwrap();
    let open = format!("```{language}\n");
    let mut blocks = section.split(&open).skip(1).map(|rest| rest.split("```").next().unwrap());
    let block = blocks.find(|block| block.contains(word)).unwrap();
    assert!(block.contains("\"genome.vestore/") || block.contains("'genome.vestore/"), "{block}");
    block.replace("genome.vestore", store.root().to_str().unwrap())
}

/// How many rows a contig with a difficult name has in 1-based 1000-9000, and how many all have.
fn counts(store: &Store) -> (usize, usize) {
    let region = Request { regions: vec![Region { contig: 1, start: 999, end: 9000 }], ..Request::default() };
    (answer(store, &region).len(), answer(store, &Request::default()).len())
}

#[test]
fn duckdb_reads_as_the_readme_says() {
    let folder = tempfile::tempdir().unwrap();
    let (store, ..) = random_store(&folder.path().join("s"), 51);
    let recipe = recipe("sql", "read_parquet", &store);
    let place = "where contig = 'chr17' and position between 43044295 and 43125483";
    assert!(recipe.contains(place), "{recipe}");
    let here = recipe.replace(place, "where contig = 'HLA-A*01:01' and position between 1000 and 9000");
    let all = recipe.replace(place, "");
    let program = format!(
        "import duckdb\n\
         rows = duckdb.sql(\"\"\"{here}\"\"\")\n\
         print(len(rows.fetchall()), len(duckdb.sql(\"\"\"{all}\"\"\").fetchall()))\n\
         print(sorted(c for c in rows.columns if c in ('contig', 'track', 'llr', 'cosine')))\n"
    );
    if let Some(found) = python("duckdb", &program, &[]) {
        let (here, all) = counts(&store);
        assert_eq!(found, format!("{here} {all}\n['contig', 'cosine', 'llr', 'track']\n"));
    }
}

#[test]
fn polars_and_pyarrow_read_as_the_readme_says() {
    let folder = tempfile::tempdir().unwrap();
    let (store, ..) = random_store(&folder.path().join("s"), 52);
    let recipe = recipe("python", "polars", &store);
    let (here, all) = counts(&store);
    let line = |start: &str| recipe.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
    let program = format!(
        "import glob, polars\n\
         rows = {}.collect()\n\
         here = rows.filter((polars.col('contig') == 'HLA-A*01:01') & polars.col('position').is_between(1000, 9000))\n\
         print(len(here), len(rows), 'llr' in rows.columns and 'cosine' in rows.columns)\n",
        line("polars.")
    );
    if let Some(found) = python("polars", &program, &[]) {
        assert_eq!(found, format!("{here} {all} True\n"));
    }
    let program = format!(
        "import pyarrow, pyarrow.dataset\n\
         {}\n\
         rows = rows.to_table().to_pylist()\n\
         print('llr' in rows[0] and 'cosine' in rows[0])\n\
         print(sum(row['contig'] == 'HLA-A*01:01' and 1000 <= row['position'] <= 9000 for row in rows), len(rows))\n",
        recipe.lines().filter(|line| line.starts_with("rows = ")).collect::<Vec<_>>().join("\n")
    );
    if let Some(found) = python("pyarrow.dataset", &program, &[]) {
        assert_eq!(found, format!("True\n{here} {all}\n"));
    }
}

#[test]
fn spark_reads_as_the_readme_says() {
    let folder = tempfile::tempdir().unwrap();
    let (store, ..) = random_store(&folder.path().join("s"), 53);
    let recipe = recipe("python", "spark.read", &store);
    let recipe = recipe.replace("\nspark.read", "\nrows = spark.read");
    let program = format!(
        "from pyspark.sql import SparkSession\n\
         spark = SparkSession.builder.master('local[1]').config('spark.ui.enabled', 'false').getOrCreate()\n\
         {recipe}\n\
         here = rows.filter(\"contig = 'HLA-A*01:01' and position between 1000 and 9000\").count()\n\
         print(here, rows.count(), 'llr' in rows.columns and 'cosine' in rows.columns)\n"
    );
    if let Some(found) = python("pyspark", &program, &[]) {
        let (here, all) = counts(&store);
        assert_eq!(found.lines().last(), Some(&*format!("{here} {all} True")));
    }
}

#[test]
fn an_arrow_export_is_opened_by_others() {
    let folder = tempfile::tempdir().unwrap();
    let (store, ..) = random_store(&folder.path().join("s"), 54);
    let plan = QueryPlan::new(&store, &Request::default()).unwrap();
    let path = folder.path().join("x.arrow");
    write_rows(Format::ArrowFile, plan.schema(), plan.rows(), fs::File::create(&path).unwrap()).unwrap();
    let (here, all) = counts(&store);
    let reader = FileReader::try_new(fs::File::open(&path).unwrap(), None).unwrap();
    assert_eq!(reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), all);
    let where_ = "contig = 'HLA-A*01:01' and position between 1000 and 9000";
    let programs = [
        (
            "polars",
            "import polars as pl, sys\n\
             rows = pl.scan_ipc(sys.argv[1]).collect()\n\
             some = rows.filter((pl.col('contig') == 'HLA-A*01:01') & pl.col('position').is_between(1000, 9000))\n\
             print(len(some), len(rows))\n"
                .to_owned(),
        ),
        (
            "duckdb, pyarrow",
            format!(
                "import duckdb, sys\n\
                 import pyarrow.ipc as ipc\n\
                 rows = ipc.open_file(sys.argv[1]).read_all()\n\
                 count = lambda text: duckdb.sql('select count(*) from rows ' + text).fetchall()[0][0]\n\
                 print(count(\"where {where_}\"), count(''))\n"
            ),
        ),
    ];
    for (module, program) in programs {
        if let Some(found) = python(module, &program, &[&path]) {
            assert_eq!(found, format!("{here} {all}\n"), "{module}");
        }
    }
}
