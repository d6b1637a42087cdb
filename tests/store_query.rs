//! Conditions, wide answers and VCF answers, against a plain map of what is stored.

use std::collections::BTreeMap;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Float32Type;
use vestore::{
    Answer, Filter, FilterError, Format, QueryPlan, Question, Request, ScoreRow, Store, WideRows,
    wide_schema, write_rows, write_vcf,
};
use vestore_schema::{Position, Region, Status, Track, Variant};

use crate::support::ScoreKind;

use crate::store::{Answer as Rows, random_store, rows_of};
use crate::support::{Random, new_store, random_row, run, track, write};

type Model = BTreeMap<(Variant, usize), ScoreRow>;
type Compare = fn(f32, f32) -> bool;
type Wanted = Box<dyn Fn(&ScoreRow, &Track) -> bool>;

/// A random condition on single rows, as text and as what it should mean.
fn condition(random: &mut Random, depth: u64) -> (String, Wanted) {
    let kind = if depth == 0 { random.below(4) } else { random.below(8) };
    match kind {
        0 | 1 => {
            let column = ["llr", "llr_reverse", "cosine", "l1"][random.below(4) as usize];
            let number = random.below(200) as f32 / 10.0 - 10.0;
            let operators: [(&str, Compare); 6] = [
                ("<", |a, b| a < b),
                ("<=", |a, b| a <= b),
                ("=", |a, b| a == b),
                ("!=", |a, b| a != b),
                (">=", |a, b| a >= b),
                (">", |a, b| a > b),
            ];
            let (sign, holds) = operators[random.below(6) as usize];
            let value = move |row: &ScoreRow, track: &Track| {
                track.columns.iter().position(|name| name == column).and_then(|index| row.values[index])
            };
            let wanted = move |row: &ScoreRow, track: &Track| {
                value(row, track).is_some_and(|value| holds(value, number))
            };
            (format!("{column} {sign} {number}"), Box::new(wanted))
        }
        2 => {
            let least = random.below(20_000);
            let beyond = move |row: &ScoreRow, _: &Track| least < row.variant.position.one_based();
            (format!("{least} < position"), Box::new(beyond))
        }
        3 => (
            "status != 'scored' or track = 'first'".to_owned(),
            Box::new(|row, track| row.status.as_str() != "scored" || track.name == "first"),
        ),
        4 => {
            let (text, inner) = condition(random, depth - 1);
            (format!("not ({text})"), Box::new(move |row, track| !inner(row, track)))
        }
        5 => (
            "cosine is null".to_owned(),
            Box::new(|row, track| {
                let index = track.columns.iter().position(|name| name == "cosine");
                index.and_then(|index| row.values[index]).is_none()
            }),
        ),
        6 => {
            let ((left, a), (right, b)) = (condition(random, depth - 1), condition(random, depth - 1));
            (format!("({left}) or ({right})"), Box::new(move |row, track| a(row, track) || b(row, track)))
        }
        _ => {
            let ((left, a), (right, b)) = (condition(random, depth - 1), condition(random, depth - 1));
            (format!("({left}) and ({right})"), Box::new(move |row, track| a(row, track) && b(row, track)))
        }
    }
}

fn filtered(store: &Store, request: &Request, text: &str) -> Rows {
    let plan = QueryPlan::new(store, request).unwrap().with_filter(&Filter::parse(text).unwrap()).unwrap();
    plan.rows().flat_map(|batch| rows_of(store, &batch.unwrap())).collect()
}

#[test]
fn pruned_plans_with_conditions_equal_a_full_scan() {
    let folder = tempfile::tempdir().unwrap();
    let (store, tracks, model) = random_store(&folder.path().join("s"), 21);
    let mut random = Random(77);
    let mut nonempty = 0;
    for round in 0..120 {
        let (text, wanted) = condition(&mut random, 3);
        let mut request = Request::default();
        if round % 2 == 0 {
            let start = random.below(20_000) as u32;
            let end = start + 1 + random.below(6000) as u32;
            request.regions.push(Region { contig: random.below(3) as u32, start, end });
        }
        let inside = |variant: &Variant| {
            let here = |region: &Region| region.contig == variant.contig && region.contains(variant.position);
            request.regions.is_empty() || request.regions.iter().any(here)
        };
        let expected: Vec<(Variant, String)> = model
            .iter()
            .filter(|((variant, track), row)| inside(variant) && wanted(row, &tracks[*track]))
            .map(|((variant, track), _)| (variant.clone(), tracks[*track].name.clone()))
            .collect();
        let found: Vec<(Variant, String)> =
            filtered(&store, &request, &text).into_iter().map(|row| (row.0, row.1)).collect();
        assert_eq!(found.len(), expected.len(), "{text}");
        assert_eq!(found, expected, "{text}");
        nonempty += usize::from(!expected.is_empty());
    }
    assert!(nonempty > 40, "{nonempty} conditions had an answer");
}

