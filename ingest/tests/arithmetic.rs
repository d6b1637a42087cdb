//! Every family's hidden states and logits agree with an independent float64 implementation over the same weights.

use crate::support::float64::{Encoder, Inner, Names, Options, Positions};
use crate::support::{configure, directory, load};
use serde_json::json;
use tch::{Kind, Tensor};
use vestore_ingest::synthetic::{NamedWeight, SyntheticFamily, SyntheticShape, weights, write_checkpoint};
use vestore_ingest::{Model, ModelSource};

/// Largest deviation of a hidden state or a logit; float32 rounding causes about a fifth of it.
const TOLERANCE: f64 = 1e-5;

/// Not a power of two, so that `ALiBi` interpolates slopes.
const HEADS: u32 = 6;
const LAYERS: u32 = 3;
const TOKENS: usize = 40;

const ESM: Names = Names {
    encoder: "esm",
    attention_norm: "attention.LayerNorm",
    inner: "intermediate.dense",
    outer: "output.dense",
    inner_norm: "LayerNorm",
    head: ["lm_head.dense", "lm_head.layer_norm", "lm_head.decoder", "lm_head.bias"],
};

const BERT: Names = Names {
    encoder: "bert",
    attention_norm: "attention.output.LayerNorm",
    inner: "mlp.gated_layers",
    outer: "mlp.wo",
    inner_norm: "mlp.layernorm",
    head: [
        "cls.predictions.transform.dense",
        "cls.predictions.transform.LayerNorm",
        "bert.embeddings.word_embeddings",
        "cls.predictions.decoder.bias",
    ],
};

const GRINDER: Names = Names {
    encoder: "dnagrinder",
    head: [BERT.head[0], BERT.head[1], "dnagrinder.embeddings.word_embeddings", BERT.head[3]],
    ..BERT
};

const DNABERT2: Options = Options {
    positions: Positions::Alibi,
    norm_before: false,
    inner: Inner::GeGlu,
    epsilon: 1e-12,
    heads: HEADS as usize,
    layers: LAYERS as usize,
    kept: None,
};

const NT_V2: Options = Options {
    positions: Positions::Rotary { base: 10_000.0 },
    norm_before: true,
    inner: Inner::SwiGlu,
    ..DNABERT2
};

const NT_V1: Options =
    Options { positions: Positions::Learned { first: 2 }, inner: Inner::Gelu, kept: Some(0.88), ..NT_V2 };

const DNAGRINDER: Options = Options { inner: Inner::SwiGlu, ..DNABERT2 };

/// A checkpoint as it was published, or with other numbers in its config.json.
struct Case {
    family: SyntheticFamily,
    names: &'static Names,
    options: Options,
    config: &'static [(&'static str, f64)],
}

const CASES: [Case; 6] = {
    use SyntheticFamily::{Dnabert2, Dnagrinder, NucleotideTransformerV1, NucleotideTransformerV2};
    [
        Case { family: NucleotideTransformerV1, names: &ESM, options: NT_V1, config: &[] },
        Case { family: NucleotideTransformerV2, names: &ESM, options: NT_V2, config: &[] },
        Case { family: Dnabert2, names: &BERT, options: DNABERT2, config: &[] },
        Case { family: Dnagrinder, names: &GRINDER, options: DNAGRINDER, config: &[] },
        Case {
            family: NucleotideTransformerV2,
            names: &ESM,
            options: Options { positions: Positions::Rotary { base: 500.0 }, epsilon: 1e-3, ..NT_V2 },
            config: &[("rope_theta", 500.0), ("layer_norm_eps", 1e-3)],
        },
        Case {
            family: Dnabert2,
            names: &BERT,
            options: Options { epsilon: 1e-3, ..DNABERT2 },
            config: &[("layer_norm_eps", 1e-3)],
        },
    ]
};

impl Case {
    /// The engine's model, and the weights it was loaded from.
    fn load(&self) -> (Model, Vec<NamedWeight>) {
        let root = directory();
        let shape = SyntheticShape {
            layers: LAYERS,
            hidden: 48,
            heads: HEADS,
            ffn: 40,
            ..SyntheticShape::tiny(self.family)
        };
        write_checkpoint(root.path(), &shape, 11).expect("written");
        configure(root.path(), |config| {
            self.config.iter().for_each(|(key, value)| config[key] = json!(value));
        });
        (load(&ModelSource::new(root.path())), weights(&shape, 11))
    }
}

