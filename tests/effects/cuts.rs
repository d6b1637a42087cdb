//! A script of everything that changes effects, cut at every system call.

use std::path::Path;

use vestore::{Damage, Request, Store, mean};

use super::averages::replicate;
use super::{Line, all_lines, commit, names, random_rows};
use crate::crash::{Ground, empty_disk, open};
use crate::medium::{MemoryDisk, State};
use crate::store::{Answer, answer};
use crate::support::Random;

const NOW: u64 = 1_700_000_000;

/// Rows of scores, and lines of effects.
type Held = (Answer, Vec<Line>);

fn held(store: &Store) -> Held {
    (answer(store, &Request::default()), all_lines(store))
}

/// Does everything, and notes after how many calls the store held what.
fn script(ground: &Ground, disk: &MemoryDisk) -> Vec<(usize, Held)> {
    let store = ground.create(disk).unwrap();
    let (names, mut rests) = (names(4), Vec::new());
    let mut rest = || {
        rests.push((disk.log().len(), held(&store)));
        assert_eq!(store.verify(|_| {}).unwrap(), []);
    };
    let mut writer = store.writer("script").unwrap();
    let tracks = [replicate(0, &names), replicate(1, &names)];
    for track in &tracks {
        writer.put_track_with_targets(track, &names).unwrap();
        rest();
    }
    let rows = random_rows(&mut Random(2), &tracks[0], 0, 12);
    for (number, rows) in rows.chunks(5).enumerate() {
        for track in &tracks {
            commit(&mut writer, track, 1 + number as u64, rows).unwrap();
            rest();
        }
    }
    drop(writer);
    mean(&store, "mean", &["t0", "t1"].map(str::to_owned), "script", |_| {}).unwrap();
    rest();
    let mut writer = store.writer("script").unwrap();
    writer.compact(|_| {}).unwrap();
    rest();
    writer.remove_track("t0").unwrap();
    rest();
    writer.remove_track("t1").unwrap();
    rest();
    writer.remove_track("mean").unwrap();
    rest();
    rests
}

#[test]
fn effects_and_scores_come_and_go_together_wherever_it_is_cut() {
    let ground = Ground::new();
    let disk = empty_disk();
    let rests = script(&ground, &disk);
    let mut state = State::new(Path::new("/disk"));
    for (number, call) in disk.log().iter().enumerate() {
        state.apply(call).unwrap();
        let done = rests.partition_point(|(calls, _)| *calls <= number + 1);
        let Some(before) = done.checked_sub(1) else { continue };
        let allowed = &rests[before..(done + 1).min(rests.len())];
        for state in [state.clone(), state.after_power_loss(|| false), state.after_power_loss(|| true)] {
            let place = format!("call {number}, {}", call.name());
            let store =
                open(&MemoryDisk::new(state, NOW + 1)).unwrap_or_else(|error| panic!("{place}: {error}"));
            let found = held(&store);
            assert!(allowed.iter().any(|(_, rest)| *rest == found), "{place}: {} rows", found.0.len());
            let damage = store.verify(|_| {}).unwrap();
            assert!(!damage.iter().any(Damage::is_loss), "{place}: {damage:?}");
            drop(store.writer("next").unwrap_or_else(|error| panic!("{place}: {error}")));
            assert_eq!(store.verify(|_| {}).unwrap(), [], "{place}");
            assert!(held(&store) == found, "{place}: the next writer changed the rows");
        }
    }
}
