//! Published stores: cut off anywhere, in the making or on their way to a server, they are the old state or the new one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vestore::{PublishOptions, Request, Store, StoreError};
use vestore_schema::Digest;

use crate::crash::{empty_disk, rows, unit};
use crate::kill::copy;
use crate::medium::{MemoryDisk, State};
use crate::programs::{self, fails, ok, said};
use crate::store::answer;
use crate::support::{Random, ScoreKind, model, new_store, run, track, write};

const FOLDER: &str = "/disk/published";

/// A store with a model and a track of two contigs.
fn first_state(root: &Path) -> Store {
    let store = new_store(root, &["1", "HLA-A*01:01"]);
    let mut writer = store.writer("test").unwrap();
    writer.put_model(&model("model")).unwrap();
    let track = track("first", ScoreKind::LlrGrid);
    writer.put_track(&track).unwrap();
    for contig in 0..2 {
        let segment = write(&mut writer, &track, &unit(u64::from(contig), contig, &track, 40));
        writer.commit(&[segment], &run(u64::from(contig) + 1, &track)).unwrap();
    }
    store.clone()
}

/// Adds a track.
fn second_state(store: &Store) {
    let mut writer = store.writer("test").unwrap();
    let track = track("second", ScoreKind::LlrGrid);
    writer.put_track(&track).unwrap();
    let segment = write(&mut writer, &track, &unit(5, 0, &track, 40));
    writer.commit(&[segment], &run(3, &track)).unwrap();
}

fn publish(store: &Store, folder: &Path) {
    store.publish(folder, PublishOptions::default(), |_| {}).unwrap();
}

/// Files below a folder by their paths in it, in the order of names.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found.sort_by(|a, b| a.to_str().cmp(&b.to_str()));
    found
}

fn upload(from: &Path, file: &Path, to: &Path) {
    fs::create_dir_all(to.join(file).parent().unwrap()).unwrap();
    fs::copy(from.join(file), to.join(file)).unwrap();
}

#[test]
fn a_published_store_answers_as_its_store_does_and_is_read_only() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let store = first_state(&at("s"));
    publish(&store, &at("p"));
    let published = Store::open(&at("p")).unwrap();
    assert_eq!(answer(&published, &Request::default()), answer(&store, &Request::default()));
    assert_eq!(published.verify(|_| {}).unwrap(), []);
    assert_eq!(published.runs().unwrap(), store.runs().unwrap());
    assert_eq!(published.snapshot().unwrap().models[0].checkpoint, "");
    assert!(matches!(published.writer("test"), Err(StoreError::Published { .. })));
    let before = files(&at("p"));
    for words in ["query {} --format tsv", "info {}", "track list {}", "model list {}", "verify {} --quiet"] {
        ok(words, &[&at("p")]);
    }
    for words in
        ["compact {}", "score {} --model model --region 1:1-9", "model add {} other --checkpoint nowhere"]
    {
        assert!(fails(1, words, &[&at("p")]).contains("read-only; change the store"), "{words}");
    }
    // Nobody leaves a lock or anything else there, and no file names a place of this machine.
    assert_eq!(files(&at("p")), before);
    for file in before {
        let bytes = fs::read(at("p").join(file)).unwrap();
        for place in ["nowhere", folder.path().to_str().unwrap()] {
            assert!(!bytes.windows(place.len()).any(|window| window == place.as_bytes()));
        }
    }
}

