//! Effects on targets: written, queried, compacted, verified, averaged.

mod averages;
mod commands;
mod cuts;
mod rescored;

use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, Int32Type};
use vestore::{
    AnswerRows, Damage, EffectOptions, EffectRow, EffectRows, EffectsError, Filter, QueryPlan, Request,
    ScoreRow, Store, StoreError, Writer, effect_batches, score_batch,
};
use vestore_schema::{Position, Region, Segment, Status, TARGETS_KEY, Table, Track, Variant, matches_glob};

use crate::programs::{fails, ok, rows};
use crate::support::{Random, ScoreKind, new_store, random_row, run, track, write};

/// Names of so many targets.
pub(crate) fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{}{number}", ["CAGE+", "DNASE/", "RNA-"][number % 3])).collect()
}

/// A track with effects of three kinds on targets of these names.
pub(crate) fn effect_track(name: &str, names: &[String]) -> Track {
    let kinds = ["log_sum", "js", "ref"].map(str::to_owned).to_vec();
    let columns = ["log_sum_max_abs", "js_max_abs"].map(str::to_owned).to_vec();
    Track { columns, ..track(name, ScoreKind::Llr) }.with_effects(kinds, names)
}

/// Sorted rows of scores and of effects for one contig: a tenth without any, some numbers and lists missing.
pub(crate) fn random_rows(
    random: &mut Random,
    track: &Track,
    contig: u32,
    count: u64,
) -> Vec<(ScoreRow, EffectRow)> {
    let targets = track.targets.unwrap().count;
    let mut rows: Vec<ScoreRow> = (0..count).map(|_| random_row(random, track, contig, 3000)).collect();
    rows.sort_by(|a, b| a.variant.cmp(&b.variant));
    rows.dedup_by(|a, b| a.variant == b.variant);
    rows.into_iter().map(|row| with_effects(random, track, row, targets)).collect()
}

/// A row of scores that go with random effects, and these.
fn with_effects(random: &mut Random, track: &Track, row: ScoreRow, targets: u32) -> (ScoreRow, EffectRow) {
    let mut list = || -> Vec<f32> {
        let missing = random.below(6) == 0;
        // Few distinct numbers, so that there are equal ones.
        let mut number = || match random.below(9) {
            0 => f32::NAN,
            other => (other as f32 - 4.0) * if random.below(3) == 0 { 0.5 } else { 0.25 },
        };
        (0..targets).map(|_| if missing { f32::NAN } else { number() }).collect()
    };
    let effects = match row.status {
        Status::Scored => track.effect_columns.iter().map(|_| list()).collect(),
        _ => Vec::new(),
    };
    let effects = EffectRow::new(row.variant.clone(), effects, row.status);
    let largest = |kind: usize| {
        let list = effects.effects.get(kind)?;
        list.iter().filter(|value| value.is_finite()).map(|value| value.abs()).reduce(f32::max)
    };
    let values: Vec<Option<f32>> = (0..2).map(largest).collect();
    let status = match effects.status {
        Status::Scored if values.iter().all(Option::is_none) => Status::NonFinite,
        status => status,
    };
    (ScoreRow { variant: row.variant, values, status }, effects)
}

/// Writes and commits rows of one contig, effects beside scores.
pub(crate) fn commit(
    writer: &mut Writer,
    track: &Track,
    number: u64,
    unit: &[(ScoreRow, EffectRow)],
) -> Result<Vec<Segment>, StoreError> {
    let contig = unit[0].0.variant.contig;
    let (scores, effects): (Vec<ScoreRow>, Vec<EffectRow>) = unit.iter().cloned().unzip();
    let mut segments = Vec::new();
    segments.extend(writer.write(Table::Scores, track, None, contig, [score_batch(track, &scores)])?);
    segments.extend(writer.write(Table::Effects, track, None, contig, effect_batches(track, &effects))?);
    writer.commit(&segments, &run(number, track))?;
    Ok(segments)
}

/// A store of one track, in segments that reach into each other, and its rows in order.
fn random_store(root: &Path, random: &mut Random, targets: usize) -> (Store, Track, Vec<EffectRow>) {
    let store = new_store(root, &["1", "2"]);
    let (names, mut all) = (names(targets), Vec::new());
    let track = effect_track("t", &names);
    let mut writer = store.writer("test").unwrap();
    writer.put_track_with_targets(&track, &names).unwrap();
    for contig in 0..2 {
        let rows = random_rows(random, &track, contig, 60);
        let mut units = vec![Vec::new(); 4];
        for row in rows {
            units[random.below(4) as usize].push(row);
        }
        for (number, unit) in units.iter().enumerate().filter(|(_, unit)| !unit.is_empty()) {
            commit(&mut writer, &track, 1 + number as u64, unit).unwrap();
            all.extend(unit.iter().map(|(_, effects)| effects.clone()));
        }
    }
    all.sort_by(|a, b| a.variant.cmp(&b.variant));
    drop(writer);
    (store, track, all)
}

