//! A store of embeddings from a seed, for figures of `vestore similar`.
//!
//! `similar FOLDER ROWS WIDTH` writes FOLDER/store: one track with the embeddings of ROWS SNVs, WIDTH numbers each.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use vestore::{Disk, EmbeddingRow, Reference, Store, embedding_batch};
use vestore_schema::{
    AblatedPart, Digest, Dtype, Model, Position, Recipe, Run, Status, StoreRecord, Strands, Table, Track,
    Variant,
};

/// Variants of a batch, and of a segment.
const BATCH: usize = 2000;
const SEGMENT: usize = 100_000;

/// Numbers from a seed (`SplitMix64`, Steele et al. 2014).
struct Numbers(u64);

impl Numbers {
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// About normal, of variance 1: the sum of three uniform numbers.
    fn number(&mut self) -> f32 {
        let word = self.word();
        let uniform = |shift: u32| ((word >> shift) & 0x1f_ffff) as f32 / 1_048_576.0 - 1.0;
        uniform(0) + uniform(21) + uniform(42)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [folder, rows, width] = words.as_slice() else {
        return Err("usage: similar FOLDER ROWS WIDTH".into());
    };
    let (folder, rows, width) = (Path::new(folder), rows.parse::<usize>()?, width.parse::<u32>()?);
    let mut random = Numbers(7);
    let bases: Vec<u8> = (0..rows.div_ceil(3) + 10).map(|_| b"ACGT"[(random.word() % 4) as usize]).collect();
    let fasta = folder.join("genome.fa");
    std::fs::create_dir_all(folder)?;
    std::fs::write(&fasta, format!(">1\n{}\n", String::from_utf8(bases.clone())?))?;
    let assembly = Reference::open(&fasta)?.survey()?;
    let record = StoreRecord { reference: fasta.display().to_string(), copied: false, assembly };
    let root = folder.join("store");
    let store = Store::create(&root, Arc::new(Disk::new(&root)), record)?;
    let digest = Digest::of(b"model");
    let model: Model = serde_json::from_value(serde_json::json!({
        "name": "model", "id": digest, "family": "bench", "checkpoint": "/nowhere", "adapter": null,
        "adapter_layers": null, "copied": false, "parent": null, "weights_digest": digest, "tokenizer_digest": digest,
        "adapter_digest": null, "adapter_kind": null, "config": {}, "layers": 2, "kept_layers": [0, 1], "hidden": width,
        "parameters": 1, "weight_bytes": 4, "masked_lm": true, "labels": null, "tokenizer": "base", "max_tokens": null,
        "license": null, "note": null
    }))?;
    let recipe = Recipe {
        scores: vec!["llr".to_owned()],
        window: 600,
        strands: Strands::Both,
        dtype: Dtype::F32,
        precision: None,
        part: AblatedPart::default(),
        splice: None,
        regulatory: None,
    };
    let columns = ["llr", "llr_forward", "llr_reverse"].map(str::to_owned).to_vec();
    let track = Track::new("t", "model", digest, recipe, columns)?;
    let mut writer = store.writer("bench")?;
    writer.put_model(&model)?;
    writer.put_track(&track)?;
    let snvs = bases.iter().enumerate().flat_map(|(place, base)| {
        b"ACGT".iter().filter(move |letter| *letter != base).map(move |letter| (place, *base, *letter))
    });
    let mut left = snvs.take(rows).peekable();
    let mut segments = Vec::new();
    while left.peek().is_some() {
        let mut part = left.by_ref().take(SEGMENT).peekable();
        let batches = std::iter::from_fn(|| {
            part.peek()?;
            let rows: Vec<EmbeddingRow> =
                part.by_ref().take(BATCH).filter_map(|snv| row(snv, width, &mut random)).collect();
            Some(embedding_batch(width, &rows))
        });
        segments.extend(writer.write(Table::Embeddings, &track, Some(&model), 0, batches)?);
    }
    writer.commit(&segments, &run(&track, rows))?;
    Ok(())
}

fn row((place, base, letter): (usize, u8, u8), width: u32, random: &mut Numbers) -> Option<EmbeddingRow> {
    let position = Position::from_one_based(place as u64 + 1)?;
    let [reference, alternate] = [base, letter].map(|letter| char::from(letter).to_string().into());
    let variant = Variant { contig: 0, position, reference, alternate };
    let embedding = Some([(); 2].map(|()| (0..width).map(|_| random.number()).collect()));
    Some(EmbeddingRow { variant, embedding, status: Status::Scored })
}

fn run(track: &Track, rows: usize) -> Run {
    Run {
        number: 1,
        track: track.name.clone(),
        table: Table::Embeddings,
        plan: Digest::of(b"plan"),
        shard: None,
        embeddings: true,
        variants: None,
        merged: None,
        program: "bench".to_owned(),
        device: "cpu".to_owned(),
        threads: 1,
        batch_tokens: None,
        started: 0,
        finished: None,
        units: 1,
        committed: 1,
        rows: rows as u64,
        remarks: Vec::new(),
        layers: Vec::new(),
    }
}