#[test]
fn counts_equal_the_rows_of_a_full_scan() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _, model) = random_store(&folder.path().join("s"), 23);
    let mut random = Random(79);
    let keys: Vec<&Variant> = model.keys().map(|(variant, _)| variant).collect();
    let mut partial = 0;
    for round in 0..200 {
        let mut request = Request::default();
        for _ in 0..random.below(4) {
            let (start, end) = match random.below(3) {
                0 => (0, 1 << 30),
                _ => (random.below(20_000) as u32, 20_000 + random.below(9000) as u32),
            };
            request.regions.push(Region { contig: random.below(3) as u32, start, end });
        }
        if round % 3 == 0 {
            // In any order, some of them twice, a few or so many that every page has one.
            let count = [1, 7, 2000][round / 3 % 3];
            let any = |_| keys[random.below(keys.len() as u64) as usize].clone();
            request.variants = (0..count).map(any).collect();
        }
        let inside = |variant: &Variant| {
            let here = |region: &Region| region.contig == variant.contig && region.contains(variant.position);
            let everything = request.regions.is_empty() && request.variants.is_empty();
            everything || request.variants.contains(variant) || request.regions.iter().any(here)
        };
        let expected = keys.iter().filter(|variant| inside(variant)).count();
        let plan = QueryPlan::new(&store, &request).unwrap();
        assert_eq!(plan.count().unwrap(), expected as u64, "{request:?}");
        assert_eq!(plan.rows().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), expected);
        partial += usize::from(0 < expected && expected < keys.len());
    }
    assert!(partial > 100, "{partial} requests were answered in part");
}

#[test]
fn unknown_columns_are_refused_with_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let (store, ..) = random_store(&folder.path().join("s"), 1);
    let plan = QueryPlan::new(&store, &Request::default()).unwrap();
    let error = plan.with_filter(&Filter::parse("llx > 1").unwrap()).unwrap_err();
    assert!(matches!(&error, FilterError::UnknownColumn { near, .. } if near.contains(&"llr".to_owned())));
}

fn wide(store: &Store, condition: Option<&str>) -> (Vec<Track>, Vec<RecordBatch>) {
    let plan = QueryPlan::new(store, &Request::default()).unwrap();
    let by_track = plan.by_track();
    let mut rows = WideRows::new(&plan, &by_track);
    if let Some(text) = condition {
        rows = rows.with_filter(&Filter::parse(text).unwrap(), store.assembly()).unwrap();
    }
    (plan.tracks.to_vec(), rows.map(Result::unwrap).collect())
}

fn shortest(value: f32) -> String {
    if value != 0.0 && value.abs() < 1e-4 { format!("{value:e}") } else { value.to_string() }
}

/// What a wide TSV answer over `model` should be, by variant.
fn expected_lines(store: &Store, tracks: &[Track], model: &Model) -> Vec<String> {
    let mut variants: Vec<&Variant> = model.keys().map(|(variant, _)| variant).collect();
    variants.dedup();
    let line = |variant: &Variant| {
        let contig = &store.assembly().contig(variant.contig).name;
        let Variant { position, reference, alternate, .. } = variant;
        let mut line = format!("{contig}\t{}\t{reference}\t{alternate}", position.one_based());
        for (index, track) in tracks.iter().enumerate() {
            match model.get(&(variant.clone(), index)) {
                None => line.push_str(&"\t".repeat(track.columns.len() + 1)),
                Some(row) => {
                    for value in &row.values {
                        line.push('\t');
                        line.push_str(&value.map(shortest).unwrap_or_default());
                    }
                    line.push('\t');
                    line.push_str(row.status.as_str());
                }
            }
        }
        line
    };
    variants.into_iter().map(line).collect()
}