/// A line of an answer: variant, target, status, and the bits of each number.
type Line = (Variant, String, String, Vec<Option<u32>>);

fn lines_of(store: &Store, batch: &RecordBatch) -> Vec<Line> {
    let answer = AnswerRows::of(batch);
    let targets = batch.column_by_name("target").unwrap().as_dictionary::<Int32Type>();
    let names = targets.values().as_string::<i32>();
    let line = |row: usize| {
        let numbers = batch.columns()[8..].iter().map(|column| {
            let column = column.as_primitive::<Float32Type>();
            column.is_valid(row).then(|| column.value(row).to_bits())
        });
        (
            answer.variant(store, row).unwrap(),
            names.value(targets.keys().value(row) as usize).to_owned(),
            answer.status(row).to_owned(),
            numbers.collect(),
        )
    };
    (0..batch.num_rows()).map(line).collect()
}

fn asked(
    store: &Store,
    request: &Request,
    options: &EffectOptions,
    filter: Option<&Filter>,
) -> Result<Vec<Line>, EffectsError> {
    let request = Request { table: Table::Effects, ..request.clone() };
    let plan = QueryPlan::new(store, &request)?.with_effects(options)?;
    let mut lines = Vec::new();
    for batch in EffectRows::new(&plan, options.top, filter)? {
        let batch = batch?;
        assert!((1..=8192).contains(&batch.num_rows()));
        lines.extend(lines_of(store, &batch));
    }
    assert_eq!(EffectRows::new(&plan, options.top, filter)?.count()?, lines.len() as u64);
    Ok(lines)
}

/// All lines of a store.
pub(crate) fn all_lines(store: &Store) -> Vec<Line> {
    asked(store, &Request::default(), &EffectOptions::default(), None).unwrap()
}

/// What `asked` should give, of all rows; a condition `js > 0` if `positive`.
fn expected(
    track: &Track,
    names: &[String],
    rows: &[EffectRow],
    regions: &[Region],
    options: &EffectOptions,
    positive: bool,
) -> Vec<Line> {
    let kinds: Vec<usize> = (0..track.effect_columns.len())
        .filter(|kind| options.columns.is_empty() || options.columns.contains(&track.effect_columns[*kind]))
        .collect();
    let mut lines = Vec::new();
    for row in rows {
        let inside =
            |region: &Region| region.contig == row.variant.contig && region.contains(row.variant.position);
        if !regions.is_empty() && !regions.iter().any(inside) {
            continue;
        }
        let number = |kind: usize, target: usize| -> Option<f32> {
            row.effects.get(kind)?.get(target).copied().filter(|value| value.is_finite())
        };
        let mut of_row: Vec<usize> = (0..names.len())
            .filter(|target| {
                options.targets.is_empty()
                    || options.targets.iter().any(|glob| matches_glob(glob, &names[*target]))
            })
            .filter(|target| !positive || number(1, *target).is_some_and(|value| value > 0.0))
            .collect();
        if row.status != Status::Scored {
            if !positive {
                lines.push((
                    row.variant.clone(),
                    String::new(),
                    row.status.to_string(),
                    vec![None; kinds.len()],
                ));
            }
            continue;
        }
        if let Some(top) = options.top {
            let size = |target: &usize| {
                let of = kinds.iter().filter(|kind| **kind < 2).filter_map(|kind| number(*kind, *target));
                of.map(f32::abs).fold(-1.0_f32, f32::max)
            };
            // Stable, so that the first of equal ones comes first.
            of_row.sort_by(|a, b| size(b).total_cmp(&size(a)));
            of_row.truncate(top);
            of_row.sort_unstable();
        }
        for target in of_row {
            let numbers = kinds.iter().map(|kind| number(*kind, target).map(f32::to_bits)).collect();
            lines.push((row.variant.clone(), names[target].clone(), "scored".to_owned(), numbers));
        }
    }
    lines
}