#[test]
fn the_same_state_is_the_same_bytes_and_publishing_again_copies_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let store = first_state(&at("s"));
    publish(&store, &at("p"));
    // The same rows in a catalog with another history.
    store.writer("test").unwrap().put_model(&model("other")).unwrap();
    store.writer("test").unwrap().remove_model("other").unwrap();
    let again = store.publish(&at("p"), PublishOptions::default(), |_| {}).unwrap();
    assert_eq!((again.files, again.new_files, again.earlier.len()), (4, 0, 0));
    publish(&store, &at("q"));
    assert_eq!(files(&at("p")), files(&at("q")));
    let older = Store::open(&at("p")).unwrap();
    let old_rows = answer(&older, &Request::default());
    second_state(&store);
    let next = store.publish(&at("p"), PublishOptions::default(), |_| {}).unwrap();
    // A segment, the catalog and the head; the earlier catalog is left for whoever reads it.
    assert_eq!((next.files, next.new_files, next.earlier.len()), (5, 3, 1));
    assert_eq!(answer(&older, &Request::default()), old_rows);
    assert!(
        said("publish {} {} --prune", &[&at("s"), &at("p")]).contains("1 file of earlier states removed")
    );
    assert!(matches!(older.snapshot(), Err(StoreError::Incomplete { .. })));
    assert_eq!(files(&at("p")).len(), 5);
    assert_eq!(rows(&Store::open(&at("p")).unwrap()), rows(&store));
}

#[test]
fn a_folder_that_is_something_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let store = first_state(&at("s"));
    let refused = |folder: &Path| store.publish(folder, PublishOptions::default(), |_| {}).unwrap_err();
    assert!(matches!(refused(&at("s")), StoreError::Unpublished { .. }));
    fs::create_dir(at("full")).unwrap();
    fs::write(at("full/file"), "").unwrap();
    assert!(matches!(refused(&at("full")), StoreError::Unpublished { .. }));
    assert!(matches!(refused(&at("full/file")), StoreError::Unpublished { .. }));
    assert!(fails(1, "publish {} {}", &[&at("s"), &at("s/inside")]).contains("lies in a vestore store"));
    // Another store whose files have the same names.
    let other = new_store(&at("o"), &["1", "HLA-A*01:01"]);
    let mut writer = other.writer("test").unwrap();
    let track = track("first", ScoreKind::LlrGrid);
    writer.put_track(&track).unwrap();
    let segment = write(&mut writer, &track, &unit(77, 0, &track, 40));
    writer.commit(&[segment], &run(1, &track)).unwrap();
    publish(&other, &at("p"));
    assert!(matches!(refused(&at("p")), StoreError::OtherPublished { .. }));
    let third = new_store(&at("t"), &["X"]);
    let refusal = third.publish(&at("p"), PublishOptions::default(), |_| {}).unwrap_err();
    assert!(matches!(refusal, StoreError::OtherPublished { .. }));
    assert_eq!(rows(&Store::open(&at("p")).unwrap()), rows(&other));
    // Outputs are not written among its files.
    assert!(
        fails(1, "query {} --format tsv -o {}", &[&at("s"), &at("p/x.tsv")])
            .contains("lies in a vestore store")
    );
}

/// What is published in a folder of a disk: nothing yet, or its rows.
fn published(disk: &MemoryDisk) -> Option<crate::store::Answer> {
    match Store::open_on(Path::new(FOLDER), Arc::new(disk.clone())) {
        Err(StoreError::NotAStore { .. }) => None,
        store => {
            let store = store.unwrap();
            assert_eq!(store.verify(|_| {}).unwrap(), []);
            Some(rows(&store))
        }
    }
}

#[test]
fn publishing_cut_at_any_call_leaves_the_old_state_or_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = first_state(&folder.path().join("s"));
    let disk = empty_disk();
    let mut begun = State::new(Path::new("/disk"));
    let mut random = Random(4);
    let mut old = None;
    for prune in [false, true] {
        let options = PublishOptions { prune, ..PublishOptions::default() };
        let already = disk.log().len();
        store.publish_on(Path::new(FOLDER), Arc::new(disk.clone()), options, |_| {}).unwrap();
        let new = Some(rows(&store));
        assert_eq!(published(&disk), new);
        let log = disk.log();
        for call in &log[already..] {
            let lost = begun.after_power_loss(|| random.below(2) == 0);
            for state in [begun.clone(), lost] {
                let cut = MemoryDisk::new(state, 0);
                let found = published(&cut);
                assert!(found == old || found == new, "before {}", call.name());
                store.publish_on(Path::new(FOLDER), Arc::new(cut.clone()), options, |_| {}).unwrap();
                assert_eq!(published(&cut), new, "again before {}", call.name());
                let partial = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "partial");
                assert!(!cut.state().files().iter().any(partial), "before {}", call.name());
            }
            begun.apply(call).unwrap();
        }
        old = new;
        second_state_once(&store);
    }
}

