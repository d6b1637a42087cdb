//! The golden set of the reference implementations, where it is at hand.

use std::path::PathBuf;
use std::process::Command;

use crate::programs::{vestore, workspace};

#[test]
fn the_golden_set_is_reproduced_through_the_command_line() {
    reproduce("parity.py", "golden", None);
}

#[test]
fn the_golden_set_of_splice_sites_is_reproduced_through_the_command_line() {
    reproduce("parity_splice.py", "golden-splice", None);
}

#[test]
fn the_golden_set_of_regulatory_models_is_reproduced_through_the_command_line() {
    reproduce("parity_regulatory.py", "golden-regulatory", None);
}

#[test]
fn the_golden_gene_effects_are_reproduced_through_the_command_line() {
    // The program names a track after the strand that it looks at, but both come of one recipe, which has one track.
    let names = ("{name}.{side}-{transform}-{strand}", "{name}.{transform}-{strand}");
    let said = reproduce("parity_regulatory.py", "golden-regulatory", Some(("--genes", names)));
    assert!(said.is_none_or(|said| said.contains("2640 numbers compared over 12 tracks, 0 wrong")));
}

/// An option of a program, and what is written otherwise in it.
type Changed<'a> = (&'a str, (&'a str, &'a str));

/// Runs a program that scores a golden set and compares; what it said, unless it is not there.
#[expect(clippy::print_stdout, reason = "it says what was skipped or compared")]
fn reproduce(tool: &str, set: &str, changed: Option<Changed<'_>>) -> Option<String> {
    let shared = std::env::var_os("VESTORE_SHARED").map_or(workspace().join("../shared"), PathBuf::from);
    let tool = shared.join("tools").join(tool);
    if !tool.exists() {
        println!("skipped: {} is not there (VESTORE_SHARED names its folder)", tool.display());
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("program.py");
    let text = std::fs::read_to_string(&tool).unwrap();
    let text = changed.map_or(text.clone(), |(_, (from, to))| text.replace(from, to));
    std::fs::write(&copy, text).unwrap();
    let programs = vestore().parent().unwrap().to_owned();
    let path = std::env::join_paths(
        [programs].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    );
    let output = Command::new("python3")
        .arg(&copy)
        .args(changed.map(|(option, _)| option))
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
    Some(said.into_owned())
}
