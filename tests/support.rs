//! What several tests need: seeded random numbers and stores made of them.

use std::path::Path;
use std::sync::Arc;

use vestore::{Disk, Reference, ScoreRow, Store, Writer, score_batch};
use vestore_schema::{
    AblatedPart, Assembly, Contig, Digest, Dtype, Model, Position, Recipe, Run, Segment, Status, StoreRecord,
    Strands, Table, Track, Variant,
};

/// Numbers that are the same in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        // SplitMix64, Steele et al. 2014.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % limit
    }
}

/// How often something is tried: as the environment says, else `usual` times.
pub(crate) fn rounds(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().expect("a whole number"))
}

/// An assembly of contigs of 100,000 bases.
pub(crate) fn assembly(names: &[&str]) -> Assembly {
    let contig =
        |name: &&str| Contig { name: (*name).to_owned(), length: 100_000, digest: format!("SQ.{name}") };
    Assembly { name: None, contigs: names.iter().map(contig).collect() }
}

/// A new store over [`assembly`].
pub(crate) fn new_store(root: &Path, names: &[&str]) -> Store {
    let record = StoreRecord { reference: "nowhere.fa".to_owned(), copied: false, assembly: assembly(names) };
    Store::create(root, Arc::new(Disk::new(root)), record).unwrap()
}

/// A new store over the seeded genome of [`crate::programs::genome`], and the bases of its `chr1`.
pub(crate) fn genome_store(folder: &Path) -> (Store, Vec<u8>) {
    let fasta = folder.join("genome.fa");
    let bases = crate::programs::genome(&fasta);
    let assembly = Reference::open(&fasta).unwrap().survey().unwrap();
    let record = StoreRecord { reference: fasta.to_str().unwrap().to_owned(), copied: false, assembly };
    let root = folder.join("store");
    (Store::create(&root, Arc::new(Disk::new(&root)), record).unwrap(), bases)
}

/// Score kinds as the engine has them.
#[derive(Clone, Copy)]
pub(crate) enum ScoreKind {
    Llr,
    LlrGrid,
    Distance,
}

/// A track of the given kind.
pub(crate) fn track(name: &str, kind: ScoreKind) -> Track {
    let (kind, columns): (_, &[&str]) = match kind {
        ScoreKind::Llr => ("llr", &["llr", "llr_forward", "llr_reverse"]),
        ScoreKind::LlrGrid => ("llr-grid", &["llr_grid"]),
        ScoreKind::Distance => (
            "distance",
            &["l1", "l2", "cosine", "dot", "l1_variant", "l2_variant", "cosine_variant", "dot_variant"],
        ),
    };
    let recipe = Recipe {
        scores: vec![kind.to_owned()],
        window: 600,
        strands: Strands::Both,
        dtype: Dtype::F32,
        precision: None,
        part: AblatedPart::default(),
        splice: None,
        regulatory: None,
    };
    Track::new(
        name,
        "model",
        Digest::of(name.as_bytes()),
        recipe,
        columns.iter().map(|name| (*name).to_owned()).collect(),
    )
    .unwrap()
}

/// A copied model without files.
pub(crate) fn model(name: &str) -> Model {
    let digest = Digest::of(name.as_bytes());
    serde_json::from_value(serde_json::json!({
        "name": name, "id": digest, "family": "test", "checkpoint": "/nowhere", "adapter": null, "adapter_layers": null,
        "copied": false, "parent": null, "weights_digest": digest, "tokenizer_digest": digest, "adapter_digest": null,
        "adapter_kind": null, "config": {}, "layers": 2, "kept_layers": [0, 1], "hidden": 8, "parameters": 1,
        "weight_bytes": 4, "masked_lm": true, "labels": null, "tokenizer": "base", "max_tokens": null, "license": null,
        "note": null
    }))
    .unwrap()
}

/// A random row: SNVs and short indels, a tenth without scores.
pub(crate) fn random_row(random: &mut Random, track: &Track, contig: u32, span: u64) -> ScoreRow {
    let allele = |random: &mut Random| -> Box<str> {
        let length = if random.below(8) == 0 { 1 + random.below(5) } else { 1 };
        (0..length).map(|_| b"ACGT"[random.below(4) as usize] as char).collect::<String>().into()
    };
    let variant = Variant {
        contig,
        position: Position::new(random.below(span) as u32),
        reference: allele(random),
        alternate: allele(random),
    };
    let scored = random.below(10) > 0;
    let score = |random: &mut Random| scored.then(|| random.below(2_000_000) as f32 / 1e5 - 10.0);
    let values = track.columns.iter().map(|_| score(random)).collect();
    ScoreRow { variant, values, status: if scored { Status::Scored } else { Status::NonAcgt } }
}

/// A run record.
pub(crate) fn run(number: u64, track: &Track) -> Run {
    Run {
        number,
        track: track.name.clone(),
        table: Table::Scores,
        plan: Digest::of(b"plan"),
        shard: None,
        embeddings: false,
        variants: None,
        merged: None,
        program: "test".to_owned(),
        device: "cpu".to_owned(),
        threads: 1,
        batch_tokens: Some(1),
        started: 0,
        finished: None,
        units: 1,
        committed: 1,
        rows: 1,
        remarks: Vec::new(),
        layers: Vec::new(),
    }
}

/// Writes `rows`, which are of one contig and sorted, as one segment.
pub(crate) fn write(writer: &mut Writer, track: &Track, rows: &[ScoreRow]) -> Segment {
    let contig = rows[0].variant.contig;
    let batches: Vec<_> = rows.chunks(1000).map(|rows| score_batch(track, rows)).collect();
    writer.write(Table::Scores, track, None, contig, batches).unwrap().unwrap()
}