#[test]
fn answers_are_those_of_a_plain_search() {
    let mut random = Random(41);
    for (round, targets) in [1, 7, 128, 129, 256, 300, 3000].into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let (store, track, rows) = random_store(&folder.path().join("s"), &mut random, targets);
        let names = names(targets);
        for attempt in 0..12 {
            let region = |random: &mut Random| {
                let start = random.below(2500) as u32;
                Region { contig: random.below(2) as u32, start, end: start + 1 + random.below(600) as u32 }
            };
            let regions: Vec<Region> = (0..random.below(3)).map(|_| region(&mut random)).collect();
            let globs = ["*1*", "CAGE*", "*/?", "RNA-2", "*"];
            let targets: Vec<String> = (0..random.below(3))
                .map(|_| globs[random.below(5) as usize].to_owned())
                .filter(|glob| names.iter().any(|name| matches_glob(glob, name)))
                .collect();
            let columns: &[&str] =
                [&[][..], &["js"], &["ref", "log_sum"], &["js", "ref"]][random.below(4) as usize];
            let positive = random.below(3) == 0 && (columns.is_empty() || columns.contains(&"js"));
            let options = EffectOptions {
                columns: columns.iter().map(|name| (*name).to_owned()).collect(),
                targets,
                top: [None, Some(0), Some(1), Some(5), Some(100)][random.below(5) as usize],
            };
            let request = Request { regions: regions.clone(), ..Request::default() };
            let filter = positive.then(|| Filter::parse("js > 0").unwrap());
            let found = asked(&store, &request, &options, filter.as_ref()).unwrap();
            let wanted = expected(&track, &names, &rows, &regions, &options, positive);
            assert!(
                found == wanted,
                "round {round}, attempt {attempt}: {} lines, not {}: {options:?} {regions:?} {positive}",
                found.len(),
                wanted.len()
            );
        }
        let whole = all_lines(&store);
        store.writer("test").unwrap().compact(|_| {}).unwrap();
        assert!(store.all_segments().unwrap().len() == 4 && all_lines(&store) == whole);
        assert_eq!(store.verify(|_| {}).unwrap(), []);
    }
}

#[test]
fn rows_that_are_long_are_read_a_few_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = new_store(&folder.path().join("s"), &["1"]);
    let names = names(200_000);
    let track = effect_track("t", &names);
    let mut writer = store.writer("test").unwrap();
    writer.put_track_with_targets(&track, &names).unwrap();
    let mut random = Random(3);
    let rows = random_rows(&mut random, &track, 0, 30);
    let segments = commit(&mut writer, &track, 1, &rows).unwrap();
    drop(writer);
    let request = Request { table: Table::Effects, ..Request::default() };
    let plan = QueryPlan::new(&store, &request).unwrap();
    let batches: Vec<usize> = plan.rows().map(|batch| batch.unwrap().num_rows()).collect();
    assert!(batches.iter().all(|rows| *rows <= 6), "{batches:?}");
    assert_eq!(batches.iter().sum::<usize>() as u64, segments[1].rows);
    // A writer holds a row group, of about 2^24 numbers; a page is the least that a reader decompresses.
    let file = std::fs::File::open(store.root().join(segments[1].path())).unwrap();
    let reader = parquet::file::serialized_reader::SerializedFileReader::new(file).unwrap();
    let metadata = parquet::file::reader::FileReader::metadata(&reader);
    let numbers = metadata.row_groups().iter().map(|group| group.column(3).num_values()).max().unwrap();
    assert!(numbers <= 28 * 200_000, "{numbers} numbers of a kind");
    let wanted = expected(
        &track,
        &names,
        &rows.into_iter().map(|row| row.1).collect::<Vec<_>>(),
        &[],
        &EffectOptions { top: Some(3), ..EffectOptions::default() },
        false,
    );
    let options = EffectOptions { top: Some(3), ..EffectOptions::default() };
    assert!(asked(&store, &Request::default(), &options, None).unwrap() == wanted);
}

