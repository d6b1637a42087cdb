//! `make install` leaves what runs with nothing else around, and `make uninstall` leaves nothing.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::libtorch::libraries;
use crate::programs::{vestore, workspace};

/// `make TARGET` for the prefix `/opt/vestore` below `folder`, as somebody without Rust.
fn make(target: &str, folder: &Path, more: &[&str]) -> Output {
    let mut command = Command::new("make");
    command.arg(target).arg("PREFIX=/opt/vestore").arg(format!("DESTDIR={}", folder.display())).args(more);
    command.current_dir(workspace()).env_clear().env("HOME", folder).env("PATH", "/usr/bin:/bin");
    command.output().unwrap()
}

fn made(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What an installed program prints, with an environment that has a home alone.
fn ran(program: &Path, home: &Path, words: &[&str]) -> String {
    let output = Command::new(program).args(words).env_clear().env("HOME", home).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_installation_needs_nothing_of_the_checkout_and_goes_without_a_trace() {
    vestore(); // `make install` builds nothing
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    fs::create_dir(&home).unwrap();
    made(&make("install", folder.path(), &[]));
    let prefix = folder.path().join("opt/vestore");
    let program = prefix.join("bin/vestore");

    let found: Value = serde_json::from_str(&ran(&program, &home, &["doctor", "--format", "json"])).unwrap();
    assert_eq!((&found["can_score"], &found["installation"]), (&true.into(), &"prefix".into()), "{found}");
    let libtorch = &found["libtorch"];
    assert_eq!(libtorch["folder"], prefix.join("lib/vestore").to_str().unwrap());
    assert_eq!((&libtorch["rule"], &libtorch["version"]), (&"`make install`".into(), &"2.11.0".into()));

    let store = home.join("mito.vestore");
    let store = store.to_str().unwrap();
    let examples = workspace().join("examples");
    let example = |name: &str| examples.join(name).to_str().unwrap().to_owned();
    ran(&program, &home, &["init", store, "--reference", &example("mitochondrion.fa")]);
    ran(&program, &home, &["model", "add", store, "small", "--checkpoint", &example("model")]);
    ran(&program, &home, &["score", store, "--model", "small", "--region", "MT:3243", "--device", "cpu"]);
    assert_eq!(ran(&program, &home, &["query", store, "MT:3243", "--format", "tsv"]).lines().count(), 4);

    for (file, word) in [
        ("share/man/man1/vestore-train-finetune.1", "adapter"),
        ("share/bash-completion/completions/vestore", "--strands"),
        ("share/fish/vendor_completions.d/vestore.fish", "strands"),
        ("share/zsh/site-functions/_vestore", "--strands"),
    ] {
        assert!(fs::read_to_string(prefix.join(file)).unwrap().contains(word), "{file}");
    }

    // A package manager's environment has its own libtorch.
    let path = format!("LD_LIBRARY_PATH={}", libraries().display());
    made(&make("install", folder.path(), &["LIBTORCH_FROM=environment", &path]));
    assert!(!prefix.join("lib/vestore").exists() && program.is_file());
    made(&make("uninstall", folder.path(), &[]));
    let left = Command::new("find").arg(&prefix).args(["!", "-type", "d"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&left.stdout), "");
}

#[test]
fn libraries_for_gpus_are_installed_where_they_find_each_other() {
    vestore();
    let folder = tempfile::tempdir().unwrap();
    let output = make("install", folder.path(), &["CUDA=1"]);
    let told = String::from_utf8_lossy(&output.stderr);
    let cuda = folder.path().join(".cache/vestore/libtorch-2.11.0-cuda");
    assert!(told.contains(&format!("{}; run `make setup CUDA=1`", cuda.display())), "{told}");
    assert!(!output.status.success() && !folder.path().join("opt").exists());

    // As the set-up lays them; the one for GPUs is empty, so that none is used.
    fs::create_dir_all(cuda.join("torch/lib")).unwrap();
    fs::create_dir_all(cuda.join("nvidia/cu13/lib")).unwrap();
    fs::write(cuda.join("nvidia/cu13/lib/libcublas.so.13"), "").unwrap();
    fs::write(cuda.join("torch/lib/libtorch_cuda.so"), "").unwrap();
    for library in libraries().read_dir().unwrap() {
        let library = library.unwrap();
        symlink(library.path(), cuda.join("torch/lib").join(library.file_name())).unwrap();
    }
    made(&make("install", folder.path(), &["CUDA=1"]));
    let prefix = folder.path().join("opt/vestore");
    assert!(prefix.join("lib/vestore/nvidia/cu13/lib/libcublas.so.13").is_file());
    let words = ["doctor", "--format", "json"];
    let found: Value = serde_json::from_str(&ran(&prefix.join("bin/vestore"), &prefix, &words)).unwrap();
    let libtorch = &found["libtorch"];
    assert_eq!((&libtorch["rule"], &libtorch["cuda"]), (&"`make install CUDA=1`".into(), &true.into()));
}