#[test]
fn wide_answers_have_one_row_per_variant() {
    let folder = tempfile::tempdir().unwrap();
    let (store, tracks, model) = random_store(&folder.path().join("s"), 31);
    let (of, batches) = wide(&store, None);
    let schema = wide_schema(&of);
    let mut text = Vec::new();
    write_rows(Format::Tsv, &schema, batches.into_iter().map(Ok), &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let header = text.lines().next().unwrap();
    assert!(header.starts_with("contig\tposition\treference\talternate\tfirst.llr\t"), "{header}");
    assert!(header.contains("\tfirst.status\tsecond.d.l1\t") && header.ends_with("\tsecond.d.status"));
    let lines: Vec<&str> = text.lines().skip(1).collect();
    let expected = expected_lines(&store, &tracks, &model);
    assert_eq!(lines.len(), expected.len());
    assert!(expected.len() < model.len(), "some variants are in both tracks");
    for (line, expected) in lines.iter().zip(&expected) {
        assert_eq!(line, expected);
    }
}

#[test]
fn wide_answers_of_tracks_with_the_same_variants_do_not_depend_on_their_segments() {
    let folder = tempfile::tempdir().unwrap();
    let store = new_store(&folder.path().join("s"), &["1", "2"]);
    let mut random = Random(35);
    let tracks = ["whole", "parts", "some"].map(|name| track(name, ScoreKind::Llr));
    let mut rows: BTreeMap<Variant, ScoreRow> = BTreeMap::new();
    for contig in [0, 1] {
        for _ in 0..20_000 {
            let row = random_row(&mut random, &tracks[0], contig, 30_000);
            rows.insert(row.variant.clone(), row);
        }
    }
    let rows: Vec<ScoreRow> = rows.into_values().collect();
    let mut model: BTreeMap<(Variant, usize), ScoreRow> = BTreeMap::new();
    let mut writer = store.writer("test").unwrap();
    for (index, track) in tracks.iter().enumerate() {
        writer.put_track(track).unwrap();
        let mut segments = Vec::new();
        for on_contig in rows.chunk_by(|a, b| a.variant.contig == b.variant.contig) {
            let length = [on_contig.len(), 3001, 9000][index];
            for part in on_contig.chunks(length) {
                let skipped = |row: &&ScoreRow| index < 2 || row.variant.position.one_based() % 7000 > 40;
                let part: Vec<ScoreRow> = part.iter().filter(skipped).cloned().collect();
                model.extend(part.iter().map(|row| ((row.variant.clone(), index), row.clone())));
                segments.push(write(&mut writer, track, &part));
            }
        }
        writer.commit(&segments, &run(index as u64 + 1, track)).unwrap();
    }
    drop(writer);
    let lines = |names: &[&str]| -> Vec<String> {
        let tracks = names.iter().map(|name| (*name).to_owned()).collect();
        let plan = QueryPlan::new(&store, &Request { tracks, ..Request::default() }).unwrap();
        let (by_track, mut text) = (plan.by_track(), Vec::new());
        let wide = WideRows::new(&plan, &by_track);
        write_rows(Format::Tsv, &wide_schema(&plan.tracks), wide, &mut text).unwrap();
        String::from_utf8(text).unwrap().lines().skip(1).map(str::to_owned).collect()
    };
    let expected = expected_lines(&store, &tracks, &model);
    assert_eq!(expected.len(), rows.len());
    assert!(lines(&["whole", "parts", "some"]) == expected);
    model.retain(|(_, track), _| *track < 2);
    assert!(lines(&["whole", "parts"]) == expected_lines(&store, &tracks[..2], &model));
}

#[test]
fn conditions_on_wide_answers_compare_tracks() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _, model) = random_store(&folder.path().join("s"), 32);
    let (_, batches) = wide(&store, Some("`first.llr` < 0 and cosine > 0 and first.llr < second.d.l1"));
    let found: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let expected = model
        .iter()
        .filter(|((variant, track), row)| {
            let other = (*track == 0).then(|| model.get(&(variant.clone(), 1))).flatten();
            let (Some(llr), Some(other)) = (row.values[0], other) else { return false };
            let (Some(cosine), Some(l1)) = (other.values[2], other.values[0]) else { return false };
            llr < 0.0 && cosine > 0.0 && llr < l1
        })
        .count();
    assert_eq!(found, expected);
    assert!(found > 0);
}

#[test]
fn vcf_answers_name_every_score_in_their_header() {
    let folder = tempfile::tempdir().unwrap();
    let (store, tracks, model) = random_store(&folder.path().join("s"), 33);
    let (of, batches) = wide(&store, None);
    let mut text = Vec::new();
    write_vcf(store.assembly(), &of, batches.into_iter().map(Ok), &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("##fileformat=VCFv4."));
    assert!(text.contains("##contig=<ID=HLA-A*01:01,length=100000>\n"));
    let declared =
        "##INFO=<ID=second.d_cosine,Number=A,Type=Float,Description=\"cosine of track second.d (id ";
    assert!(text.contains(declared), "{text:.3000}");
    let records: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let mut variants: Vec<&Variant> = model.keys().map(|(variant, _)| variant).collect();
    variants.dedup();
    assert_eq!(records.len(), variants.len());
    for (record, variant) in records.iter().zip(variants) {
        let cells: Vec<&str> = record.split('\t').collect();
        assert_eq!(cells[1], variant.position.one_based().to_string());
        assert_eq!((cells[3], cells[4]), (&*variant.reference, &*variant.alternate));
        for (index, track) in tracks.iter().enumerate() {
            let row = model.get(&(variant.clone(), index));
            for (column, name) in track.columns.iter().enumerate() {
                let prefix = format!("{}_{name}=", track.name);
                let value = cells[7].split(';').find_map(|field| field.strip_prefix(&prefix));
                assert_eq!(value.map(|value| value.parse().unwrap()), row.and_then(|row| row.values[column]));
            }
        }
    }
}

