//! Every system call of everything that changes a store fails once, in every way.

use anyhow::Context;
use vestore::{Damage, ImportOptions, Store, StoreError, import};
use vestore_schema::Status;

use crate::support::ScoreKind;

use crate::crash::{Ground, commit_many, empty_disk, open, rows, unit};
use crate::medium::{Fault, MemoryDisk};
use crate::store::Answer;
use crate::support::{Random, model, run, track, write};

/// What the system says, and the remedy that people are told.
const FAULTS: [(Fault, &str); 4] = [
    (Fault::Refused(28), "make room"),
    (Fault::Refused(5), "the disk may be failing"),
    (Fault::Refused(24), "ulimit -n"),
    (Fault::Short, "make room"),
];

/// One change of a store, as a user's command makes it.
type Step = fn(&Ground, &Store) -> anyhow::Result<()>;

const STEPS: [(&str, Step); 12] = [
    ("score", |_, store| {
        let track = track("first", ScoreKind::LlrGrid);
        let mut writer = store.writer("test")?;
        writer.put_track(&track)?;
        let rows = [vestore::score_batch(&track, &unit(4, 1, &track, 40))];
        let done = writer
            .write(vestore_schema::Table::Scores, &track, None, 1, rows)
            .and_then(|segment| writer.commit(&[segment.unwrap()], &run(4, &track)));
        if done.is_err() {
            let refused = writer.put_run(&run(5, &track)).unwrap_err();
            assert!(matches!(refused, StoreError::Poisoned { .. }), "{refused}");
        }
        Ok(done?)
    }),
    ("compact", |_, store| {
        store.writer("test")?.compact(|_| {})?;
        Ok(())
    }),
    ("import", |ground, store| {
        let table = ground.table(100, 30);
        import(store, "others", &table, &ImportOptions::default(), "test", |_| {}).context("import")?;
        Ok(())
    }),
    ("remove", |_, store| {
        // Removed already, when the failure came after the commit.
        match store.writer("test")?.remove_track("first") {
            Err(StoreError::Unknown { .. }) => Ok(()),
            done => Ok(done.map(|_| ())?),
        }
    }),
    ("expire", |_, store| {
        store.writer("test")?;
        Ok(())
    }),
    ("copy a model", |ground, store| {
        let mut writer = store.writer("test")?;
        let mut model = model("copied");
        let places =
            ["checkpoint/config.json", "checkpoint/model.safetensors", "adapter/adapter_config.json"];
        let source = ground.table(3, 31);
        let copied = writer.copy_model(model.id, &places.map(|place| (source.clone(), place.to_owned())))?;
        model.checkpoint = format!("{}/checkpoint", copied.folder);
        model.files = copied.files;
        writer.put_model(&model)?;
        Ok(())
    }),
    ("remove a model", |_, store| match store.writer("test")?.remove_model("copied") {
        Err(StoreError::Unknown { .. }) => Ok(()),
        done => Ok(done?),
    }),
    ("remove a status", |_, store| match store.writer("test")?.remove_status("first", Status::NonAcgt) {
        Err(StoreError::NoStatus { .. }) => Ok(()),
        done => Ok(done.map(|_| ())?),
    }),
    ("remove a run", |_, store| {
        store.writer("test")?.remove_run("first", 2)?;
        Ok(())
    }),
    ("many segments", |_, store| {
        let track = track("first", ScoreKind::LlrGrid);
        commit_many(&mut store.writer("test")?, 4, 1, &track)?;
        Ok(())
    }),
    ("keep a gene table", |ground, store| {
        let table = vestore::read_genes(&ground.genes(), store.assembly())?;
        let (record, _) = store.writer("test")?.put_gene_table("genes.gtf", &table)?;
        assert_eq!(store.gene_table(record.digest)?, Some(table));
        assert_eq!(store.genes_called("G")?.genes.len(), 1);
        Ok(())
    }),
    ("keep an id table", |ground, store| {
        store.writer("test")?.add_ids(&ground.ids())?;
        assert_eq!(store.variants_of_id(101)?.map(|found| found.len()), Some(1));
        Ok(())
    }),
];

/// Three small segments of one track.
fn start(ground: &Ground) -> MemoryDisk {
    let disk = empty_disk();
    let store = ground.create(&disk).unwrap();
    let track = track("first", ScoreKind::LlrGrid);
    let mut writer = store.writer("test").unwrap();
    writer.put_track(&track).unwrap();
    for number in 1..4 {
        let segment = write(&mut writer, &track, &unit(number, 0, &track, 20));
        writer.commit(&[segment], &run(number, &track)).unwrap();
    }
    drop(writer);
    disk
}

fn copy(disk: &MemoryDisk) -> MemoryDisk {
    MemoryDisk::new(disk.state(), disk.time())
}

/// Rows of an intact store, which the next writer leaves without an orphan.
fn sound(disk: &MemoryDisk, place: &str) -> Answer {
    let store = open(disk).unwrap_or_else(|error| panic!("{place}: {error}"));
    let found = rows(&store);
    let damage = store.verify(|_| {}).unwrap();
    assert!(!damage.iter().any(Damage::is_loss), "{place}: {damage:?}");
    drop(store.writer("next").unwrap_or_else(|error| panic!("{place}: {error}")));
    assert_eq!(store.verify(|_| {}).unwrap(), [], "{place}");
    assert!(rows(&store) == found, "{place}: the next writer changed the rows");
    found
}