#[test]
fn pages_of_short_lists_are_as_long_as_readers_take() {
    for targets in [2, 3, 10] {
        let folder = tempfile::tempdir().unwrap();
        let store = new_store(&folder.path().join("s"), &["1"]);
        let names = names(targets);
        let track = effect_track("t", &names);
        let mut writer = store.writer("test").unwrap();
        writer.put_track_with_targets(&track, &names).unwrap();
        let snv = |place: u64| Variant {
            contig: 0,
            position: Position::from_one_based(place + 1).unwrap(),
            reference: "A".into(),
            alternate: "C".into(),
        };
        let row = |place: u64| {
            let list = vec![place as f32; targets];
            EffectRow::new(snv(place), vec![list.clone(), list.clone(), list], Status::Scored)
        };
        let rows: Vec<EffectRow> = (0..20_000).map(row).collect();
        let batches = rows.chunks(20_000).flat_map(|rows| effect_batches(&track, rows));
        let segment = writer.write(Table::Effects, &track, None, 0, batches).unwrap().unwrap();
        writer.commit(&[segment], &run(1, &track)).unwrap();
        drop(writer);
        assert_eq!(store.verify(|_| {}).unwrap(), []);
        assert_eq!(all_lines(&store).len(), 20_000 * targets);
    }
}

#[test]
fn the_command_line_prints_a_row_per_variant_and_target() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(5);
    let root = folder.path().join("s");
    let (store, _, all) = random_store(&root, &mut random, 5);
    let text = ok("query {} --effects --format tsv", &[&root]);
    let header = "contig\tposition\treference\talternate\ttarget\tmodel\ttrack\tstatus\tlog_sum\tjs\tref";
    assert_eq!(text.lines().next(), Some(header));
    let scored = all.iter().filter(|row| row.status == Status::Scored).count();
    assert_eq!(text.lines().count(), 1 + scored * 5 + (all.len() - scored));
    let unscored = text.lines().find(|line| line.contains("\tnon_acgt\t")).unwrap();
    assert!(unscored.contains("\t\tmodel\tt\tnon_acgt\t\t\t"), "{unscored}");
    assert!(!text.contains("NaN"));

    let count =
        |words: &str| ok(&format!("query {{}} --effects {words} --count"), &[&root]).trim().parse::<usize>();
    assert_eq!(count("").unwrap(), text.lines().count() - 1);
    assert_eq!(count("--top 2").unwrap(), scored * 2 + (all.len() - scored));
    assert_eq!(count("--target CAGE* --target RNA-2").unwrap(), scored * 3 + (all.len() - scored));
    assert_eq!(count("--where target='RNA-2'").unwrap(), scored);
    assert_eq!(count("--limit 7").unwrap(), 7);
    let found = rows(&ok("query {} --effects --top 1 --columns log_sum --format tsv", &[&root]));
    assert!(found.iter().all(|row| row.len() == 9 && row.contains_key("log_sum")));
    let limited = ok("query {} --effects --format tsv --limit 7", &[&root]);
    assert_eq!(limited.lines().collect::<Vec<_>>(), text.lines().take(8).collect::<Vec<_>>());

    let json = ok("query {} --effects --format json", &[&root]);
    let json: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    assert_eq!(json.len(), text.lines().count() - 1);
    let csv = ok("query {} --effects --format csv", &[&root]);
    assert_eq!(csv.replace(',', "\t"), text);
    assert!(ok("query {} --effects --top 1", &[&root]).lines().count() > 50);
    for name in ["x.parquet", "x.arrow"] {
        let path = folder.path().join(name);
        ok("query {} --effects -o {}", &[&root, &path]);
        assert!(path.metadata().unwrap().len() > 1000);
    }
    let plan = ok("query {} --effects --plan", &[&root]);
    assert!(plan.contains("effects/track=t/contig=1/"), "{plan}");
    let info = ok("info {}", &[&root]);
    assert!(info.contains("rows of effects in ") && info.contains("5 targets by log_sum, js, ref"), "{info}");
    drop(store);

    let refused = [
        ("--effects --wide", "cannot be used with"),
        ("--effects --format vcf", "rows of effects have no wide form"),
        ("--target x", "--effects"),
        ("--top 3", "--effects"),
        ("--columns js", "unknown column `js`"),
        ("--effects --target RNB-2", "no target matches `RNB-2`; the nearest of 5 are RNA-2"),
        ("--effects --columns sax", "unknown kind of effect `sax`; expected one of log_sum, js, ref"),
        ("--effects --columns ref --top 1", "cannot be ranked by `ref` and `alt`"),
        ("--effects --embeddings", "cannot be used with"),
    ];
    for (words, told) in refused {
        let error = fails(2, &format!("query {{}} {words}"), &[&root]);
        assert!(error.contains(told), "{words}: {error}");
    }
}

