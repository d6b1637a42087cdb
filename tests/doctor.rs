//! `vestore doctor` tells what scoring finds, also where it finds nothing; scoring says where it runs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::libtorch::{installed, libraries};
use crate::programs::{run, said, store};

/// The findings of `program` as a user whose home is `home`, and the exit code.
fn doctor(program: &Path, home: &Path, variables: &[(&str, &str)]) -> (Value, Option<i32>) {
    let mut command = Command::new(program);
    command.args(["doctor", "--format", "json"]).env_clear().env("HOME", home).env("PATH", home.join("bin"));
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let found = serde_json::from_slice(&output.stdout);
    (found.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr))), output.status.code())
}

fn remedies(found: &Value) -> String {
    found["remedies"].to_string()
}

#[test]
fn what_is_missing_is_told_with_its_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let program = installed(folder.path());
    let home = folder.path().join("home");
    fs::create_dir(&home).unwrap();
    let (found, code) = doctor(&program, &home, &[]);
    assert_eq!((code, &found["can_score"], &found["libtorch"]), (Some(1), &false.into(), &Value::Null));
    assert!(remedies(&found).contains("libtorch 2.11.0 is missing"), "{found}");
    assert_eq!(found["installation"], "copied");

    let cache = home.join(".cache/vestore/libtorch-2.11.0-cpu");
    fs::create_dir_all(&cache).unwrap();
    symlink(libraries(), cache.join("lib")).unwrap();
    fs::write(cache.join("build-version"), "2.11.0\n").unwrap();
    let (found, code) = doctor(&program, &home, &[]);
    assert_eq!((code, &found["can_score"]), (Some(0), &true.into()), "{found}");
    assert_eq!(found["engine"]["version"], found["vestore"]["version"]);
    let libtorch = &found["libtorch"];
    assert_eq!([&libtorch["version"], &libtorch["rule"]], ["2.11.0", "the cache of `make setup`"]);
    assert_eq!(found["caches"][0]["bytes"], 7, "{found}");
    assert!(found["usable_gpus"] != 0 || remedies(&found).contains("no GPU: "), "{found}");
    let table =
        Command::new(&program).arg("doctor").env("HOME", &home).env_remove("VESTORE_CACHE").output().unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("libtorch     2.11.0, ") && table.contains("driver"), "{table}");

    fs::remove_file(program.with_file_name("vestore-ingest")).unwrap();
    let (found, code) = doctor(&program, &home, &[]);
    assert_eq!((code, &found["can_score"]), (Some(1), &false.into()));
    assert!(remedies(&found).contains("the engine is missing"), "{found}");
}

#[test]
fn the_remedies_are_those_of_the_kind_of_installation() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("tree/root");
    fs::create_dir_all(&root).unwrap();
    let program = installed(&root);
    fs::remove_file(program.with_file_name("vestore-ingest")).unwrap();
    // The last kind that applies is the one that counts.
    for (kind, place, libtorch, engine) in [
        ("checkout", "../scripts/libtorch.py", "run `make setup`", "run `make build`"),
        ("prefix", "lib/vestore/libc10.so", "run `make install`", "`make install` in the checkout"),
        (
            "python",
            "lib/python3.12/site-packages/vestore-0.1.0.dist-info/RECORD",
            "run `pip install torch==2.11.0`",
            "the Python package `vestore-engine`",
        ),
        ("conda", "conda-meta/vestore-0.1.0-h0_0.json", "run `conda install libtorch", "conda package"),
    ] {
        let place = root.join(place);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, "").unwrap();
        let (found, code) = doctor(&program, folder.path(), &[]);
        assert_eq!((code, &found["installation"]), (Some(1), &kind.into()), "{found}");
        for remedy in [libtorch, engine] {
            assert!(remedies(&found).contains(remedy), "{kind}: {found}");
        }
    }
}

