//! System calls of whole programs fail, as `strace` makes them: scoring, copying a checkpoint and training write more
//! than the store's medium shows. `tests/faults.rs` fails each call of the store itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::kill::copy;
use crate::programs::{checkpoint, command, genome, ok, run, said, vcf};
use crate::support::{Random, rounds};

/// An error of the system, and what people are advised then.
type Fault = (&'static str, &'static str);
const FULL: Fault = ("ENOSPC", "make room");
const BROKEN: Fault = ("EIO", "the disk may be failing");
const TOO_MANY: Fault = ("EMFILE", "ulimit -n");

/// Calls that fail, and how. Those with `?` are missing on some processors.
const CALLS: [(&[&str], &[Fault]); 5] = [
    (&["?open", "openat"], &[TOO_MANY, BROKEN]),
    (&["statx", "?newfstatat", "read", "pread64", "getdents64", "flock"], &[BROKEN]),
    (&["write", "pwrite64", "ftruncate", "fallocate", "fsync", "fdatasync", "syncfs"], &[FULL, BROKEN]),
    (&["?rename", "?renameat", "renameat2", "?link", "linkat", "?mkdir", "mkdirat"], &[FULL, BROKEN]),
    (&["?unlink", "unlinkat", "?rmdir"], &[BROKEN]),
];

/// A command, and the paths that it is given within the test's folder.
type Case = (&'static str, &'static [&'static str]);

const SCORE: Case = (
    "score {} --model small --variants {} --report {} --window 48 --track t --device cpu --threads 1 --quiet",
    &["here/store", "variants.vcf", "here/report.tsv"],
);
const COPY: Case = ("model add {} copied --checkpoint {} --copy", &["here/store", "other"]);
const FINETUNE: Case = (
    "train finetune {} --model small --name tuned --labels {} --split-column split --output {} --window 48 --steps 6 \
     --evaluate-every 3 --save-every 2 --learning-rate 0.003 --device cpu --threads 1 --quiet",
    &["here/store", "labels.tsv", "here/out"],
);
const PRETRAIN: Case = (
    "train pretrain {} --config {} --output {} --held-out chr1:1-600 --steps 6 --tokens 24 --batch-tokens 96 \
     --save-every 1 --learning-rate 0.002 --device cpu --threads 1 --quiet",
    &["genome.fa", "config", "here/out"],
);

/// What a command left: rows and models of the store, and all other files by path.
fn left(here: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = files(here);
    found.retain(|name, _| !name.starts_with("store/") || name.starts_with("store/models/"));
    for words in ["query {} --format tsv", "model show {} --format json"] {
        found.insert(words.to_owned(), run(words, &[&here.join("store")]).stdout);
    }
    found
}

/// All files and folders below one, by path in it; clocks are taken out of records of trainings.
fn files(above: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![above.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(above).unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                found.insert(format!("{name}/"), Vec::new());
                folders.push(path);
                continue;
            }
            let mut bytes = fs::read(&path).unwrap();
            if name.ends_with("training.json") {
                let mut record: Value = serde_json::from_slice(&bytes).unwrap();
                let result = record["result"].as_object_mut().unwrap();
                // Of the run that ended it.
                for key in
                    ["steps", "tokens", "seconds", "seconds_per_step", "evaluation_seconds", "peak_memory"]
                {
                    result.remove(key);
                }
                bytes = record.to_string().into_bytes();
            }
            found.insert(name, bytes);
        }
    }
    found
}

/// A store with a model, another checkpoint, variants and labels; `here` is what a command changes.
fn start(root: &Path) {
    let bases = genome(&root.join("genome.fa"));
    let shape = "--layers 1 --hidden 16 --heads 2 --intermediate 16 --seed";
    for (name, seed) in [("model", 5), ("other", 6), ("config", 7)] {
        checkpoint(&root.join(name), "nucleotide-transformer-v2", &format!("{shape} {seed}"));
    }
    fs::remove_file(root.join("config/model.safetensors")).unwrap();
    fs::create_dir(root.join("here")).unwrap();
    ok("init {} --reference {}", &[&root.join("here/store"), &root.join("genome.fa")]);
    ok("model add {} small --checkpoint {}", &[&root.join("here/store"), &root.join("model")]);
    let mut labels = String::from("CHROM\tPOS\tREF\tALT\tlabel\tsplit\n");
    let mut records = vec![("chr1", 50, "N".to_owned(), "A".to_owned())];
    for at in 0..40 {
        let position = 100 + 31 * at;
        let reference = char::from(bases[position - 1]);
        let alternate = if reference == 'A' { 'C' } else { 'A' };
        let split = ["train", "train", "val", "test"][at % 4];
        writeln!(labels, "chr1\t{position}\t{reference}\t{alternate}\t{}\t{split}", at / 4 % 2).unwrap();
        records.push(("chr1", position as u32, reference.to_string(), alternate.to_string()));
    }
    fs::write(root.join("labels.tsv"), labels).unwrap();
    vcf(&root.join("variants.vcf"), &records);
    copy(&root.join("here"), &root.join("fresh"));
}

fn renew(root: &Path) {
    fs::remove_dir_all(root.join("here")).unwrap();
    copy(&root.join("fresh"), &root.join("here"));
}

/// Runs a command below strace, which logs and changes calls as `options` say. What hangs is ended, with code 124.
fn traced(case: &Case, paths: &[&Path], log: &Path, options: &[&str]) -> Output {
    let plain = command(case.0, paths);
    let mut strace = Command::new("strace");
    strace.args(["--follow-forks", "--seccomp-bpf", "-y", "-s", "0", "-o"]).arg(log).args(options);
    strace.args(["timeout", "300"]).arg(plain.get_program()).args(plain.get_args());
    strace.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    strace.output().unwrap()
}