/// Two windows of token ids, one with the mask token, id 2 (which decides the scale with token dropout).
fn windows() -> [Vec<i64>; 2] {
    [3, 7].map(|step| {
        (0..TOKENS as i64).map(|at| if at == step { step - 1 } else { 9 + at * at * step % 1000 }).collect()
    })
}

/// The engine's numbers for both windows, in one batch: the hidden states of each, then the logits of every token.
fn engine(model: &Model) -> Vec<f64> {
    let ids: Vec<i64> = windows().concat();
    let ids = Tensor::from_slice(&ids).view([2, -1]);
    let mut states = model.hidden_states(&ids).expect("hidden states");
    let last = states.last().expect("a state").view([2 * TOKENS as i64, -1]);
    states.push(model.masked_logits(&last).expect("logits").view([2, TOKENS as i64, -1]));
    let window = |window: i64| states.iter().map(move |state| state.select(0, window).flatten(0, -1));
    let all: Vec<Tensor> = (0..2).flat_map(window).collect();
    Vec::try_from(Tensor::cat(&all, 0).to_kind(Kind::Double)).expect("numbers")
}

/// The same numbers in float64.
fn expected(encoder: &Encoder) -> Vec<f64> {
    let window = |ids: Vec<i64>| {
        let states = encoder.hidden_states(&ids);
        let logits: Vec<f64> =
            states[states.len() - 1].iter().flat_map(|last| encoder.logits(last)).collect();
        states.into_iter().flatten().flatten().chain(logits)
    };
    windows().into_iter().flat_map(window).collect()
}

/// The largest deviation; infinite where there is a NaN.
fn deviation(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let deviations = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs());
    deviations.map(|deviation| if deviation.is_nan() { f64::INFINITY } else { deviation }).fold(0.0, f64::max)
}

#[test]
fn hidden_states_and_logits_are_those_of_a_float64_implementation() {
    let mut wrong = Vec::new();
    for case in CASES {
        let (model, weights) = case.load();
        let (found, encoder) = (engine(&model), Encoder::new(&weights, case.names, case.options));
        let worst = deviation(&found, &expected(&encoder));
        eprintln!("{:?} {:?}: {} numbers, worst {worst:.1e}", case.family, case.config, found.len());
        if worst > TOLERANCE {
            wrong.push((case.family, case.config, worst));
        }
    }
    assert!(wrong.is_empty(), "beyond {TOLERANCE:.0e}: {wrong:?}");
}

#[test]
fn every_option_shows_in_the_numbers() {
    for case in CASES {
        let (model, weights) = case.load();
        let found = engine(&model);
        let right = case.options;
        let positions = match right.positions {
            Positions::Learned { first } => Positions::Learned { first: first - 1 },
            Positions::Rotary { base } => Positions::Rotary { base: base * 1.01 },
            Positions::Alibi => Positions::Rotary { base: 10_000.0 },
        };
        let mut wrong = vec![
            Options { positions, ..right },
            Options { epsilon: right.epsilon * 1.1 + 1e-5, ..right },
            Options { norm_before: !right.norm_before, ..right },
            Options { kept: if right.kept.is_some() { None } else { Some(0.88) }, ..right },
            Options { heads: right.heads / 2, ..right },
        ];
        match right.inner {
            // A plain MLP has no second half to gate.
            Inner::Gelu => {}
            Inner::SwiGlu => wrong.push(Options { inner: Inner::GeGlu, ..right }),
            Inner::GeGlu => wrong.push(Options { inner: Inner::SwiGlu, ..right }),
        }
        for wrong in wrong {
            let worst = deviation(&found, &expected(&Encoder::new(&weights, case.names, wrong)));
            assert!(worst > 10.0 * TOLERANCE, "{:?}: {wrong:?} deviates by {worst:.1e} only", case.family);
        }
    }
}
