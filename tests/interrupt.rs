//! What is interrupted stops at a place that it continues from, and says so by its exit code.

use std::fmt::Write;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use vestore::Store;

use crate::programs::{command, ok, run, said, store, vcf};

/// Eight units, of a second or so each: what is finished is committed every second.
const SCORE: &str = "score {} --model small --window 600 --device cpu --track t --score llr,distance --threads 1 --region chr1:1-2900 --quiet";

fn start(words: &str, paths: &[&Path]) -> Child {
    command(words, paths).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

pub(crate) fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn segments(store: &Path) -> usize {
    Store::open(store).unwrap().all_segments().unwrap().len()
}

/// Waits until a condition holds; the program must not end before.
pub(crate) fn until(child: &mut Child, mut holds: impl FnMut() -> bool) {
    while !holds() {
        assert_eq!(child.try_wait().unwrap(), None, "it ended by itself");
    }
}

fn ended(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_score_stops_at_the_end_of_its_unit_and_continues_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = store(folder.path());
    let inside = folder.path().join("again");
    std::fs::create_dir(&inside).unwrap();
    let (second, _) = store(&inside);
    for name in ["-INT", "-TERM"] {
        let before = segments(&first);
        let mut child = start(SCORE, &[&first]);
        until(&mut child, || segments(&first) > before);
        signal(&child, name);
        let (code, told) = ended(child);
        assert_eq!(code, Some(130), "{told}");
        assert!(
            told.contains("interrupted") && told.contains("the same command continues from there"),
            "{told}"
        );
    }
    said(SCORE, &[&first]);
    said(SCORE, &[&second]);
    let all = |store: &Path| ok("query {} --format tsv", &[store]);
    assert_eq!(all(&first), all(&second));
    assert_eq!(all(&first).lines().count(), 1 + 2900 * 3);
    assert_eq!(segments(&first), segments(&second), "units of the same plan have the same borders");
}

#[test]
fn a_second_signal_stops_at_once_and_loses_that_unit_only() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    let mut child = start(SCORE, &[&store]);
    until(&mut child, || segments(&store) > 0);
    signal(&child, "-INT");
    signal(&child, "-INT");
    let (code, _) = ended(child);
    assert_eq!(code, Some(130));
    said("verify {} --quiet", &[&store]);
    said(SCORE, &[&store]);
    assert_eq!(ok("query {} --format tsv", &[&store]).lines().count(), 1 + 2900 * 3);
}

#[test]
fn trainings_stop_with_the_same_code() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = store(folder.path());
    let labels = folder.path().join("labels.tsv");
    let mut text = String::from("CHROM\tPOS\tREF\tALT\tlabel\tsplit\n");
    for at in 0..40 {
        let position = 100 + 31 * at;
        let reference = char::from(bases[position - 1]);
        let alternate = if reference == 'A' { 'C' } else { 'A' };
        let split = ["train", "train", "val", "test"][at % 4];
        writeln!(text, "chr1\t{position}\t{reference}\t{alternate}\t{}\t{split}", at / 4 % 2).unwrap();
    }
    std::fs::write(&labels, text).unwrap();
    let output = folder.path().join("tuned");
    let words = "train finetune {} --model small --name tuned --labels {} --split-column split --output {} \
                 --window 48 --steps 1000000 --patience 0 --save-every 1 --device cpu --threads 1 --quiet";
    let mut child = start(words, &[&store, &labels, &output]);
    until(&mut child, || output.join("training/state.safetensors").exists());
    signal(&child, "-INT");
    let (code, told) = ended(child);
    assert_eq!(code, Some(130), "{told}");
    assert!(told.contains("the same command continues from there"), "{told}");
    let output = folder.path().join("pretrained");
    let words = "train pretrain --config {} {} --output {} --tokens 32 --batch-tokens 64 --steps 1000000 --save-every 1 \
                 --device cpu --threads 1 --quiet";
    let (config, fasta) = (folder.path().join("model"), folder.path().join("genome.fa"));
    let mut child = start(words, &[&config, &fasta, &output]);
    until(&mut child, || output.join("training/state.safetensors").exists());
    signal(&child, "-INT");
    let (code, told) = ended(child);
    assert_eq!(code, Some(130), "{told}");
}

/// Annotates stdin below `nohup`'s setting, until the output is begun.
fn annotate_ignoring_hangup(store: &Path, output: &Path) -> Child {
    let plain = command("annotate {} - {}", &[store, output]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(plain.get_program()).args(plain.get_args());
    let mut child = shell.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\n").unwrap();
    until(&mut child, || partial(output.parent().unwrap()));
    child
}

/// Whether an output is being written in a folder.
fn partial(folder: &Path) -> bool {
    fs::read_dir(folder)
        .unwrap()
        .any(|entry| entry.unwrap().file_name().to_str().unwrap().starts_with(".vestore-"))
}

#[test]
fn nohup_outlives_its_terminal_and_still_cleans_up_when_interrupted() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = store(folder.path());
    ok(
        "score {} --model small --region chr1:1-3 --window 48 --device cpu --threads 1 --track t --quiet",
        &[&store],
    );
    let outputs = folder.path().join("outputs");
    fs::create_dir(&outputs).unwrap();
    let mut child = annotate_ignoring_hangup(&store, &outputs.join("whole.vcf"));
    signal(&child, "-HUP");
    drop(child.stdin.take());
    let (code, told) = ended(child);
    assert_eq!(code, Some(0), "{told}");
    assert!(outputs.join("whole.vcf").exists());
    for name in ["-INT", "-TERM"] {
        let mut child = annotate_ignoring_hangup(&store, &outputs.join("half.vcf"));
        // Held open: with its end the program would end by itself.
        let stdin = child.stdin.take();
        signal(&child, name);
        let (code, told) = ended(child);
        drop(stdin);
        assert_eq!(code, Some(130), "{name}: {told}");
        assert!(!partial(&outputs) && !outputs.join("half.vcf").exists(), "{name} left something");
    }
}

#[test]
fn what_ends_by_itself_is_no_interruption() {
    let folder = tempfile::tempdir().unwrap();
    let (store, bases) = store(folder.path());
    let variants = folder.path().join("variants.vcf");
    let reference = char::from(bases[999]).to_string();
    vcf(&variants, &[("chr1", 1000, reference, "N".to_owned())]);
    let output =
        run("score {} --model small --variants {} --window 96 --device cpu --quiet", &[&store, &variants]);
    assert_ne!(output.status.code(), Some(130));
}
