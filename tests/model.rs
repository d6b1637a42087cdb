//! Random changes of a store, beside a plain map that does the same; with crashes and failing calls.

use std::collections::BTreeMap;

use vestore::{Damage, ImportOptions, QueryPlan, Request, ScoreRow, Store, StoreError, import, score_batch};
use vestore_schema::{Position, Region, Status, Table, Track, Variant};

use crate::support::ScoreKind;

use crate::crash::{Ground, empty_disk, open, rows, unit};
use crate::medium::{Fault, MemoryDisk};
use crate::store::{Answer, rows_of};
use crate::support::{Random, run, track};

/// What may happen to a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// A unit of a track is committed, unless its rows are there.
    Commit {
        track: u8,
        contig: u8,
        unit: u8,
    },
    /// As `Commit`, but the writer dies before it names the segment.
    Abandon {
        track: u8,
        contig: u8,
        unit: u8,
    },
    Compact,
    Remove {
        track: u8,
    },
    /// The rows without a score are taken out of a track.
    RemoveStatus {
        track: u8,
    },
    /// A unit's rows are taken out again, unless they stand in one segment with others.
    RemoveRun {
        track: u8,
        contig: u8,
        unit: u8,
    },
    Import,
    /// Rows of a stretch are read.
    Query {
        contig: u8,
        start: u16,
        length: u16,
    },
    /// Seconds pass.
    Wait {
        seconds: u16,
    },
    /// The power fails; of what was not synced, sectors and names survive as `seed` says.
    Crash {
        seed: u8,
    },
    /// The next event but one suffers a failing call.
    Fail {
        call: u16,
        errno: u8,
    },
}

fn random_event(random: &mut Random) -> Event {
    let mut below = |limit: u64| random.below(limit) as u8;
    match below(22) {
        0..7 => Event::Commit { track: below(2), contig: below(2), unit: below(8) },
        7 => Event::Abandon { track: below(2), contig: below(2), unit: below(8) },
        8..10 => Event::Compact,
        10 => Event::Remove { track: below(3) },
        11 => Event::Import,
        12..15 => Event::Query {
            contig: below(2),
            start: u16::from(below(200)) * 4,
            length: 1 + u16::from(below(200)) * 2,
        },
        15 => Event::Wait { seconds: 200 + u16::from(below(250)) * 2 },
        16..18 => Event::Crash { seed: below(250) },
        18 => Event::RemoveStatus { track: below(3) },
        19 => Event::RemoveRun { track: below(2), contig: below(2), unit: below(8) },
        _ => Event::Fail { call: u16::from(below(150)), errno: [28, 5, 24, 0][below(4) as usize] },
    }
}

const NAMES: [&str; 3] = ["first", "second", "others"];

fn track_of(number: u8) -> Track {
    track(NAMES[number as usize], if number == 0 { ScoreKind::LlrGrid } else { ScoreKind::Llr })
}

/// The number of the run that commits a unit.
fn run_of(track: u8, contig: u8, unit: u8) -> u64 {
    1 + u64::from(track) * 16 + u64::from(contig) * 8 + u64::from(unit)
}

/// What the store should hold: by track name, its rows.
type Model = BTreeMap<&'static str, BTreeMap<Variant, (Vec<Option<f32>>, String)>>;

fn insert(model: &mut Model, name: &'static str, rows: impl IntoIterator<Item = ScoreRow>) {
    let track = model.entry(name).or_default();
    for row in rows {
        let mut values = row.values;
        values.retain(Option::is_some);
        track.insert(row.variant, (values, row.status.as_str().to_owned()));
    }
}

fn listed(model: &Model, wanted: impl Fn(&Variant) -> bool) -> Answer {
    let mut rows: Answer = Vec::new();
    for (name, held) in model {
        for (variant, (values, status)) in held.iter().filter(|(variant, _)| wanted(variant)) {
            rows.push((variant.clone(), (*name).to_owned(), values.clone(), status.clone()));
        }
    }
    rows.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    rows
}

/// The rows of the imported table.
fn imported(store: &Store, table: &std::path::Path) -> Vec<ScoreRow> {
    let text = std::fs::read_to_string(table).unwrap();
    text.lines()
        .skip(1)
        .map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            let variant = Variant {
                contig: store.assembly().resolve(cells[0]).unwrap(),
                position: Position::from_one_based(cells[1].parse().unwrap()).unwrap(),
                reference: cells[2].into(),
                alternate: cells[3].into(),
            };
            let values = vec![cells[4].parse().ok()];
            ScoreRow { variant, values, status: vestore_schema::Status::Scored }
        })
        .collect()
}

