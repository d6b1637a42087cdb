//! Copies of models in a store, their removal, and new names.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::programs::{checkpoint, fails, genome, ok, said, store};

/// A store without models, and a small checkpoint.
fn start(folder: &Path) -> (PathBuf, PathBuf) {
    let (fasta, model, store) = (folder.join("genome.fa"), folder.join("ck"), folder.join("s"));
    genome(&fasta);
    checkpoint(
        &model,
        "nucleotide-transformer-v2",
        "--layers 2 --hidden 32 --heads 2 --intermediate 64 --seed 5",
    );
    ok("init {} --reference {}", &[&store, &fasta]);
    (store, model)
}

/// Paths below `models/` and contents.
fn copies(store: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![store.join("models")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push((path.clone(), fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn models(store: &Path) -> Vec<Value> {
    serde_json::from_str(&ok("model show {} --format json", &[store])).unwrap()
}

#[test]
fn a_copy_is_never_written_over_and_verify_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = start(folder.path());
    fs::write(model.join("profile"), "not read by any loader").unwrap();
    ok("model add {} m --checkpoint {} --copy", &[&store, &model]);
    let before = copies(&store);
    let copied = |name: &str| before.iter().any(|(path, _)| path.ends_with(name));
    assert!(copied("config.json") && copied("model.safetensors") && !copied("profile"), "{before:?}");
    let inside = before[0].0.parent().unwrap().to_owned();
    ok("model add {} m --from m --copy", &[&store]);
    ok("model add {} m --checkpoint {} --copy", &[&store, &inside]);
    assert!(fails(1, "model add {} other --from m --copy", &[&store]).contains("in the store as `m`"));
    let other = folder.path().join("ck2");
    checkpoint(
        &other,
        "nucleotide-transformer-v2",
        "--layers 2 --hidden 32 --heads 2 --intermediate 64 --seed 6",
    );
    // Taken: told before anything is copied.
    assert!(fails(1, "model add {} m --checkpoint {} --copy", &[&store, &other]).contains("another model"));
    assert!(copies(&store) == before);
    said("verify {} --quiet", &[&store]);
    // A derived model shares the copy, which therefore stays.
    ok("model add {} half --from m --drop-layers 1", &[&store]);
    assert_eq!(models(&store)[0]["checkpoint"], models(&store)[1]["checkpoint"]);
    assert!(fails(1, "model remove {} m", &[&store]).contains("model `half`"));
    let weights = &before.iter().find(|(path, _)| path.ends_with("model.safetensors")).unwrap().0;
    let mut damaged = fs::read(weights).unwrap();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    fs::write(weights, &damaged).unwrap();
    let told = String::from_utf8(crate::programs::run("verify {} --quiet", &[&store]).stdout).unwrap();
    assert!(told.contains("the copy of model `m` is damaged"), "{told}");
    ok("model remove {} half", &[&store]);
    ok("model add {} m --checkpoint {} --copy", &[&store, &model]);
    said("verify {} --quiet", &[&store]);
    assert_eq!(copies(&store).len(), before.len(), "the damaged copy stayed");
    ok("model remove {} m", &[&store]);
    assert!(copies(&store).is_empty() && models(&store).is_empty());
}

#[test]
fn links_are_neither_written_through_nor_copied_out_of_their_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (store, model) = start(folder.path());
    let at = |name: &str| folder.path().join(name);
    let (victim, key) = (at("victim"), at("key"));
    fs::write(&victim, "original").unwrap();
    fs::write(&key, "---\nlicense: private\n---\n").unwrap();
    let scratch = at("scratch");
    ok("init {} --reference {}", &[&scratch, &at("genome.fa")]);
    ok("model add {} m --checkpoint {} --copy", &[&scratch, &model]);
    let id = models(&scratch)[0]["id"].as_str().unwrap().to_owned();
    // A stranger's store has links where the copy would go.
    let planted = store.join("models").join(&id).join("checkpoint");
    fs::create_dir_all(&planted).unwrap();
    symlink(&victim, planted.join("config.json")).unwrap();
    ok("model add {} m --checkpoint {} --copy", &[&store, &model]);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "original");
    said("verify {} --quiet", &[&store]);
    let door = at("door");
    ok("init {} --reference {}", &[&door, &at("genome.fa")]);
    fs::create_dir(at("elsewhere")).unwrap();
    symlink(at("elsewhere"), door.join("models")).unwrap();
    fails(1, "model add {} m --checkpoint {} --copy", &[&door, &model]);
    assert_eq!(fs::read_dir(at("elsewhere")).unwrap().count(), 0);
    // A stranger's checkpoint has links to what its reader can read.
    fs::remove_file(model.join("README.md")).unwrap();
    symlink(&key, model.join("README.md")).unwrap();
    ok("model remove {} m", &[&scratch]);
    let told = fails(1, "model add {} m --checkpoint {} --copy", &[&scratch, &model]);
    assert!(told.contains("link to another place"), "{told}");
    assert!(!copies(&scratch).iter().any(|(_, bytes)| bytes.starts_with(b"---\nlicense: private")));
}

#[test]
fn a_renamed_model_keeps_its_tracks_and_children_and_scores_on() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    let scored = "score {} --region chr1:101-104 --window 60 --device cpu --threads 1 --quiet --model";
    ok(&format!("{scored} small --track kept"), &[&store]);
    ok("model add {} half --from small --drop-layers 0", &[&store]);
    let before = ok("query {} --format tsv", &[&store]);
    assert!(fails(1, "model rename {} small half", &[&store]).contains("another model"));
    fails(2, "model rename {} small 1x", &[&store]);
    assert!(fails(1, "model rename {} nope x", &[&store]).contains("no model `nope`"));
    ok("model rename {} small large", &[&store]);
    assert_eq!(ok("query {} --format tsv", &[&store]), before.replace("\tsmall\t", "\tlarge\t"));
    assert_eq!(models(&store)[0]["parent"], "large");
    assert!(fails(1, "model remove {} large", &[&store]).contains("track `kept`, model `half`"));
    // The same model and recipe: nothing is scored again.
    assert!(said(&format!("{scored} large --track kept"), &[&store]).contains("nothing to do"));
    said("verify {} --quiet", &[&store]);
    let listed: Value = serde_json::from_str(&ok("run list {} --format json", &[&store])).unwrap();
    assert_eq!((listed[0]["track"].as_str(), listed[0]["rows"].as_u64()), (Some("kept"), Some(12)));
    let shown = ok("run show {} 1", &[&store]);
    assert!(shown.contains("kept") && shown.contains("plan digest"), "{shown}");
    assert!(fails(1, "run show {} 7", &[&store]).contains("no run `7`"));
}
