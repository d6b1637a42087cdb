//! The published tokenizers, where they are at hand, against token ids of the reference library.

use std::path::PathBuf;

use vestore::Reference;
use vestore_ingest::{BpeTokenizer, KmerTokenizer, Tokenizer};
use vestore_schema::Region;

/// A file of the real data, or nothing, said plainly.
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn data_file(name: &str) -> Option<PathBuf> {
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
    let folder = std::env::var_os("VESTORE_DATA").map_or(PathBuf::from(workspace), PathBuf::from);
    let file = folder.join(name);
    if !file.exists() {
        println!("skipped: {} is not there (VESTORE_DATA names its folder)", file.display());
        return None;
    }
    Some(file)
}

#[test]
fn byte_pairs_are_cut_as_the_reference_library_cuts_them() {
    let (Some(tokenizer), Some(golden), Some(genome)) = (
        data_file("tokenizers/dnabert2/tokenizer.json"),
        data_file("tokenizers/golden.dnabert2.json"),
        data_file("genome/GRCh38.mini.fa.gz"),
    ) else {
        return;
    };
    let mut reference = Reference::open(genome).expect("a genome");
    let assembly = reference.survey().expect("contigs");
    let tokenizer = Tokenizer::Bpe(Box::new(BpeTokenizer::from_file(&tokenizer).expect("a tokenizer")));
    let golden: serde_json::Value =
        serde_json::from_slice(&std::fs::read(golden).expect("a file")).expect("JSON");
    let mut checked = 0;
    for case in golden.as_array().expect("a list") {
        let sequence = match (case["seq"].as_str(), case["locus0"].as_array()) {
            (Some(sequence), _) => sequence.to_owned(),
            (None, Some(locus)) => {
                let number =
                    |index: usize| locus[index].as_u64().and_then(|number| u32::try_from(number).ok());
                let contig = locus[0].as_str().and_then(|name| assembly.resolve(name)).expect("a contig");
                let (start, end) = (number(1).expect("a start"), number(2).expect("an end"));
                let bases = reference.fetch(Region { contig, start, end }).expect("bases");
                String::from_utf8(bases).expect("letters")
            }
            (None, None) => panic!("a case without sequence or locus: {case}"),
        };
        // Windows hold upper-case ACGTN only; the set also shows what else the library would do.
        if sequence.is_empty() || sequence.bytes().any(|base| !b"ACGTN".contains(&base)) {
            continue;
        }
        let wanted: Vec<i64> =
            case["ids"].as_array().expect("ids").iter().filter_map(serde_json::Value::as_i64).collect();
        let tokens = tokenizer.encode(sequence.as_bytes()).expect("tokens");
        assert_eq!(tokens.ids, wanted, "{sequence}");
        let content = &tokens.spans[tokens.content()];
        assert_eq!(content.first().map(|span| span.start), Some(0));
        assert_eq!(content.last().map(|span| span.end as usize), Some(sequence.len()));
        assert!(content.windows(2).all(|pair| pair[0].end == pair[1].start), "spans tile the window");
        checked += 1;
    }
    assert!(checked >= 50, "only {checked} sequences were checked");
}

#[test]
fn the_published_vocabulary_is_the_generated_one() {
    let Some(file) = data_file("tokenizers/nucleotide-transformer-v2-500m/vocab.txt") else { return };
    let published = KmerTokenizer::from_vocabulary(&file).expect("a vocabulary");
    let generated = KmerTokenizer::of_rows(4107, vestore_ingest::SpecialOrder::First).expect("a tokenizer");
    let window = b"ACGTTGCANNACGTACGTAGCTAGCATCGATGCATTTTTTTCN";
    assert_eq!(published.encode(window), generated.encode(window));
}