/// Every call of `step` fails in turn; gives how many there are.
fn fail_each_call(name: &str, step: Step, disk: &MemoryDisk, ground: &Ground) -> u64 {
    let before = rows(&open(disk).unwrap());
    let undisturbed = copy(disk);
    // The same calls come first below, so they have the same numbers.
    step(ground, &open(&undisturbed).unwrap()).unwrap();
    let after = rows(&open(&undisturbed).unwrap());
    for nth in 0.. {
        // Only a write can be short, and who looks finds no full disk.
        let faults = match undisturbed.change_at(nth) {
            Some(true) => &FAULTS[..],
            Some(false) => &FAULTS[..3],
            None => std::slice::from_ref(&FAULTS[1 + nth as usize % 2]),
        };
        for (fault, remedy) in faults {
            let (fault, remedy) = (*fault, *remedy);
            let place = format!("{name}, call {nth}, {fault:?}");
            let failing = copy(disk);
            failing.fail(nth, fault);
            let done = open(&failing).map_err(anyhow::Error::from).and_then(|store| step(ground, &store));
            if !failing.has_failed() {
                return nth;
            }
            if let Err(error) = &done {
                let told = format!("{error:#}");
                assert!(told.contains("/disk/store") && told.contains(remedy), "{place}: {told}");
            }
            if undisturbed.change_at(nth).is_none() {
                assert!(rows(&open(&failing).unwrap()) == before || done.is_ok(), "{place}");
                continue;
            }
            let lost = MemoryDisk::new(failing.state().after_power_loss(|| false), failing.time());
            for disk in [&lost, &failing] {
                let found = sound(disk, &place);
                assert!(found == after || done.is_err() && found == before, "{place}: {} rows", found.len());
            }
            if rows(&open(&failing).unwrap()) != after {
                step(ground, &open(&failing).unwrap()).unwrap_or_else(|error| panic!("{place}: {error:#}"));
            }
            assert!(sound(&failing, &place) == after, "{place}: given again, it ended otherwise");
        }
    }
    unreachable!()
}

#[test]
fn a_call_that_fails_is_told_loses_nothing_and_stops_the_writer() {
    let ground = Ground::new();
    let disk = start(&ground);
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (name, step) in STEPS {
            let here = copy(&disk);
            let ground = &ground;
            threads.push(scope.spawn(move || {
                if name == "remove a model" {
                    STEPS[5].1(ground, &open(&here).unwrap()).unwrap();
                }
                if name == "expire" {
                    open(&here).unwrap().writer("test").unwrap().compact(|_| {}).unwrap();
                    here.advance(700);
                }
                fail_each_call(name, step, &here, ground)
            }));
        }
        let calls: Vec<u64> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(calls.iter().all(|calls| *calls > 30), "{calls:?}");
    });
}

#[test]
fn a_store_whose_making_failed_at_any_call_can_be_made_again() {
    let ground = Ground::new();
    for nth in 0.. {
        for (fault, remedy) in FAULTS {
            let disk = empty_disk();
            disk.fail(nth, fault);
            let made = ground.create(&disk);
            if !disk.has_failed() {
                assert!(nth > 20, "{nth} calls");
                return;
            }
            if let Err(error) = made {
                let told = error.to_string();
                assert!(told.contains("/disk") && told.contains(remedy), "call {nth}: {told}");
                if open(&disk).is_err() {
                    ground.create(&disk).unwrap_or_else(|error| panic!("call {nth}, {fault:?}: {error}"));
                }
            }
            assert!(rows(&open(&disk).unwrap()).is_empty());
        }
    }
}

#[test]
fn a_query_that_cannot_read_says_so_and_blames_no_segment() {
    let ground = Ground::new();
    let disk = start(&ground);
    let whole = rows(&open(&disk).unwrap());
    for nth in 0.. {
        for (fault, remedy) in [FAULTS[1], FAULTS[2]] {
            let failing = copy(&disk);
            failing.fail(nth, fault);
            let asked = open(&failing).and_then(|store| {
                let plan = vestore::QueryPlan::new(&store, &vestore::Request::default())?;
                plan.rows().map(|batch| Ok(batch?.num_rows())).sum::<Result<usize, StoreError>>()
            });
            if !failing.has_failed() {
                assert!(nth > 30, "{nth} calls");
                return;
            }
            match asked {
                Ok(found) => assert_eq!(found, whole.len(), "call {nth}"),
                Err(error) => {
                    let told = error.to_string();
                    assert!(told.contains(remedy) && !told.contains("damaged"), "call {nth}: {told}");
                }
            }
        }
    }
}

/// A removal whose last sync failed is seen, and a loss of power may take it back: whoever writes next makes it
/// durable before the files that it retired are deleted.
#[test]
fn a_removal_that_may_be_taken_back_deletes_nothing() {
    let ground = Ground::new();
    let whole = start(&ground);
    let mut doubtful = 0;
    for call in 0.. {
        let removed = copy(&whole);
        let store = open(&removed).unwrap();
        removed.fail(call, Fault::Refused(5));
        let done = STEPS[3].1(&ground, &store);
        if !removed.has_failed() {
            break;
        }
        removed.heal();
        if done.is_ok() || !rows(&store).is_empty() {
            continue;
        }
        doubtful += 1;
        removed.advance(700);
        for call in 0.. {
            let disk = copy(&removed);
            let store = open(&disk).unwrap();
            disk.fail(call, Fault::Refused(5));
            drop(store.writer("test"));
            let failed = disk.has_failed();
            disk.heal();
            for seed in 0..10 {
                let mut random = Random(seed);
                let state = disk.state().after_power_loss(|| random.below(2) == 0);
                let damage = open(&MemoryDisk::new(state, disk.time())).unwrap().verify(|_| {}).unwrap();
                assert!(!damage.iter().any(Damage::is_loss), "call {call}, seed {seed}: {damage:?}");
            }
            if !failed {
                break;
            }
        }
    }
    assert!(doubtful > 0);
}
