//! Learning byte pairs from genomes: against the definition worked out in memory, against the trainer of the
//! `tokenizers` library, and against our own encoder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::{AddedToken, Trainer as _};
use vestore_ingest::{
    BpeTokenizer, Tokenizer, TokenizerOptions, TrainTokenizerError, TrainedTokenizer, train_tokenizer,
};

const BASES: [char; 4] = ['A', 'C', 'G', 'T'];
const CHILD: &str = "VESTORE_TEST_BASES";

fn options(vocabulary: u32) -> TokenizerOptions {
    TokenizerOptions {
        vocabulary,
        split: 1_000_000,
        longest: None,
        skip_soft_masked: false,
        kept_pairs: 1_000_000,
    }
}

fn train(text: &str, options: &TokenizerOptions) -> Result<TrainedTokenizer, TrainTokenizerError> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("x.fa");
    std::fs::write(&file, text).expect("written");
    train_tokenizer(&[file], options, folder.path(), &AtomicBool::new(false), |_| {})
}

/// DNA with repeats and runs, so that there are pairs to learn and ties to break.
fn dna(seed: u64, length: usize) -> String {
    let mut state = seed;
    let mut next = move |limit: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit
    };
    let mut bases = String::new();
    while bases.len() < length {
        match next(12) {
            0 => bases.push_str(&"A".repeat(next(20) + 1)),
            1 => bases.push_str(&"CA".repeat(next(9) + 1)),
            2 => bases.push_str("GGCCGGGCGCGGTGGCTCA"),
            3 if next(4) == 0 => bases.push('N'),
            _ => (0..9).for_each(|_| bases.push(BASES[next(4)])),
        }
    }
    bases.truncate(length);
    bases
}

