//! Writes small checkpoints with random weights in the published layouts, for tests, demos and
//! benchmarks. The numbers mean nothing; everything else is as in a published checkpoint.

mod regulatory;

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use crate::convert::{narrow, single};
use crate::random::Random;
pub use crate::tensor_file::{NamedWeight, write_safetensors};
use crate::tokenize::{BASES, BYTE_PAIR_FILES, SPECIAL, byte_pair_files};
pub use regulatory::{RegulatoryShape, write_regulatory_checkpoint};

/// The families whose layout can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyntheticFamily {
    /// Nucleotide Transformer v1: 6-mers, learned positions (1000 tokens).
    NucleotideTransformerV1,
    /// Nucleotide Transformer v2: 6-mers, rotary positions.
    NucleotideTransformerV2,
    /// DNABERT-2: byte pairs, `ALiBi`.
    Dnabert2,
    /// dnaGrinder's shape: byte pairs, `ALiBi`, `SwiGLU`.
    Dnagrinder,
}

/// Sizes of a checkpoint to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyntheticShape {
    /// Whose layout.
    pub family: SyntheticFamily,
    /// Encoder layers.
    pub layers: u32,
    /// Length of a hidden vector; a multiple of `heads`.
    pub hidden: u32,
    /// Attention heads.
    pub heads: u32,
    /// Inner length of the MLP (of each half, when gated).
    pub ffn: u32,
    /// A classification head of so many labels instead of the masked language model's head.
    pub labels: Option<u32>,
}

impl SyntheticShape {
    /// That of Nucleotide Transformer v2 50M.
    pub const NT_50M: Self = Self {
        family: SyntheticFamily::NucleotideTransformerV2,
        layers: 12,
        hidden: 512,
        heads: 16,
        ffn: 2048,
        labels: None,
    };

    /// A shape that runs in milliseconds: 4 layers of 32, 4 heads, 64.
    #[must_use]
    pub fn tiny(family: SyntheticFamily) -> Self {
        Self { family, layers: 4, hidden: 32, heads: 4, ffn: 64, labels: None }
    }
}

/// What the card of a synthetic checkpoint says.
const UNTRAINED: &str = "untrained, random weights: its numbers mean nothing";

/// Writes config.json, a card, model.safetensors (float32) and the tokenizer's files into `directory`, which
/// is made. The same shape and seed give the same bytes.
///
/// # Errors
/// When a file cannot be written.
pub fn write_checkpoint(directory: &Path, shape: &SyntheticShape, seed: u64) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    fs::write(directory.join("config.json"), config(shape).to_string())?;
    fs::write(directory.join("README.md"), format!("---\nnote: {UNTRAINED}\n---\n"))?;
    write_tokenizer(directory, shape.family)?;
    write_safetensors(&directory.join("model.safetensors"), &weights(shape, seed))
}

/// A number of mean 0 and variance `scale`², from the sum of four uniform ones: enough for weights.
fn bell(random: &mut Random, scale: f64) -> f32 {
    let sum: f64 = (0..4).map(|_| random.uniform()).sum();
    single((sum - 2.0) * 3f64.sqrt() * scale)
}

struct Writer {
    random: Random,
    weights: Vec<NamedWeight>,
}

impl Writer {
    fn tensor(&mut self, name: &str, shape: &[u32], mean: f32, scale: f64) {
        let shape: Vec<usize> = shape.iter().map(|size| *size as usize).collect();
        let count = shape.iter().product();
        let numbers = (0..count).map(|_| mean + bell(&mut self.random, scale)).collect();
        self.weights.push((name.to_owned(), shape, numbers));
    }

    fn linear(&mut self, name: &str, outputs: u32, inputs: u32, bias: bool) {
        // Wide layers would else amplify rounding until two exact computations disagree.
        let spread = (0.8 / f64::from(inputs).sqrt()).min(0.1);
        self.tensor(&format!("{name}.weight"), &[outputs, inputs], 0.0, spread);
        if bias {
            self.tensor(&format!("{name}.bias"), &[outputs], 0.0, 0.05);
        }
    }

    fn norm(&mut self, name: &str, hidden: u32) {
        self.tensor(&format!("{name}.weight"), &[hidden], 1.0, 0.1);
        self.tensor(&format!("{name}.bias"), &[hidden], 0.0, 0.05);
    }

