//! Completions and manual pages cover the verbs of both programs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::programs::{fails, ok, said, vestore};

/// What bash offers for the last of some words.
fn offered(script: &Path, words: &[&str]) -> BTreeSet<String> {
    let complete = r#"source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
        _vestore vestore "${@: -1}" "${@: -2:1}"; printf '%s\n' "${COMPREPLY[@]}""#;
    let output =
        Command::new("bash").args(["-c", complete, "bash"]).arg(script).args(words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn completions_know_the_flags_of_both_programs() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["elvish", "fish", "powershell", "zsh"] {
        let script = ok(&format!("completions {shell}"), &[]);
        assert!(["where", "strands", "finetune"].iter().all(|word| script.contains(word)), "{shell}");
    }
    let script = folder.path().join("vestore.bash");
    fs::write(&script, ok("completions bash", &[])).unwrap();
    assert!(Command::new("bash").arg("-n").arg(&script).status().unwrap().success());
    for (words, expected) in [
        (&["vestore", "qu"][..], "query"),
        (&["vestore", "query", "--whe"], "--where"),
        (&["vestore", "query", "--format", ""], "tsv"),
        (&["vestore", "model", "re"], "remove"),
        (&["vestore", "model", "add", "--check"], "--checkpoint"),
        (&["vestore", "score", "--stra"], "--strands"),
        (&["vestore", "score", "--strands", ""], "forward"),
        (&["vestore", "train", "finet"], "finetune"),
        (&["vestore", "study", "layers", "--see"], "--seeds"),
    ] {
        let offered = offered(&script, words);
        assert!(offered.contains(expected), "{words:?}: {offered:?}");
    }
}

/// Commands with their help, found by reading it: `words` and all below.
fn helps(words: &str, found: &mut Vec<(String, String)>) {
    let help = ok(&format!("{words} --help"), &[]);
    let below = help.split("\nCommands:\n").nth(1).map(|list| list.split("\n\n").next().unwrap());
    for line in below.unwrap_or_default().lines() {
        // A second line of a description stands further right.
        let verb = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' '));
        match verb.and_then(|rest| rest.split_whitespace().next()) {
            Some("help") | None => {}
            Some(verb) => helps(format!("{words} {verb}").trim_start(), found),
        }
    }
    found.push((words.to_owned(), help));
}

#[test]
fn every_verb_has_a_manual_page_with_its_flags() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man/man1");
    let mut helps_found = Vec::new();
    helps("", &mut helps_found);
    assert!(helps_found.iter().any(|(words, _)| words == "train finetune"));
    let told = said("man {}", &[&pages]);
    assert!(told.contains(&format!("{} pages", helps_found.len())), "{told}");
    for (words, help) in helps_found {
        let name = format!("vestore {words}").trim_end().replace(' ', "-");
        let page = fs::read_to_string(pages.join(format!("{name}.1"))).unwrap_or_else(|_| panic!("{name}.1"));
        let page = page.replace(r"\-", "-");
        let flags =
            help.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--")));
        for flag in flags.map(|flag| flag.trim_end_matches([',', '.', ')', '`'])) {
            assert!(page.contains(flag), "{name}.1 does not have {flag}");
        }
    }
    assert!(fails(1, "man {}", &[&pages]).contains("--force"));
    said("man {} --force", &[&pages]);
}

#[test]
fn without_the_engine_the_verbs_of_the_store_are_covered() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("vestore");
    fs::copy(vestore(), &program).unwrap();
    let output = Command::new(program).args(["completions", "bash"]).output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().contains("--where"));
    assert!(String::from_utf8(output.stderr).unwrap().contains("vestore-ingest is not beside vestore"));
}
