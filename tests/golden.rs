//! The golden set of the reference implementations, where it is at hand.

use std::path::PathBuf;
use std::process::Command;

use crate::programs::{vestore, workspace};

#[test]
fn the_golden_set_is_reproduced_through_the_command_line() {
    let shared = std::env::var_os("VESTORE_SHARED").map_or(workspace().join("../shared"), PathBuf::from);
    let tool = shared.join("tools/parity.py");
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
        .arg(shared.join("golden"))
        .arg(folder.path())
        .env("GENOME", shared.join("data/genome/GRCh38.mini.fa.gz"))
        .env("PATH", path.unwrap())
        .env("OMP_WAIT_POLICY", "passive")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    println!("{}", said.trim());
}