#[test]
fn tracks_of_other_targets_are_not_mixed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("s");
    let (store, ..) = random_store(&root, &mut Random(9), 4);
    let names = names(6);
    let other = Track { id: vestore_schema::Digest::of(b"u"), ..effect_track("u", &names) };
    let mut writer = store.writer("test").unwrap();
    assert!(writer.put_track(&other).is_err(), "its names are missing");
    assert!(writer.put_track_with_targets(&other, &names[..5]).is_err(), "its names are others");
    writer.put_track_with_targets(&other, &names).unwrap();
    let rows = random_rows(&mut Random(1), &other, 0, 20);
    commit(&mut writer, &other, 9, &rows).unwrap();
    // A track without effects is none to ask.
    let plain = Track { id: vestore_schema::Digest::of(b"v"), ..track("v", ScoreKind::Llr) };
    writer.put_track(&plain).unwrap();
    let row = random_row(&mut Random(2), &plain, 0, 100);
    let segment = write(&mut writer, &plain, &[row]);
    writer.commit(&[segment], &run(10, &plain)).unwrap();
    drop(writer);
    let error = fails(1, "query {} --effects", &[&root]);
    assert!(error.contains("effects of track `t` are of other targets than those of `u`"), "{error}");
    assert!(ok("query {} --effects --track u --format tsv", &[&root]).contains("\tRNA-5\t"));
    assert_eq!(ok("query {} --effects --track v --format tsv", &[&root]).lines().count(), 1);

    // The names leave with the last track that has them.
    store.writer("test").unwrap().remove_track("u").unwrap();
    assert!(store.target_names(&other).is_err());
    assert!(store.target_names(&store.snapshot().unwrap().tracks[0]).is_ok());
    assert_eq!(store.verify(|_| {}).unwrap(), []);
}

#[test]
fn a_segment_says_what_its_numbers_are_and_damage_shows() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("s");
    let (store, track, all) = random_store(&root, &mut Random(8), 5);
    let segments = store.all_segments().unwrap();
    let segment = segments.iter().find(|segment| segment.table == Table::Effects).unwrap();
    let path = root.join(segment.path());
    assert!(path.starts_with(root.join("effects/track=t/contig=1")));
    let reader =
        parquet::file::serialized_reader::SerializedFileReader::new(std::fs::File::open(&path).unwrap())
            .unwrap();
    let footer =
        parquet::file::reader::FileReader::metadata(&reader).file_metadata().key_value_metadata().cloned();
    let found = footer.unwrap().into_iter().find(|pair| pair.key == TARGETS_KEY).unwrap();
    assert_eq!(serde_json::from_str::<Vec<String>>(&found.value.unwrap()).unwrap(), names(5));

    let unscored = all.iter().filter(|row| row.status == Status::NonAcgt).count() as u64;
    let removed = store.writer("test").unwrap().remove_status("t", Status::NonAcgt).unwrap();
    assert_eq!(removed, 2 * unscored, "of scores and of effects");
    assert_eq!(store.verify(|_| {}).unwrap(), []);
    let segments = store.all_segments().unwrap();
    let segment = segments.iter().find(|segment| segment.table == Table::Effects).unwrap();
    let path = root.join(segment.path());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[200] ^= 4;
    std::fs::write(&path, bytes).unwrap();
    let damage = store.verify(|_| {}).unwrap();
    assert!(
        matches!(&damage[..], [Damage::Segment { segment: found, .. }] if found == segment),
        "{damage:?}"
    );
    assert!(fails(1, "query {} --effects", &[&root]).contains("have changed"));
    assert_eq!(track.targets, store.snapshot().unwrap().tracks[0].targets);
}

#[test]
fn targets_do_not_decide_what_a_track_is() {
    let (plain, names) = (track("t", ScoreKind::Llr), names(3));
    let with = plain.clone().with_effects(vec!["js".to_owned()], &names);
    assert_eq!(with.id, plain.id);
    assert_eq!(plain.clone().with_effects(Vec::new(), &[]), plain);
    assert!(!serde_json::to_string(&plain).unwrap().contains("effect"));
    let broken = |change: fn(&mut Track)| {
        let mut track = with.clone();
        change(&mut track);
        track.check("t").is_err()
    };
    assert!(with.check("t").is_ok());
    assert!(broken(|track| track.targets = None));
    assert!(broken(|track| track.effect_columns = vec!["target".to_owned()]));
    assert!(broken(|track| track.effect_columns = vec!["a".to_owned(), "a".to_owned()]));
    assert!(broken(|track| track.targets.as_mut().unwrap().count = 0));
    assert!(broken(|track| track.targets.as_mut().unwrap().count = (1 << 20) + 1));
}