    fn embedding(&mut self, name: &str, rows: u32, hidden: u32) {
        self.tensor(&format!("{name}.weight"), &[rows, hidden], 0.0, 0.1);
    }
}

/// The weights that [`write_checkpoint`] writes.
#[must_use]
pub fn weights(shape: &SyntheticShape, seed: u64) -> Vec<NamedWeight> {
    let mut writer = Writer { random: Random::new(seed), weights: Vec::new() };
    match shape.family {
        SyntheticFamily::NucleotideTransformerV1 | SyntheticFamily::NucleotideTransformerV2 => {
            nucleotide_transformer(&mut writer, shape);
        }
        SyntheticFamily::Dnabert2 => dnabert2(&mut writer, shape, "bert."),
        SyntheticFamily::Dnagrinder => dnabert2(&mut writer, shape, "dnagrinder."),
    }
    writer.weights
}

fn nucleotide_transformer(writer: &mut Writer, shape: &SyntheticShape) {
    let SyntheticShape { hidden, ffn, .. } = *shape;
    let second = shape.family == SyntheticFamily::NucleotideTransformerV2;
    let (vocabulary, rows) = if second { (4107, 2050) } else { (4105, 1002) };
    writer.embedding("esm.embeddings.word_embeddings", vocabulary, hidden);
    writer.embedding("esm.embeddings.position_embeddings", rows, hidden);
    for layer in 0..shape.layers {
        let layer = format!("esm.encoder.layer.{layer}");
        for part in ["query", "key", "value"] {
            writer.linear(&format!("{layer}.attention.self.{part}"), hidden, hidden, true);
        }
        writer.linear(&format!("{layer}.attention.output.dense"), hidden, hidden, true);
        writer.norm(&format!("{layer}.attention.LayerNorm"), hidden);
        writer.linear(
            &format!("{layer}.intermediate.dense"),
            if second { 2 * ffn } else { ffn },
            hidden,
            !second,
        );
        writer.linear(&format!("{layer}.output.dense"), hidden, ffn, !second);
        writer.norm(&format!("{layer}.LayerNorm"), hidden);
    }
    writer.norm("esm.encoder.emb_layer_norm_after", hidden);
    if let Some(labels) = shape.labels {
        writer.linear("classifier.dense", hidden, hidden, true);
        writer.linear("classifier.out_proj", labels, hidden, true);
    } else {
        writer.linear("lm_head.dense", hidden, hidden, true);
        writer.norm("lm_head.layer_norm", hidden);
        writer.embedding("lm_head.decoder", vocabulary, hidden);
        writer.tensor("lm_head.bias", &[vocabulary], 0.0, 0.05);
    }
}

fn dnabert2(writer: &mut Writer, shape: &SyntheticShape, prefix: &str) {
    let SyntheticShape { hidden, ffn, .. } = *shape;
    let vocabulary = narrow(byte_pairs().0.len());
    let fused = shape.family == SyntheticFamily::Dnabert2;
    writer.embedding(&format!("{prefix}embeddings.word_embeddings"), vocabulary, hidden);
    if fused {
        writer.embedding(&format!("{prefix}embeddings.token_type_embeddings"), 2, hidden);
    }
    writer.norm(&format!("{prefix}embeddings.LayerNorm"), hidden);
    for layer in 0..shape.layers {
        let layer = format!("{prefix}encoder.layer.{layer}");
        if fused {
            writer.linear(&format!("{layer}.attention.self.Wqkv"), 3 * hidden, hidden, true);
        } else {
            for part in ["query", "key", "value"] {
                writer.linear(&format!("{layer}.attention.self.{part}"), hidden, hidden, true);
            }
        }
        writer.linear(&format!("{layer}.attention.output.dense"), hidden, hidden, true);
        writer.norm(&format!("{layer}.attention.output.LayerNorm"), hidden);
        writer.linear(&format!("{layer}.mlp.gated_layers"), 2 * ffn, hidden, false);
        writer.linear(&format!("{layer}.mlp.wo"), hidden, ffn, true);
        writer.norm(&format!("{layer}.mlp.layernorm"), hidden);
    }
    if let Some(labels) = shape.labels {
        writer.linear(&format!("{prefix}pooler.dense"), hidden, hidden, true);
        writer.linear("classifier", labels, hidden, true);
    } else {
        writer.linear("cls.predictions.transform.dense", hidden, hidden, true);
        writer.norm("cls.predictions.transform.LayerNorm", hidden);
        writer.tensor("cls.predictions.decoder.bias", &[vocabulary], 0.0, 0.05);
    }
}

