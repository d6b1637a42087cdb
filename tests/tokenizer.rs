//! `vestore tokenizer train` from the command line.

use std::fmt::Write as _;
use std::fs;
use std::process::Output;

use crate::programs::run;
use crate::support::Random;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_tokenizer_is_learned_written_and_repeated_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let (fasta, first, second) =
        (folder.path().join("x.fa"), folder.path().join("a/b"), folder.path().join("c"));
    let mut random = Random(5);
    let mut text = ">x\n".to_owned();
    for _ in 0..300 {
        let bases: String = (0..60).map(|_| ['A', 'C', 'G', 'T', 'a'][random.below(5) as usize]).collect();
        writeln!(text, "{bases}").unwrap();
    }
    text.push_str(">mt\nacgtacgtacgt\n");
    fs::write(&fasta, text).unwrap();
    let words = "tokenizer train {} --vocabulary 200 --skip-soft-masked --quiet -o {}";
    let done = run(words, &[&fasta, &first]);
    assert!(done.status.success() && done.stdout.is_empty(), "{}", said(&done));
    assert!(said(&done).contains("contig `mt` has no upper-case base"), "{}", said(&done));
    let again = run(&format!("{words} --split 1000"), &[&fasta, &second]);
    assert!(again.status.success(), "{}", said(&again));
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        assert_eq!(fs::read(first.join(name)).unwrap(), fs::read(second.join(name)).unwrap(), "{name}");
    }
    assert_eq!(fs::read_dir(&first).unwrap().count(), 2);
}

#[test]
fn what_is_no_genome_or_too_little_of_one_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (fasta, output) = (folder.path().join("x.fa"), folder.path().join("out"));
    for (text, words, code, part) in [
        (">x\nACGT\nAC-T\n", "", 1, "line 3: `-` is not a base"),
        (">x\nACGTACGT\n", "", 1, "only 12 of 4096 tokens"),
        (">x\nACGT\n", "--vocabulary 8", 2, "8 is not in 9.."),
        (">x\nACGT\n", "--split 0", 2, "0 is not in 1.."),
    ] {
        fs::write(&fasta, text).unwrap();
        let done = run(&format!("tokenizer train {{}} -o {{}} {words}"), &[&fasta, &output]);
        assert_eq!(done.status.code(), Some(code), "{}", said(&done));
        assert!(said(&done).contains(part), "{}", said(&done));
        assert!(!output.join("tokenizer.json").exists());
    }
}