/// More rows than a row group holds, and more than are decoded at once.
#[test]
fn large_segments_are_decoded_in_parts_and_in_order() {
    const POSITIONS: u64 = 90_000;
    let folder = tempfile::tempdir().unwrap();
    let store = new_store(&folder.path().join("s"), &["1"]);
    let track = track("large", ScoreKind::LlrGrid);
    let mut writer = store.writer("test").unwrap();
    writer.put_track(&track).unwrap();
    let score = |position: u32, alternate: usize| position as f32 * 4.0 + alternate as f32;
    let rows: Vec<ScoreRow> = (0..POSITIONS as u32)
        .flat_map(|position| (0..3).map(move |alternate| (position, alternate)))
        .map(|(position, alternate)| ScoreRow {
            variant: Variant {
                contig: 0,
                position: Position::new(position),
                reference: "A".into(),
                alternate: ["C", "G", "T"][alternate].into(),
            },
            values: vec![Some(score(position, alternate))],
            status: Status::Scored,
        })
        .collect();
    let segment = write(&mut writer, &track, &rows);
    assert_eq!(segment.rows, 3 * POSITIONS);
    writer.commit(&[segment], &run(1, &track)).unwrap();

    let mut random = Random(6);
    for round in 0..40 {
        let regions: Vec<Region> = (0..=round % 4)
            .map(|_| {
                let start = random.below(POSITIONS) as u32;
                Region { contig: 0, start, end: start + 1 + random.below(POSITIONS / 2) as u32 }
            })
            .collect();
        let least = random.below(4 * POSITIONS) as f32;
        let request = Request { regions: regions.clone(), ..Request::default() };
        let filter = Filter::parse(&format!("llr_grid >= {least}")).unwrap();
        let plan = QueryPlan::new(&store, &request).unwrap().with_filter(&filter).unwrap();
        let found = plan.rows().flat_map(|batch| {
            let batch = batch.unwrap();
            batch.column_by_name("llr_grid").unwrap().as_primitive::<Float32Type>().values().to_vec()
        });
        let wanted = rows.iter().filter(|row| {
            let position = row.variant.position;
            regions.iter().any(|region| region.contains(position)) && row.values[0] >= Some(least)
        });
        assert!(found.eq(wanted.filter_map(|row| row.values[0])), "{regions:?} from {least}");
    }
}

#[test]
fn sorted_rows_are_those_of_a_sorted_scan() {
    let folder = tempfile::tempdir().unwrap();
    let (store, tracks, model) = random_store(&folder.path().join("s"), 31);
    let column = tracks[0].columns.iter().position(|name| name == "llr").unwrap();
    let mut expected: Vec<(Option<f32>, &Variant, &ScoreRow)> = model
        .iter()
        .filter(|((_, track), _)| *track == 0)
        .map(|((variant, _), row)| (row.values[column], variant, row))
        .collect();
    let sorted = |sort: &str, limit: Option<usize>| -> Vec<Variant> {
        let question = Question {
            tracks: vec![tracks[0].name.clone()],
            sort: vec![sort.parse().unwrap()],
            limit,
            ..Question::default()
        };
        let answer = Answer::new(&store, question).unwrap();
        let rows = answer.rows(|_| {}).unwrap();
        rows.flat_map(|batch| rows_of(&store, &batch.unwrap())).map(|row| row.0).collect()
    };
    // Equal rows in the order of the reference, rows without a value last.
    for (sort, sign) in [("llr", 1.0), ("-llr", -1.0)] {
        expected.sort_by(|(a, ..), (b, ..)| match (a, b) {
            (Some(a), Some(b)) => (sign * a).total_cmp(&(sign * b)),
            (a, b) => b.is_some().cmp(&a.is_some()),
        });
        let variants: Vec<&Variant> = expected.iter().map(|(_, variant, _)| *variant).collect();
        let found = sorted(sort, None);
        assert_eq!(found.iter().collect::<Vec<_>>(), variants);
        for limit in [0, 1, 17, variants.len() + 1] {
            assert_eq!(sorted(sort, Some(limit)), found[..limit.min(found.len())]);
        }
        expected.sort_by_key(|(_, variant, _)| *variant);
    }
}