fn config(shape: &SyntheticShape) -> Value {
    let mut config = json!({
        "hidden_size": shape.hidden, "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads,
        "intermediate_size": shape.ffn, "layer_norm_eps": 1e-12,
    });
    let transformer = |model_type: Value, positions: &str, dropout: bool, rows: u32, vocabulary: u32| {
        json!({ "model_type": model_type, "position_embedding_type": positions, "token_dropout": dropout,
                "max_position_embeddings": rows, "vocab_size": vocabulary, "pad_token_id": 1, "mask_token_id": 2,
                "emb_layer_norm_before": false, "tie_word_embeddings": false })
    };
    let own = match shape.family {
        SyntheticFamily::NucleotideTransformerV1 => transformer(json!("esm"), "absolute", true, 1002, 4105),
        SyntheticFamily::NucleotideTransformerV2 => {
            let mut own = transformer(Value::Null, "rotary", false, 2050, 4107);
            own["add_bias_fnn"] = json!(false);
            own["auto_map"] = json!({ "AutoModelForMaskedLM": "modeling_esm.EsmForMaskedLM" });
            own
        }
        SyntheticFamily::Dnabert2 => json!({
            "auto_map": { "AutoModel": "bert_layers.BertModel" }, "type_vocab_size": 2, "hidden_act": "gelu",
            "vocab_size": byte_pairs().0.len(),
        }),
        SyntheticFamily::Dnagrinder => {
            json!({ "model_type": "dnagrinder", "positions": "alibi", "mlp": "swiglu", "vocab_size": byte_pairs().0.len() })
        }
    };
    if let (Some(config), Value::Object(own)) = (config.as_object_mut(), own) {
        config.extend(own.into_iter().filter(|(_, value)| !value.is_null()));
    }
    config
}

/// A small byte-pair vocabulary and its merges, made by rule: special tokens, the bases, all words of
/// two bases, all words of four made of two of those, and of six made of a four and a two that begins
/// with A or C.
fn byte_pairs() -> (Vec<String>, Vec<[String; 2]>) {
    let bases = BASES.map(str::to_owned);
    let mut vocabulary: Vec<String> = SPECIAL.into_iter().chain(BASES).map(str::to_owned).collect();
    let mut merges = Vec::new();
    let mut join = |left: &[String], right: &[String]| -> Vec<String> {
        let pairs = left.iter().flat_map(|left| right.iter().map(move |right| [left.clone(), right.clone()]));
        let pairs: Vec<[String; 2]> = pairs.collect();
        let joined: Vec<String> = pairs.iter().map(|pair| pair.concat()).collect();
        vocabulary.extend(joined.iter().cloned());
        merges.extend(pairs);
        joined
    };
    let twos = join(&bases, &bases);
    let fours = join(&twos, &twos);
    join(&fours, &twos[..4]);
    (vocabulary, merges)
}

fn write_tokenizer(directory: &Path, family: SyntheticFamily) -> io::Result<()> {
    if matches!(family, SyntheticFamily::NucleotideTransformerV1 | SyntheticFamily::NucleotideTransformerV2) {
        // The vocabulary is a rule, which the reader knows.
        let limit = if family == SyntheticFamily::NucleotideTransformerV1 { 1000 } else { 2048 };
        let tokenizer =
            json!({ "eos_token": null, "model_max_length": limit, "tokenizer_class": "EsmTokenizer" });
        return fs::write(directory.join("tokenizer_config.json"), tokenizer.to_string());
    }
    let (vocabulary, merges) = byte_pairs();
    for (name, text) in BYTE_PAIR_FILES.iter().zip(byte_pair_files(&vocabulary, &merges)?) {
        fs::write(directory.join(name), text)?;
    }
    Ok(())
}
