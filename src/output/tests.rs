use std::fs;
use std::os::unix::fs::symlink;

use super::*;

fn rules(inputs: &[PathBuf]) -> OutputRules<'_> {
    OutputRules { force: true, inputs }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_appears_whole_and_is_replaced_only_by_force() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let none = OutputRules::default();
    let mut output = Output::create(Some(&path), &none).unwrap();
    output.write_all(b"new").unwrap();
    assert!(!path.exists());
    let twice = Output::create(Some(&path), &none).unwrap_err();
    assert!(matches!(twice, OutputError::Twice { .. }) && twice.is_usage(), "{twice}");
    output.finish().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert!(matches!(Output::create(Some(&path), &none), Err(OutputError::Exists { .. })));
    // Dropped, as after an error, it leaves the old file and nothing else.
    Output::create(Some(&path), &rules(&[])).unwrap().write_all(b"half").unwrap();
    assert_eq!((fs::read(&path).unwrap(), names(folder.path())), (b"new".to_vec(), vec!["out".to_owned()]));
    // What came meanwhile is not replaced either.
    fs::remove_file(&path).unwrap();
    let output = Output::create(Some(&path), &none).unwrap();
    fs::write(&path, "other").unwrap();
    assert!(matches!(output.finish(), Err(OutputError::Exists { .. })));
    assert_eq!((fs::read(&path).unwrap(), names(folder.path())), (b"other".to_vec(), vec!["out".to_owned()]));
}

#[test]
fn inputs_are_never_written_by_whatever_name() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["in.fa", "in.fa.fai", "model.bin"] {
        fs::write(at(name), name).unwrap();
    }
    fs::create_dir(at("checkpoint")).unwrap();
    fs::hard_link(at("model.bin"), at("checkpoint/model.bin")).unwrap();
    fs::hard_link(at("in.fa"), at("hard")).unwrap();
    symlink("in.fa", at("soft")).unwrap();
    let inputs = [at("in.fa"), at("checkpoint")];
    for name in
        ["in.fa", "in.fa.fai", "hard", "soft", "model.bin", "checkpoint/model.bin", "checkpoint/../in.fa"]
    {
        let error = Output::create(Some(&at(name)), &rules(&inputs)).unwrap_err();
        assert!(matches!(error, OutputError::Input { .. }), "{name}: {error}");
    }
    assert!(matches!(check_output_folder(&at("checkpoint"), &inputs), Err(OutputError::Input { .. })));
    assert_eq!(fs::read(at("in.fa")).unwrap(), b"in.fa");
}

#[test]
fn addresses_stores_folders_and_lost_links_are_no_outputs() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    fs::create_dir_all(store.join("scores")).unwrap();
    fs::write(store.join("catalog.redb"), "catalog").unwrap();
    symlink(store.join("scores"), folder.path().join("door")).unwrap();
    symlink("nowhere", folder.path().join("lost")).unwrap();
    let error = |path: &Path| Output::create(Some(path), &rules(&[])).unwrap_err();
    for address in ["s3://bucket/x.tsv", "gs://b/x", "https://a.org/x", "file:///tmp/x"] {
        assert!(matches!(error(Path::new(address)), OutputError::Scheme { .. }), "{address}");
        assert!(matches!(check_output_folder(Path::new(address), &[]), Err(OutputError::Scheme { .. })));
    }
    for path in ["store/catalog.redb", "store/new", "store/scores/new", "door/new"] {
        assert!(matches!(error(&folder.path().join(path)), OutputError::InStore { .. }), "{path}");
    }
    for path in ["store", "store/new/folder", "door/new"] {
        let refused = check_output_folder(&folder.path().join(path), &[]);
        assert!(matches!(refused, Err(OutputError::InStore { .. })), "{path}");
    }
    assert!(matches!(error(folder.path()), OutputError::Folder { .. }));
    assert!(matches!(error(&folder.path().join("new/")), OutputError::Folder { .. }));
    let lost = Output::create(Some(&folder.path().join("lost")), &OutputRules::default()).unwrap_err();
    assert!(matches!(lost, OutputError::Exists { .. }), "{lost}");
    let missing = error(&folder.path().join("missing/x"));
    assert!(missing.to_string().contains("cannot write"), "{missing}");
    assert_eq!(names(&store), ["catalog.redb", "scores"]);
}