/// Does one event to the store; `Ok(true)` when it was done and the model should do the same.
fn perform(event: Event, store: &Store, ground: &Ground, model: &Model) -> anyhow::Result<bool> {
    match event {
        Event::Commit { track, contig, unit: number } | Event::Abandon { track, contig, unit: number } => {
            let (name, track_number) = (NAMES[track as usize], track);
            let track = track_of(track);
            let rows = unit(u64::from(number), u32::from(contig), &track, 30);
            if model.get(name).is_some_and(|held| rows.iter().any(|row| held.contains_key(&row.variant))) {
                return Ok(false);
            }
            let mut writer = store.writer("test")?;
            writer.put_track(&track)?;
            let batch = score_batch(&track, &rows);
            let segment = writer.write(Table::Scores, &track, None, u32::from(contig), [batch])?;
            if matches!(event, Event::Abandon { .. }) {
                return Ok(false);
            }
            writer.commit(&[segment.unwrap()], &run(run_of(track_number, contig, number), &track))?;
        }
        Event::Compact => {
            store.writer("test")?.compact(|_| {})?;
        }
        Event::Remove { track } => match store.writer("test")?.remove_track(NAMES[track as usize]) {
            Err(StoreError::Unknown { .. }) => return Ok(false),
            done => drop(done?),
        },
        Event::RemoveStatus { track } => {
            match store.writer("test")?.remove_status(NAMES[track as usize], Status::NonAcgt) {
                Err(StoreError::Unknown { .. } | StoreError::NoStatus { .. }) => return Ok(false),
                done => drop(done?),
            }
        }
        Event::RemoveRun { track, contig, unit } => {
            match store.writer("test")?.remove_run(NAMES[track as usize], run_of(track, contig, unit)) {
                Err(
                    StoreError::Unknown { .. } | StoreError::RunOfTrack { .. } | StoreError::SharedRun { .. },
                ) => return Ok(false),
                done => drop(done?),
            }
        }
        Event::Import => {
            if model.get(NAMES[2]).is_some_and(|held| !held.is_empty()) {
                return Ok(false);
            }
            import(store, NAMES[2], &ground.table(300, 25), &ImportOptions::default(), "test", |_| {})?;
        }
        Event::Query { contig, start, length } => {
            let (start, end) = (u32::from(start), u32::from(start) + u32::from(length));
            let region = Region { contig: u32::from(contig), start, end };
            let plan = QueryPlan::new(store, &Request { regions: vec![region], ..Request::default() })?;
            let mut found = Answer::new();
            for batch in plan.rows() {
                found.extend(rows_of(store, &batch?));
            }
            for row in &mut found {
                row.2.retain(Option::is_some);
            }
            found.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
            let wanted = listed(model, |variant| {
                variant.contig == u32::from(contig) && (start..end).contains(&variant.position.zero_based())
            });
            assert!(found == wanted, "{event:?}: {} rows, not {}", found.len(), wanted.len());
            return Ok(false);
        }
        Event::Wait { .. } | Event::Crash { .. } | Event::Fail { .. } => return Ok(false),
    }
    Ok(true)
}

/// What the model holds after an event that was done.
fn after(event: Event, mut model: Model, store: &Store, ground: &Ground) -> Model {
    match event {
        Event::Commit { track, contig, unit: number } => {
            let rows = unit(u64::from(number), u32::from(contig), &track_of(track), 30);
            insert(&mut model, NAMES[track as usize], rows);
        }
        Event::Remove { track } => drop(model.remove(NAMES[track as usize])),
        Event::RemoveStatus { track } => {
            let status = Status::NonAcgt.as_str();
            model.entry(NAMES[track as usize]).or_default().retain(|_, (_, held)| held != status);
        }
        Event::RemoveRun { track, contig, unit: number } => {
            let track_rows = model.entry(NAMES[track as usize]).or_default();
            for row in unit(u64::from(number), u32::from(contig), &track_of(track), 30) {
                track_rows.remove(&row.variant);
            }
        }
        Event::Import => insert(&mut model, NAMES[2], imported(store, &ground.table(300, 25))),
        _ => {}
    }
    model
}