/// The calls of a log that can fail alone: strace counts calls by thread, so each thread's call of the number must be
/// on a file below `root`.
fn points(log: &str, root: &str) -> Vec<(&'static str, usize, Fault)> {
    let mut calls: BTreeMap<&str, BTreeMap<&str, Vec<bool>>> = BTreeMap::new();
    for line in log.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let Some((name, arguments)) = call.trim_start().split_once('(') else { continue };
        calls.entry(name).or_default().entry(thread).or_default().push(arguments.contains(root));
    }
    let mut found = Vec::new();
    for (names, faults) in CALLS {
        for name in names.iter().map(|name| name.trim_start_matches('?')) {
            let Some(threads) = calls.get(name) else { continue };
            let alone = |nth: &usize| threads.values().all(|ours| ours.get(*nth).is_none_or(|ours| *ours));
            let most = threads.values().map(Vec::len).max().unwrap_or(0);
            let alone = (0..most).filter(alone);
            found.extend(alone.flat_map(|nth| faults.iter().map(move |fault| (name, nth + 1, *fault))));
        }
    }
    found
}

/// Fails calls of a command one at a time; whatever that did, the same command then ends as if undisturbed.
/// Gives what it leaves.
#[expect(clippy::print_stdout, reason = "the long run says how many calls failed")]
fn fail_calls(name: &str, case: &Case) -> BTreeMap<String, Vec<u8>> {
    let mut probe = Command::new("strace");
    let probe = probe.args(["--seccomp-bpf", "-f", "-o", "/dev/null", "true"]).output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        println!("skipped: strace is not installed, or may not trace");
        return BTreeMap::new();
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    start(&root);
    let (here, log) = (root.join("here"), root.join("log"));
    let paths = case.1.iter().map(|path| root.join(path)).collect::<Vec<_>>();
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    said(case.0, &paths);
    let wanted = left(&here);
    renew(&root);
    let all: Vec<&str> = CALLS.iter().flat_map(|(calls, _)| *calls).copied().collect();
    let undisturbed = traced(case, &paths, &log, &["-e", &format!("trace={}", all.join(","))]);
    assert!(undisturbed.status.success(), "{}", String::from_utf8_lossy(&undisturbed.stderr));
    assert!(left(&here) == wanted, "{name}: two undisturbed runs differ");
    let mut points = points(&fs::read_to_string(&log).unwrap(), root.to_str().unwrap());
    let (known, mut random) = (points.len(), Random(1));
    let (mut failed, mut harmless, mut wrong) = (0, 0, Vec::new());
    let mut rounds = rounds("VESTORE_INJECTED", 4);
    while rounds > 0 && !points.is_empty() {
        let (call, nth, (error, remedy)) = points.swap_remove(random.below(points.len() as u64) as usize);
        renew(&root);
        let inject = format!("inject={call}:error={error}:when={nth}");
        let output = traced(case, &paths, &log, &["-e", &format!("trace={call}"), "-e", &inject]);
        let lines = fs::read_to_string(&log).unwrap();
        let Some(line) = lines.lines().find(|line| line.contains("(INJECTED)")) else { continue };
        rounds -= 1;
        let told = String::from_utf8_lossy(&output.stderr);
        let mut fault = |what: &str| wrong.push(format!("{inject}: {what}\n  {line}\n  {}", told.trim()));
        match output.status.code() {
            Some(0) => {
                harmless += 1;
                if left(&here) != wanted {
                    fault("ended with 0, and not with what it was to leave");
                }
            }
            Some(1) => {
                failed += 1;
                let error = told.split("vestore: ").last().unwrap();
                if !error.contains(root.to_str().unwrap()) || !error.contains(remedy) {
                    fault("told without file or remedy");
                }
            }
            code => fault(&format!("ended with {code:?}")),
        }
        let store = here.join("store");
        let verified = run("verify {} --quiet", &[&store]);
        if !verified.status.success() {
            fault(&format!("damage: {}", String::from_utf8_lossy(&verified.stdout)));
        }
        let again = run(case.0, &paths);
        if !again.status.success() {
            fault(&format!("given again: {}", String::from_utf8_lossy(&again.stderr)));
        } else if left(&here) != wanted {
            fault("given again, it ended otherwise");
        } else if run("verify {} --quiet", &[&store]).stdout != b"" {
            fault("given again, it left orphans");
        }
    }
    println!("{name}: {} of {known} calls failed: {failed} told, {harmless} harmless", failed + harmless);
    assert!(wrong.is_empty(), "{name}: {} wrong\n{}", wrong.len(), wrong.join("\n"));
    assert!(failed > 0, "{name}: {harmless} harmless");
    wanted
}

#[test]
fn scoring_tells_each_failing_call_and_goes_on_to_the_same_rows() {
    fail_calls("score", &SCORE);
}

#[test]
fn copying_a_checkpoint_tells_each_failing_call_and_copies_the_same_bytes() {
    let wanted = fail_calls("copy", &COPY);
    let folder = tempfile::tempdir().unwrap();
    start(folder.path());
    for (name, bytes) in files(&folder.path().join("other")) {
        assert!(wanted.is_empty() || wanted.values().any(|copied| *copied == bytes), "{name} was not copied");
    }
}

#[test]
fn finetuning_tells_each_failing_call_and_goes_on_to_the_same_folder() {
    fail_calls("finetune", &FINETUNE);
}

#[test]
fn pretraining_tells_each_failing_call_and_goes_on_to_the_same_folder() {
    fail_calls("pretrain", &PRETRAIN);
}