fn words(texts: &[&str]) -> Vec<String> {
    let split = texts.iter().flat_map(|text| text.split('N'));
    split.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The definition, one merge after the other, counting everything anew: merges, and tokens left.
fn definition(words: &[String], vocabulary: usize, longest: usize) -> (Vec<[String; 2]>, usize) {
    let mut tokens: Vec<String> = vec![String::new(); 5];
    tokens.extend(BASES.map(String::from));
    let id = |base: char| 5 + BASES.iter().position(|known| *known == base).expect("a base");
    let mut words: Vec<Vec<usize>> = words.iter().map(|word| word.chars().map(id).collect()).collect();
    let mut merges = Vec::new();
    while tokens.len() < vocabulary {
        let mut counts = std::collections::HashMap::new();
        for pair in words.iter().flat_map(|word| word.windows(2)) {
            if tokens[pair[0]].len() + tokens[pair[1]].len() <= longest {
                *counts.entry((pair[0], pair[1])).or_insert(0) += 1;
            }
        }
        let best = counts.into_iter().max_by_key(|(pair, count)| (*count, std::cmp::Reverse(*pair)));
        let (left, right) = best.expect("a pair").0;
        merges.push([tokens[left].clone(), tokens[right].clone()]);
        for word in &mut words {
            let mut at = 0;
            while at + 1 < word.len() {
                if (word[at], word[at + 1]) == (left, right) {
                    word.splice(at..at + 2, [tokens.len()]);
                }
                at += 1;
            }
        }
        tokens.push(merges[merges.len() - 1].concat());
    }
    (merges, words.iter().map(Vec::len).sum())
}

#[test]
fn what_is_learned_is_the_definition_whatever_fits_in_memory() {
    for (seed, longest) in [(1, None), (2, None), (3, Some(6))] {
        let (one, two) = (dna(seed, 3000), dna(seed + 100, 2000));
        let text = format!(">one\n{one}\n>two\n{two}\n");
        let limit = longest.map_or(usize::MAX, |longest| longest as usize);
        let (merges, left) = definition(&words(&[&one, &two]), 180, limit);
        let mut found = Vec::new();
        for (split, kept_pairs) in
            [(1_000_000, 1_000_000), (1, 1_000_000), (7, 1_000_000), (999, 1_000_000), (999, 30)]
        {
            let trained = train(&text, &TokenizerOptions { split, kept_pairs, longest, ..options(180) });
            let trained = trained.expect("a tokenizer");
            assert_eq!(trained.merges, merges, "seed {seed}, split {split}, {kept_pairs} pairs");
            assert_eq!(trained.encoded, left as u64, "seed {seed}, split {split}, {kept_pairs} pairs");
            found.push(trained.passes);
        }
        assert!(found[0] < 150, "{} passes for 171 merges", found[0]);
        assert!(found[4] > found[3], "forgotten pairs were counted again");
    }
}

#[test]
fn the_tokenizers_library_learns_the_same() {
    let text = dna(7, 60_000);
    let ours = train(&format!(">x\n{text}\n"), &options(700)).expect("a tokenizer");
    let special: Vec<AddedToken> =
        ours.tokens[..5].iter().map(|token| AddedToken::from(token.clone(), true)).collect();
    let mut trainer =
        BpeTrainerBuilder::new().vocab_size(700).show_progress(false).special_tokens(special).build();
    let words = words(&[&text]);
    trainer.feed(words.iter(), |word| Ok(vec![word.to_owned()])).expect("fed");
    let mut model = BPE::default();
    trainer.train(&mut model).expect("trained");
    let theirs = model.get_vocab();
    for (id, token) in ours.tokens.iter().enumerate() {
        assert_eq!(theirs.get(token).copied(), Some(id as u32), "{token}");
    }
    assert_eq!(theirs.len(), ours.tokens.len());
}

fn save(trained: &TrainedTokenizer, folder: &Path) {
    for (name, text) in TrainedTokenizer::FILES.iter().zip(trained.files().expect("texts")) {
        std::fs::write(folder.join(name), text).expect("written");
    }
}

#[test]
fn the_files_are_read_and_cut_the_corpus_into_the_tokens_that_training_left() {
    let text = dna(9, 20_000).replace('N', "");
    let trained = train(&format!(">x\n{text}\n"), &options(400)).expect("a tokenizer");
    let folder = tempfile::tempdir().expect("a folder");
    save(&trained, folder.path());
    let read = BpeTokenizer::from_file(&folder.path().join("tokenizer.json")).expect("a tokenizer");
    let tokenizer = Tokenizer::Bpe(Box::new(read));
    assert_eq!((tokenizer.vocabulary_size(), tokenizer.mask_id()), (400, Some(4)));
    let tokens = tokenizer.encode(text.as_bytes()).expect("tokens");
    assert_eq!((tokens.ids[0], tokens.ids.last().copied()), (1, Some(2)));
    assert_eq!(tokens.content().len() as u64, trained.encoded);
    for at in tokens.content() {
        let span = tokens.spans[at].start as usize..tokens.spans[at].end as usize;
        assert_eq!(text[span], trained.tokens[usize::try_from(tokens.ids[at]).expect("an id")]);
    }
    assert_eq!(tokenizer.encode(b"ANNC").expect("tokens").ids, [1, 5, 0, 0, 6, 2]);
    let bytes = std::fs::read(folder.path().join("tokenizer.json")).expect("a file");
    save(&trained, folder.path());
    assert_eq!(std::fs::read(folder.path().join("tokenizer.json")).expect("a file"), bytes);
}

#[test]
fn masked_bases_are_left_out_where_there_is_a_mask() {
    let text = ">masked\nACGTacgtRACGT\nnACGT\n>bare\nacgtacgt\n";
    let whole = train(text, &options(12)).expect("a tokenizer");
    assert_eq!((whole.corpus.bases, whole.corpus.masked, whole.corpus.other), (24, 0, 2));
    assert!(whole.corpus.without_mask.is_empty());
    let some = train(text, &TokenizerOptions { skip_soft_masked: true, ..options(12) }).expect("a tokenizer");
    assert_eq!((some.corpus.bases, some.corpus.masked, some.corpus.other), (20, 4, 2));
    assert_eq!(some.corpus.without_mask, ["bare"]);
    // ACGT ×3 and ACGTACGT: AC ×5, and no TA across the mask.
    assert_eq!(some.merges, [["A", "C"], ["G", "T"], ["AC", "GT"]]);
    assert_eq!(some.encoded, 5);
}

#[test]
fn what_cannot_be_learned_is_said() {
    let said = |text: &str, options: &TokenizerOptions| {
        train(text, options).expect_err("nothing to learn").to_string()
    };
    let few = said(">x\nACGTACGT\n", &options(400));
    assert_eq!(
        few,
        "only 12 of 400 tokens could be learned from 8 bases: no other pair is seen twice; ask for fewer or \
         give more bases"
    );
    let short = said(">x\nACGTACGT\n", &TokenizerOptions { longest: Some(2), ..options(400) });
    assert!(short.contains("and has at most 2 bases"), "{short}");
    assert!(said(">x\nNNNN\n", &options(400)).contains("no A, C, G or T"));
    assert!(said(">x\nAC\n", &options(8)).contains("no room"));
    assert!(said(">x\nAC\nA-\n", &options(9)).contains("line 3"));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("x.fa");
    std::fs::write(&file, format!(">x\n{}\n", dna(1, 5000))).expect("written");
    let stopped = train_tokenizer(&[file], &options(99), folder.path(), &AtomicBool::new(true), |_| {});
    assert!(matches!(stopped, Err(TrainTokenizerError::Stopped)));
    let left: Vec<PathBuf> = std::fs::read_dir(folder.path())
        .expect("listed")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("kilobytes") * 1024
}

/// Does nothing unless it is started by the test below.
#[test]
fn training_on_the_file_of_the_parent() {
    let Some(file) = std::env::var_os(CHILD) else { return };
    let file = PathBuf::from(file);
    let scratch = file.parent().unwrap_or(Path::new("."));
    let options = TokenizerOptions { split: 100_000, ..options(60) };
    let before = peak();
    train_tokenizer(std::slice::from_ref(&file), &options, scratch, &AtomicBool::new(false), |_| {})
        .expect("a tokenizer");
    println!("\ngrew {}", peak() - before);
}

#[test]
fn memory_does_not_grow_with_the_genome() {
    let grown = |megabases: usize| -> u64 {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x.fa");
        let text: String = (0..megabases).map(|part| dna(part as u64, 1_000_000)).collect();
        std::fs::write(&file, format!(">x\n{text}\n")).expect("written");
        let output = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "tokenizer_training::training_on_the_file_of_the_parent", "--nocapture"])
            .env(CHILD, &file)
            .output()
            .expect("a child");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}");
        let line = said.lines().find_map(|line| line.strip_prefix("grew ")).expect("a figure");
        line.parse().expect("bytes")
    };
    let (one, eight) = (grown(1), grown(8));
    println!("1 Mb: {one} bytes; 8 Mb: {eight} bytes");
    // The tokens of 8 Mb are 32 MB at first, those of a split 400 kB.
    assert!(eight < one + (8 << 20), "{one} {eight}");
}