/// Lets all events happen, and compares after each.
fn replay(events: &[Event], ground: &Ground) {
    let mut disk = empty_disk();
    ground.create(&disk).unwrap();
    let mut model = Model::new();
    let mut pending = None;
    // What a loss of power may bring about instead, since changes failed and nothing was written after.
    let mut doubts: Vec<Model> = Vec::new();
    for (number, event) in events.iter().enumerate() {
        match *event {
            Event::Wait { seconds } => disk.advance(u64::from(seconds)),
            Event::Crash { seed } => {
                let mut random = Random(u64::from(seed));
                let state = disk.state().after_power_loss(|| random.below(3) > 0);
                disk = MemoryDisk::new(state, disk.time());
                let found = found(&disk);
                let doubted = doubts.drain(..).find(|other| found == listed(other, |_| true));
                model = doubted.unwrap_or(model);
            }
            Event::Fail { call, errno } => {
                let fault = if errno == 0 { Fault::Short } else { Fault::Refused(i32::from(errno)) };
                pending = Some((u64::from(call), fault));
                continue;
            }
            event => {
                let store = open(&disk).unwrap();
                if let Some((call, fault)) = pending.take() {
                    disk.fail(call, fault);
                }
                let done = perform(event, &store, ground, &model);
                disk.heal();
                let next = after(event, model.clone(), &store, ground);
                match done {
                    Ok(true) => {
                        model = next;
                        doubts.clear();
                    }
                    Ok(false) => {}
                    // Told as failed, and there all the same or not at all.
                    Err(error) => {
                        assert!(disk.has_failed(), "event {number}, {event:?}: {error:#}");
                        doubts.extend([model.clone(), next.clone()]);
                        if found(&disk) == listed(&next, |_| true) {
                            model = next;
                        }
                    }
                }
            }
        }
        let (found, wanted) = (found(&disk), listed(&model, |_| true));
        assert!(found == wanted, "event {number}, {event:?}: {} rows, not {}", found.len(), wanted.len());
        let damage = open(&disk).unwrap().verify(|_| {}).unwrap();
        assert!(!damage.iter().any(Damage::is_loss), "event {number}, {event:?}: {damage:?}");
    }
    drop(open(&disk).unwrap().writer("test").unwrap());
    assert_eq!(open(&disk).unwrap().verify(|_| {}).unwrap(), []);
}

fn found(disk: &MemoryDisk) -> Answer {
    let mut found = rows(&open(disk).unwrap());
    found.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    found
}

/// Whether the events show a bug.
fn breaks(events: &[Event], ground: &Ground) -> bool {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| replay(events, ground))).is_err()
}

/// The shortest list of events found that still shows the bug: whatever can be left out is.
fn minimise(mut events: Vec<Event>, ground: &Ground) -> Vec<Event> {
    let mut length = events.len() / 2;
    while length > 0 {
        let mut at = 0;
        while at < events.len() {
            let mut fewer = events.clone();
            fewer.drain(at..(at + length).min(events.len()));
            if breaks(&fewer, ground) { events = fewer } else { at += length }
        }
        length /= 2;
    }
    events
}

#[test]
fn random_histories_equal_a_plain_map() {
    // More in the long run.
    let cases = crate::support::rounds("VESTORE_MODEL_CASES", 60);
    let threads = 2;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let ground = Ground::new();
                for seed in (thread..cases).step_by(threads as usize) {
                    let mut random = Random(seed);
                    let count = 10 + random.below(30);
                    let events: Vec<Event> = (0..count).map(|_| random_event(&mut random)).collect();
                    if breaks(&events, &ground) {
                        let events = minimise(events, &ground);
                        panic!(
                            "seed {seed}; keep it as a test of its own: replay(&{events:?}, &Ground::new())"
                        );
                    }
                }
            });
        }
    });
}

/// The shortest histories in which a loss of power takes back a change that was told as failed, and seen.
#[test]
fn a_change_that_was_told_as_failed_may_be_taken_back() {
    let commit = |track, contig, unit| Event::Commit { track, contig, unit };
    let before = [commit(0, 1, 0), commit(1, 0, 1), commit(1, 1, 5), Event::Import, commit(0, 0, 5)];
    for call in 80..130 {
        let failed = [Event::Fail { call, errno: 0 }, Event::Remove { track: 0 }, Event::Crash { seed: 102 }];
        replay(&[&before[..], &failed].concat(), &Ground::new());
        let failed = [Event::Fail { call, errno: 5 }, commit(0, 1, 7), Event::Crash { seed: 200 }];
        replay(&[&before[..], &failed].concat(), &Ground::new());
    }
}

/// The shortest history that shows a folder whose name was never synced.
#[test]
fn an_import_survives_the_crash_that_follows_at_once() {
    replay(&[Event::Import, Event::Crash { seed: 101 }], &Ground::new());
    let commit = Event::Commit { track: 1, contig: 1, unit: 3 };
    replay(
        &[commit, Event::Crash { seed: 225 }, commit, Event::Compact, Event::Crash { seed: 1 }],
        &Ground::new(),
    );
}
