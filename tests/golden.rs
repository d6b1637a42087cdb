//! The golden set of the reference implementations, where it is at hand.

use std::path::PathBuf;
use std::process::Command;

use crate::programs::{vestore, workspace};

#[test]
fn the_golden_set_is_reproduced_through_the_command_line() {
    reproduce("parity.py", "golden");
}

#[test]
fn the_golden_set_of_splice_sites_is_reproduced_through_the_command_line() {
    reproduce("parity_splice.py", "golden-splice");
}

#[test]
fn the_golden_set_of_regulatory_models_is_reproduced_through_the_command_line() {
    reproduce("parity_regulatory.py", "golden-regulatory");
}

/// Runs a program that scores a golden set and compares.
#[expect(clippy::print_stdout, reason = "it says what was skipped or compared")]
fn reproduce(tool: &str, set: &str) {
    let shared = std::env::var_os("VESTORE_SHARED").map_or(workspace().join("../shared"), PathBuf::from);
    let tool = shared.join("tools").join(tool);
    if !tool.exists() {
        println!("skipped: {} is not there (VESTORE_SHARED names its folder)", tool.display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let programs = vestore().parent().unwrap().to_owned();
    let path = std::env::join_paths(
        [programs].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let output = Command::new("python3")
        .arg(&tool)
        .arg(shared.join(set))
        .arg(folder.path())
        .env("GENOME", shared.join("data/genome/GRCh38.mini.fa.gz"))
        .env("MODEL", shared.join("models/ci-splice"))
        .env("PATH", path.unwrap())
        .env("OMP_WAIT_POLICY", "passive")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    println!("{}", said.trim());
}