#[test]
fn a_link_is_replaced_and_a_device_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (victim, link) = (folder.path().join("victim"), folder.path().join("link"));
    fs::write(&victim, "victim").unwrap();
    symlink(&victim, &link).unwrap();
    let mut output = Output::create(Some(&link), &rules(&[])).unwrap();
    output.write_all(b"new").unwrap();
    output.finish().unwrap();
    assert_eq!((fs::read(&victim).unwrap(), fs::read(&link).unwrap()), (b"victim".to_vec(), b"new".to_vec()));
    let mut null = Output::create(Some(Path::new("/dev/null")), &OutputRules::default()).unwrap();
    null.write_all(b"gone").unwrap();
    null.finish().unwrap();
}

#[test]
fn a_report_of_the_same_command_is_replaced_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report");
    for (text, may) in
        [("head\nrow\n", true), ("head\n", true), ("header\n", false), ("head", false), ("", false)]
    {
        fs::write(&path, text).unwrap();
        let created = Output::report(&path, "head", &OutputRules::default());
        assert_eq!(created.is_ok(), may, "{text:?}");
    }
    fs::write(&path, "head\n").unwrap();
    let inputs = [path.clone()];
    let error = Output::report(&path, "head", &OutputRules { force: false, inputs: &inputs }).unwrap_err();
    assert!(matches!(error, OutputError::Input { .. }), "{error}");
}

/// What a folder holds, known where every name begins with `k`.
fn contents(folder: &Path) -> Result<Vec<PathBuf>, PathBuf> {
    let found: Vec<PathBuf> = names(folder).iter().map(|name| folder.join(name)).collect();
    let known = |path: &&PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with('k');
    match found.iter().find(|path| !known(path)) {
        Some(foreign) => Err(foreign.clone()),
        None => Ok(found),
    }
}

#[test]
fn what_comes_into_a_folder_that_is_being_replaced_stays_with_all_that_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hive");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("k1"), "old").unwrap();
    let output = OutputFolder::create(&path, &rules(&[]), contents).unwrap();
    fs::write(output.folder().join("k2"), "new").unwrap();
    fs::write(path.join("added"), "mine").unwrap();
    let error = output.finish().unwrap_err();
    assert!(
        matches!(&error, OutputError::Foreign { path: foreign } if *foreign == path.join("added")),
        "{error}"
    );
    assert_eq!(
        (names(&path), names(folder.path())),
        (vec!["added".to_owned(), "k1".to_owned()], vec!["hive".to_owned()])
    );
    // Another export of the same kind came first: the last one stands, and nothing of the others stays anywhere.
    fs::remove_file(path.join("added")).unwrap();
    let output = OutputFolder::create(&path, &rules(&[]), contents).unwrap();
    fs::write(output.folder().join("k2"), "new").unwrap();
    fs::write(path.join("k3"), "late").unwrap();
    output.finish().unwrap();
    assert_eq!((names(&path), names(folder.path())), (vec!["k2".to_owned()], vec!["hive".to_owned()]));
}

#[test]
fn folders_give_way_only_where_all_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hive");
    let make = |force: bool, name: &str| -> Result<(), OutputError> {
        let output = OutputFolder::create(&path, &OutputRules { force, inputs: &[] }, contents)?;
        fs::write(output.folder().join(name), name).unwrap();
        output.finish()
    };
    make(false, "k1").unwrap();
    assert!(matches!(make(false, "k2"), Err(OutputError::Exists { .. })));
    make(true, "k2").unwrap();
    assert_eq!(names(&path), ["k2"]);
    fs::write(path.join("foreign"), "").unwrap();
    assert!(matches!(make(true, "k3"), Err(OutputError::Foreign { .. })));
    assert_eq!(
        (names(&path), names(folder.path())),
        (vec!["foreign".to_owned(), "k2".to_owned()], vec!["hive".to_owned()])
    );
    // Not finished: nothing stays.
    fs::remove_file(path.join("foreign")).unwrap();
    drop(OutputFolder::create(&path, &rules(&[]), contents).unwrap());
    assert_eq!((names(&path), names(folder.path())), (vec!["k2".to_owned()], vec!["hive".to_owned()]));
}
