//! The recipes of docs/read.md that read a store without vestore, run as they stand there, on a store with two
//! tracks of different score kinds and a contig whose name is not a plain word; and those of docs/regulatory.md.

use std::fmt::Write as _;
use std::fs;

use arrow::ipc::reader::FileReader;
use vestore::{Format, QueryPlan, Request, Store, write_hive, write_rows};
use vestore_schema::{Position, Region};

use crate::support::ScoreKind;

use crate::crash::unit;
use crate::effects::{commit, effect_track, names, random_rows};
use crate::programs::workspace;
use crate::store::{answer, random_store};
use crate::store_export::{python, r};
use crate::support::{Random, new_store, run, track, write};

/// The page of recipes.
fn page() -> String {
    fs::read_to_string(workspace().join("docs/read.md")).unwrap()
}

/// The code in `language` that contains `word`, with the store at `store`.
fn recipe(language: &str, word: &str, store: &Store) -> String {
    let page = page();
    let open = format!("```{language}\n");
    let mut blocks = page.split(&open).skip(1).map(|rest| rest.split("```").next().unwrap());
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
fn duckdb_reads_as_documented() {
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

/// The lines of a recipe from the first that is code.
fn code(recipe: &str) -> String {
    let lines: Vec<&str> = recipe.lines().filter(|line| !line.starts_with('#')).collect();
    lines.join("\n") + "\n"
}

#[test]
fn polars_reads_as_documented() {
    let folder = tempfile::tempdir().unwrap();
    let (store, ..) = random_store(&folder.path().join("s"), 52);
    let recipe = code(&recipe("python", "polars.concat", &store));
    let program = format!(
        "{recipe}rows = rows.collect()\n\
         here = rows.filter((polars.col('contig') == 'HLA-A*01:01') & polars.col('position').is_between(1000, 9000))\n\
         print(len(here), len(rows), 'llr' in rows.columns and 'cosine' in rows.columns)\n"
    );
    let (here, all) = counts(&store);
    if let Some(found) = python("polars", &program, &[]) {
        assert_eq!(found, format!("{here} {all} True\n"));
    }
}

#[test]
fn pyarrow_and_pandas_read_as_documented() {
    let folder = tempfile::tempdir().unwrap();
    let (store, ..) = random_store(&folder.path().join("s"), 55);
    let recipe = code(&recipe("python", "unify_schemas", &store));
    let (here, all) = counts(&store);
    let program = format!(
        "{}\n\
         rows = rows.to_table().to_pylist()\n\
         print('llr' in rows[0] and 'cosine' in rows[0])\n\
         print(sum(row['contig'] == 'HLA-A*01:01' and 1000 <= row['position'] <= 9000 for row in rows), len(rows))\n",
        recipe.lines().filter(|line| !line.starts_with("frame")).collect::<Vec<_>>().join("\n")
    );
    if let Some(found) = python("pyarrow.dataset", &program, &[]) {
        assert_eq!(found, format!("True\n{here} {all}\n"));
    }
    let program = format!(
        "{}print(((frame.position >= 1000) & (frame.position <= 9000)).sum(), 'llr' in frame, 'cosine' in frame)\n",
        recipe.replace("\"chr17\"", "\"HLA-A*01:01\"")
    );
    if let Some(found) = python("pandas, pyarrow.dataset", &program, &[]) {
        assert_eq!(found, format!("{here} True True\n"));
    }
}

#[test]
fn r_reads_as_documented() {
    let folder = tempfile::tempdir().unwrap();
    let (store, ..) = random_store(&folder.path().join("s"), 56);
    let (here, _) = counts(&store);
    let page = page();
    let recipes: Vec<&str> =
        page.split("```r\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(recipes.len(), 3);
    for recipe in recipes {
        assert!(recipe.contains("genome.vestore") && recipe.contains("chr17"), "{recipe}");
        let program = recipe
            .replace("genome.vestore", store.root().to_str().unwrap())
            .replace("chr17:43,044,295-43,125,483", "'HLA-A*01:01:1,000-9,000'")
            .replace("chr17", "HLA-A*01:01")
            .replace("43044295", "1000")
            .replace("43125483", "9000");
        let told = "cat(nrow(rows), class(rows$alternate), all(c('llr', 'cosine') %in% names(rows)))";
        if let Some(found) = r(&format!("{program}{told}")) {
            assert_eq!(found, format!("{here} character TRUE"), "{recipe}");
        }
    }
}

/// Names of contigs that look like numbers, and one that does not.
const CONTIGS: [&str; 3] = ["01", "2", "X"];

/// Rows by track and contig, of a store whose tracks have other columns, each row at a position of its own.
fn difficult_store(place: &std::path::Path) -> (Store, String) {
    let store = new_store(place, &CONTIGS);
    let mut writer = store.writer("test").unwrap();
    let mut wanted = String::new();
    for (name, kind, contigs) in
        [("a", ScoreKind::Llr, &[0, 1][..]), ("b", ScoreKind::Distance, &[0, 1, 2][..])]
    {
        let track = track(name, kind);
        writer.put_track(&track).unwrap();
        for contig in contigs {
            let rows = unit(u64::from(*contig), *contig, &track, 20 + contig);
            let segment = write(&mut writer, &track, &rows);
            writer.commit(&[segment], &run(1, &track)).unwrap();
            writeln!(wanted, "{name} {} {}", CONTIGS[*contig as usize], rows.len()).unwrap();
        }
    }
    drop(writer);
    (store, wanted)
}

/// What every program says of a frame or table `rows`, turned into one of pandas.
const COUNT: &str = "counts = frame.groupby(['track', 'contig'], observed=True).size()\n\
    print(''.join(f'{track} {contig} {count}\\n' for (track, contig), count in counts.items()), end='')\n\
    print(sorted(c for c in frame.columns if c in ('llr', 'cosine', 'track', 'contig')), frame.position.dtype)\n\
    first = frame.sort_values('position').position\n\
    print((first.iloc[0] - first.iloc[-1]) < 0, (first - first.iloc[-1]).max())\n";

#[test]
fn contigs_stay_text_positions_signed_and_no_column_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (store, wanted) = difficult_store(&folder.path().join("s"));
    let hive = folder.path().join("hive");
    let plan = QueryPlan::new(&store, &Request::default()).unwrap();
    write_hive(&plan, &[], &hive).unwrap();
    let wanted = format!("{wanted}['contig', 'cosine', 'llr', 'track'] int32\nTrue 0\n");
    let place = hive.to_str().unwrap();
    let sql = recipe("sql", "read_parquet", &store);
    let sql = sql.replace("where contig = 'chr17' and position between 43044295 and 43125483", "");
    let programs = [
        ("duckdb, pandas", format!("import duckdb\nframe = duckdb.sql(\"\"\"{sql}\"\"\").df()\n")),
        (
            "pandas, pyarrow.dataset",
            format!(
                "{}frame = rows.to_table().to_pandas()\n",
                code(&recipe("python", "unify_schemas", &store)).replace("frame =", "one =")
            ),
        ),
        (
            "polars, pandas, pyarrow",
            format!(
                "{}frame = rows.collect().to_pandas()\n",
                code(&recipe("python", "polars.concat", &store))
            ),
        ),
        // The export needs no care for columns.
        (
            "duckdb, pandas",
            format!(
                "import duckdb\nframe = duckdb.sql(\"from read_parquet('{place}/**/*.parquet', hive_partitioning=true, \
                 hive_types_autocast=0)\").df()\n"
            ),
        ),
        ("pandas, pyarrow.dataset", code(&export_recipe()).replace("(\"hive\"", &format!("(\"{place}\""))),
        (
            "polars, pandas, pyarrow",
            format!(
                "import polars\nframe = polars.read_parquet('{place}/**/*.parquet', hive_partitioning=True, \
                 hive_schema={{'track': polars.String, 'contig': polars.String}}).to_pandas()\n"
            ),
        ),
    ];
    for (modules, program) in programs {
        if let Some(found) = python(modules, &format!("{program}{COUNT}"), &[]) {
            assert_eq!(found, wanted, "{program}");
        }
    }
}

/// The code that reads an export.
fn export_recipe() -> String {
    let page = page();
    let block =
        page.split("```python\n").find(|block| block.contains("pandas.read_parquet(\"hive\"")).unwrap();
    block.split("```").next().unwrap().to_owned()
}

#[test]
fn spark_reads_as_documented() {
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

/// The recipes for effects in docs/regulatory.md, in order, for a store whose track `r0` has effects; `of` is a variant
/// of contig 17.
fn effect_recipes(store: &Store, (one_based, alternate): (u64, &str)) -> Vec<String> {
    let page = fs::read_to_string(workspace().join("docs/regulatory.md")).unwrap();
    let section =
        page.split("\n### ").find(|section| section.starts_with("Effects in other programs")).unwrap();
    let blocks = section
        .split("\n## ")
        .next()
        .unwrap()
        .split("```")
        .skip(1)
        .step_by(2)
        .map(|block| block.split_once('\n').unwrap().1);
    let of_variant = format!("== {one_based}) & (field(\"alternate\") == \"{alternate}\")");
    blocks
        .map(|block| block.replace("STORE", store.root().to_str().unwrap()))
        .map(|block| block.replace("== 43044295) & (field(\"alternate\") == \"A\")", &of_variant))
        .collect()
}

#[test]
fn effects_are_read_as_their_page_says() {
    for targets in [4100, 100] {
        let folder = tempfile::tempdir().unwrap();
        let store = new_store(&folder.path().join("s"), &["17"]);
        let number = 4000.min(targets - 1);
        let mut names = names(targets);
        names[number] = "CNhs10608+".to_owned();
        let track = effect_track("r0", &names);
        let mut writer = store.writer("test").unwrap();
        writer.put_track_with_targets(&track, &names).unwrap();
        let mut rows = random_rows(&mut Random(61), &track, 0, 40);
        for (place, (scores, effects)) in rows.iter_mut().enumerate() {
            scores.variant.position = Position::new(10 * place as u32);
            effects.variant = scores.variant.clone();
        }
        commit(&mut writer, &track, 1, &rows).unwrap();
        drop(writer);
        let kind = |row: usize| rows[row].1.effects.first().filter(|list| list.iter().any(|n| n.is_finite()));
        let text = |value: Option<f32>| match value.filter(|value| value.is_finite()) {
            Some(value) => format!("{value:.3}"),
            None => "-".to_owned(),
        };
        let line = |row: usize| {
            let value = kind(row).map(|list| list[number]);
            format!("17 {} {}\n", rows[row].1.variant.position.one_based(), text(value))
        };
        let expected: String = (0..rows.len()).map(line).collect();
        let chosen = (0..rows.len()).find(|row| kind(*row).is_some()).unwrap();
        let variant = &rows[chosen].1.variant;
        let recipes = effect_recipes(&store, (variant.position.one_based(), &variant.alternate));
        let [pyarrow, duckdb, polars, whole] = recipes.try_into().unwrap();
        let show = "for row in sorted(map(tuple, rows[['contig', 'position', 'log_sum']].values.tolist()), key=lambda row: row[1]):\n\
            \x20   value = row[2]\n\
            \x20   print(row[0], row[1], '-' if value is None or value != value else f'{value:.3f}')\n";
        if let Some(found) = python("pandas, pyarrow.dataset", &format!("{pyarrow}{show}"), &[]) {
            assert_eq!(found, expected, "{targets}");
        }
        let program = format!(
            "{whole}names = range({targets})\nprint(len(effects) == len(names), *('-' if e is None else f'{{e:.3f}}' for e in effects))\n"
        );
        if let Some(found) = python("pyarrow.dataset", &program, &[]) {
            let list: Vec<String> = kind(chosen).unwrap().iter().map(|value| text(Some(*value))).collect();
            assert_eq!(found, format!("True {}\n", list.join(" ")));
        }
        if targets > 128 {
            let sql = duckdb.lines().filter(|line| !line.starts_with("--")).collect::<Vec<_>>().join(" ");
            let program = format!("import duckdb\nrows = duckdb.sql(\"\"\"{sql}\"\"\").df()\n{show}");
            if let Some(found) = python("duckdb, pandas", &program, &[]) {
                assert_eq!(found, expected);
            }
            let program = format!("{polars}rows = rows.to_pandas()\n{show}");
            if let Some(found) = python("polars, pandas, pyarrow", &program, &[]) {
                assert_eq!(found, expected);
            }
        }
    }
}