fn second_state_once(store: &Store) {
    if store.snapshot().unwrap().tracks.len() == 1 {
        second_state(store);
    }
}

#[test]
fn an_upload_cut_off_anywhere_is_never_seen_half() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let store = first_state(&at("s"));
    publish(&store, &at("p"));
    let old = rows(&store);
    let first = files(&at("p"));
    assert_eq!(first.last().unwrap(), Path::new("vestore.json"));
    for file in &first {
        let refused = Store::open(&at("u"));
        assert!(matches!(refused, Err(StoreError::NotAStore { .. })), "before {}", file.display());
        upload(&at("p"), file, &at("u"));
    }
    assert_eq!(rows(&Store::open(&at("u")).unwrap()), old);
    second_state(&store);
    publish(&store, &at("p"));
    for file in files(&at("p")) {
        assert_eq!(rows(&Store::open(&at("u")).unwrap()), old, "before {}", file.display());
        upload(&at("p"), &file, &at("u"));
    }
    assert_eq!(rows(&Store::open(&at("u")).unwrap()), rows(&store));
    // One that went in another order, and lacks a file.
    for file in files(&at("p")) {
        let lacking = tempfile::tempdir().unwrap();
        copy(&at("p"), lacking.path());
        fs::remove_file(lacking.path().join(&file)).unwrap();
        let output = programs::run("query {} --format tsv", &[lacking.path()]);
        let said = String::from_utf8(output.stderr).unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        match name {
            "vestore.json" => assert!(said.contains("not a vestore store"), "{said}"),
            // The earlier one.
            _ if output.status.success() => assert!(name.starts_with("catalog-"), "{name}"),
            _ => assert!(
                said.contains("incomplete copy") && said.contains(name) && said.contains("upload again"),
                "{said}"
            ),
        }
    }
}

#[test]
fn the_reference_and_copied_models_are_published_on_demand() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let fasta = at("genome.fa");
    programs::genome(&fasta);
    programs::checkpoint(
        &at("model"),
        "nucleotide-transformer-v2",
        "--layers 2 --hidden 8 --heads 2 --intermediate 8",
    );
    for (store, options) in [("plain", ""), ("copied", "--copy")] {
        ok(&format!("init {{}} --reference {{}} {options}"), &[&at(store), &fasta]);
        ok(&format!("model add {{}} m --checkpoint {{}} {options}"), &[&at(store), &at("model")]);
        // It has the same files.
        ok("model add {} half --from m --drop-layers 1", &[&at(store)]);
        let target = at(&format!("{store}-published"));
        let told = said("publish {} {} --reference --models", &[&at(store), &target]);
        assert_eq!(told.contains("model m is not published"), store == "plain", "{told}");
        assert!(said("verify {} --quiet", &[&target]).contains("3 contigs checked"));
        assert!(
            said("publish {} {} --reference --models", &[&at(store), &target])
                .contains("0 files of 0 bytes new")
        );
        assert_eq!(target.join("models").exists(), store == "copied");
        let told = said("publish {} {} --prune", &[&at(store), &target]);
        assert!(told.contains("of earlier states removed") && !target.join("reference").exists(), "{told}");
        assert!(said("verify {} --quiet", &[&target]).contains("this published store has no reference"));
    }
    let genomes = ["plain", "copied"].map(|store| {
        ok("publish {} {} --reference --quiet", &[&at(store), &at(&format!("{store}-again"))]);
        Digest::of(&fs::read(at(&format!("{store}-again/reference/genome.fa.gz"))).unwrap())
    });
    assert_eq!(genomes[0], genomes[1]);
}