#[test]
fn libraries_for_gpus_come_before_those_for_cpus() {
    let folder = tempfile::tempdir().unwrap();
    let program = installed(folder.path());
    let home = folder.path().join("home");
    let cache = home.join(".cache/vestore");
    let plain = cache.join("libtorch-2.11.0-cpu");
    fs::create_dir_all(&plain).unwrap();
    symlink(libraries(), plain.join("lib")).unwrap();
    let packages = home.join("environment/lib/python3.12/site-packages");
    fs::create_dir_all(packages.join("torch-2.11.0.dist-info")).unwrap();
    let full = packages.join("torch/lib");
    fs::create_dir_all(&full).unwrap();
    for library in libraries().read_dir().unwrap() {
        let library = library.unwrap();
        symlink(library.path(), full.join(library.file_name())).unwrap();
    }
    fs::write(packages.join("torch/version.py"), "__all__ = []\n__version__ = '2.11.0+cu130'\n").unwrap();
    let environment = home.join("environment");
    let variables = [("VIRTUAL_ENV", environment.to_str().unwrap())];
    let rule = |expected: &str, cuda: bool| {
        let (found, code) = doctor(&program, &home, &variables);
        assert_eq!(code, Some(0), "{found}");
        let libtorch = &found["libtorch"];
        assert_eq!((&libtorch["rule"], &libtorch["cuda"]), (&expected.into(), &cuda.into()));
        found
    };
    // A package for CPUs alone has nothing that the cache lacks.
    rule("the cache of `make setup`", false);
    // Not a library, so it cannot be loaded.
    fs::write(full.join("libtorch_cuda.so"), "").unwrap();
    let found = rule("an installed Python package", true);
    assert_eq!(found["libtorch"]["version"], "2.11.0+cu130");
    assert_eq!(found["usable_gpus"], 0);
    // What was set up for this program comes first.
    let set_up = cache.join("libtorch-2.11.0-cuda/torch");
    fs::create_dir_all(&set_up).unwrap();
    fs::rename(&full, set_up.join("lib")).unwrap();
    rule("the cache of `make setup CUDA=1`", true);
}

#[test]
fn threads_behave_as_the_user_says_else_politely() {
    let folder = tempfile::tempdir().unwrap();
    let program = installed(folder.path());
    let threads =
        |variables: &[(&str, &str)]| doctor(&program, folder.path(), variables).0["threads"].clone();
    let usable = std::thread::available_parallelism().unwrap().get();
    let names = |set: &Value| -> Vec<String> {
        set.as_array().unwrap().iter().map(|pair| pair[0].as_str().unwrap().to_owned()).collect()
    };
    let found = threads(&[]);
    assert_eq!(found["usable"], usable);
    assert_eq!(names(&found["added"]), ["GOMP_SPINCOUNT", "OMP_NUM_THREADS"]);
    assert_eq!(found["added"][1][1], usable.to_string());
    let found = threads(&[("OMP_WAIT_POLICY", "active"), ("OMP_NUM_THREADS", "1")]);
    assert_eq!((names(&found["given"]).len(), names(&found["added"]).len()), (2, 0));

    // OpenMP reads its environment when the engine is loaded, so it is there from the start.
    symlink(libraries(), program.with_file_name("lib")).unwrap();
    let engine = program.with_file_name("vestore-ingest");
    fs::write(&engine, "#!/bin/sh\nexec /usr/bin/env\n").unwrap();
    let environment = |variables: &[(&str, &str)]| -> Vec<String> {
        let output =
            Command::new(&program).arg("score").env_clear().envs(variables.iter().copied()).output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    };
    let settled = environment(&[]);
    for expected in ["GOMP_SPINCOUNT=1000".to_owned(), format!("OMP_NUM_THREADS={usable}")] {
        assert!(settled.contains(&expected), "{settled:?}");
    }
    let settled = environment(&[("OMP_WAIT_POLICY", "active"), ("OMP_NUM_THREADS", "1")]);
    assert!(settled.contains(&"OMP_NUM_THREADS=1".to_owned()), "{settled:?}");
    assert!(!settled.iter().any(|line| line.starts_with("GOMP_SPINCOUNT")), "{settled:?}");
}

#[test]
fn auto_says_which_device_it_took() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    let score = "score {} --model small --window 96 --track t --region";
    let told = said(&format!("{score} chr1:1001-1002"), &[&store]);
    let device = told.lines().find(|line| line.starts_with("device: ")).expect(&told);
    assert!(device.contains("cuda:0") || device.starts_with("device: cpu; no GPU: "), "{told}");
    assert!(!said(&format!("{score} chr1:1003 --quiet"), &[&store]).contains("device: "));
    assert!(!said(&format!("{score} chr1:1004 --device cpu"), &[&store]).contains("device: "));
    // Threads that are not asked for are those of OpenMP.
    let mut one = crate::programs::command(&format!("{score} chr1:1005 --quiet"), &[&store]);
    assert!(one.env("OMP_NUM_THREADS", "1").status().unwrap().success());
    let runs: Value = serde_json::from_slice(&run("run list {} --format json", &[&store]).stdout).unwrap();
    assert_eq!(runs.as_array().unwrap().iter().filter(|run| run["threads"] == 1).count(), 1, "{runs}");
}
