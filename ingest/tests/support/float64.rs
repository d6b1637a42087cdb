//! The published encoders in float64 and plain loops, written from their papers and published code. It shares
//! nothing with the engine but the weights.

use std::collections::BTreeMap;

use vestore_ingest::synthetic::NamedWeight;

/// How tokens learn where they stand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Positions {
    /// Token `i` adds row `first + i` of a table.
    Learned { first: usize },
    /// Queries and keys are rotated (arXiv 2104.09864), the halves of a head paired.
    Rotary { base: f64 },
    /// A penalty linear in the distance (arXiv 2108.12409), both ways.
    Alibi,
}

/// The activation between the two products of the MLP.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Inner {
    Gelu,
    SwiGlu,
    GeGlu,
}

/// What a family does with its weights.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) positions: Positions,
    /// Whether layer norms stand before attention and MLP instead of after their sums.
    pub(crate) norm_before: bool,
    pub(crate) inner: Inner,
    pub(crate) epsilon: f64,
    pub(crate) heads: usize,
    pub(crate) layers: usize,
    /// Scale of the embeddings in a model that was trained with token dropout.
    pub(crate) kept: Option<f64>,
}

/// Names of the weights that differ between families.
pub(crate) struct Names {
    pub(crate) encoder: &'static str,
    pub(crate) attention_norm: &'static str,
    pub(crate) inner: &'static str,
    pub(crate) outer: &'static str,
    pub(crate) inner_norm: &'static str,
    /// Dense, norm, decoder and the decoder's bias of the masked language model's head.
    pub(crate) head: [&'static str; 4],
}

/// The id of the mask token of the families with token dropout.
const MASK: i64 = 2;

/// An encoder with its masked language model's head.
pub(crate) struct Encoder {
    options: Options,
    names: &'static Names,
    weights: BTreeMap<String, Vec<f64>>,
}

impl Encoder {
    pub(crate) fn new(weights: &[NamedWeight], names: &'static Names, options: Options) -> Self {
        let wide = |numbers: &[f32]| numbers.iter().copied().map(f64::from).collect();
        let weights = weights.iter().map(|(name, _, numbers)| (name.clone(), wide(numbers))).collect();
        Self { options, names, weights }
    }

    /// The embeddings, then the state after each layer, the last one after the final norm: a vector a token.
    pub(crate) fn hidden_states(&self, ids: &[i64]) -> Vec<Vec<Vec<f64>>> {
        let mut states = vec![self.embed(ids)];
        for layer in 0..self.options.layers {
            states.push(self.layer(layer, &states[layer]));
        }
        let last_norm = self.name("encoder.emb_layer_norm_after");
        if let Some(last) = states.last_mut().filter(|_| self.has(&last_norm)) {
            *last = last.iter().map(|vector| self.norm(&last_norm, vector)).collect();
        }
        states
    }

    /// A hidden vector to logits over the vocabulary.
    pub(crate) fn logits(&self, hidden: &[f64]) -> Vec<f64> {
        let [dense, norm, decoder, bias] = self.names.head;
        let inner: Vec<f64> = self.linear(dense, hidden).into_iter().map(gelu).collect();
        let inner = self.norm(norm, &inner);
        let rows = self.weights[&format!("{decoder}.weight")].chunks(inner.len());
        rows.zip(&self.weights[bias]).map(|(row, bias)| dot(row, &inner) + bias).collect()
    }

    fn name(&self, part: &str) -> String {
        format!("{}.{part}", self.names.encoder)
    }

    fn has(&self, module: &str) -> bool {
        self.weights.contains_key(&format!("{module}.weight"))
    }

    /// The product with a matrix of outputs × inputs, and its bias where it has one.
    fn linear(&self, module: &str, input: &[f64]) -> Vec<f64> {
        let rows = self.weights[&format!("{module}.weight")].chunks(input.len());
        let bias = self.weights.get(&format!("{module}.bias"));
        rows.enumerate().map(|(at, row)| dot(row, input) + bias.map_or(0.0, |bias| bias[at])).collect()
    }

    fn norm(&self, module: &str, input: &[f64]) -> Vec<f64> {
        let (weight, bias) =
            (&self.weights[&format!("{module}.weight")], &self.weights[&format!("{module}.bias")]);
        let mean = input.iter().sum::<f64>() / input.len() as f64;
        let variance = input.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / input.len() as f64;
        let scale = 1.0 / (variance + self.options.epsilon).sqrt();
        (0..input.len()).map(|at| (input[at] - mean) * scale * weight[at] + bias[at]).collect()
    }

    /// Row `row` of an embedding table for vectors of `length` numbers.
    fn row(&self, table: &str, row: usize, length: usize) -> &[f64] {
        &self.weights[&self.name(&format!("embeddings.{table}.weight"))][row * length..][..length]
    }

    fn embed(&self, ids: &[i64]) -> Vec<Vec<f64>> {
        let length = self.weights[&format!("{}.bias", self.names.head[1])].len();
        let masked = ids.iter().filter(|id| **id == MASK).count() as f64 / ids.len() as f64;
        let token = |(at, id): (usize, &i64)| {
            let mut vector = self.row("word_embeddings", *id as usize, length).to_vec();
            if let Some(kept) = self.options.kept {
                let scale = if *id == MASK { 0.0 } else { kept / (1.0 - masked) };
                vector = vector.iter().map(|number| number * scale).collect();
            }
            if let Positions::Learned { first } = self.options.positions {
                vector = sum(&vector, self.row("position_embeddings", first + at, length));
            }
            if self.has(&self.name("embeddings.token_type_embeddings")) {
                vector = sum(&vector, self.row("token_type_embeddings", 0, length));
            }
            let norm = self.name("embeddings.LayerNorm");
            if self.has(&norm) { self.norm(&norm, &vector) } else { vector }
        };
        ids.iter().enumerate().map(token).collect()
    }

    fn layer(&self, layer: usize, states: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let part = |part: &str| self.name(&format!("encoder.layer.{layer}.{part}"));
        let (attention_norm, inner_norm) = (part(self.names.attention_norm), part(self.names.inner_norm));
        let each = |module: &str, states: &[Vec<f64>]| -> Vec<Vec<f64>> {
            states.iter().map(|state| self.norm(module, state)).collect()
        };
        let attend = |states: &[Vec<f64>]| self.attention(&part("attention"), states);
        let mlp = |states: &[Vec<f64>]| -> Vec<Vec<f64>> {
            let inner = states.iter().map(|state| self.active(&self.linear(&part(self.names.inner), state)));
            inner.map(|inner| self.linear(&part(self.names.outer), &inner)).collect()
        };
        if self.options.norm_before {
            let middle = sums(states, &attend(&each(&attention_norm, states)));
            sums(&middle, &mlp(&each(&inner_norm, &middle)))
        } else {
            let middle = each(&attention_norm, &sums(states, &attend(states)));
            each(&inner_norm, &sums(&middle, &mlp(&middle)))
        }
    }

    fn active(&self, numbers: &[f64]) -> Vec<f64> {
        let (gates, values) = numbers.split_at(numbers.len() / 2);
        let gated = |gate: fn(f64) -> f64| gates.iter().zip(values).map(|(g, v)| gate(*g) * v).collect();
        match self.options.inner {
            Inner::Gelu => numbers.iter().copied().map(gelu).collect(),
            Inner::SwiGlu => gated(|number| number / (1.0 + (-number).exp())),
            Inner::GeGlu => gated(gelu),
        }
    }

    fn attention(&self, name: &str, states: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let fused = format!("{name}.self.Wqkv");
        let projected = |(at, part): (usize, &str)| -> Vec<Vec<f64>> {
            let project = |state: &Vec<f64>| {
                if self.has(&fused) {
                    return self.linear(&fused, state)[at * state.len()..][..state.len()].to_vec();
                }
                self.linear(&format!("{name}.self.{part}"), state)
            };
            states.iter().map(project).collect()
        };
        let [mut queries, mut keys, values] = [(0, "query"), (1, "key"), (2, "value")].map(projected);
        let width = values[0].len() / self.options.heads;
        if let Positions::Rotary { base } = self.options.positions {
            for (at, vector) in queries.iter_mut().enumerate().chain(keys.iter_mut().enumerate()) {
                vector.chunks_mut(width).for_each(|head| rotate(head, at as f64, base));
            }
        }
        let penalized = matches!(self.options.positions, Positions::Alibi);
        let mut mixed = vec![vec![0.0; values[0].len()]; states.len()];
        for (head, slope) in slopes(self.options.heads).into_iter().enumerate() {
            let part = head * width..(head + 1) * width;
            for (at, query) in queries.iter().enumerate() {
                let weight = |(other, key): (usize, &Vec<f64>)| {
                    let penalty = if penalized { slope * at.abs_diff(other) as f64 } else { 0.0 };
                    (dot(&query[part.clone()], &key[part.clone()]) / (width as f64).sqrt() - penalty).exp()
                };
                let weights: Vec<f64> = keys.iter().enumerate().map(weight).collect();
                let total: f64 = weights.iter().sum();
                for (weight, value) in weights.iter().zip(&values) {
                    part.clone().for_each(|place| mixed[at][place] += weight / total * value[place]);
                }
            }
        }
        mixed.iter().map(|state| self.linear(&format!("{name}.output.dense"), state)).collect()
    }
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

fn sum(left: &[f64], right: &[f64]) -> Vec<f64> {
    left.iter().zip(right).map(|(left, right)| left + right).collect()
}

fn sums(left: &[Vec<f64>], right: &[Vec<f64>]) -> Vec<Vec<f64>> {
    left.iter().zip(right).map(|(left, right)| sum(left, right)).collect()
}

fn rotate(head: &mut [f64], position: f64, base: f64) {
    let half = head.len() / 2;
    for pair in 0..half {
        let (sine, cosine) = (position / base.powf(pair as f64 / half as f64)).sin_cos();
        let (left, right) = (head[pair], head[pair + half]);
        (head[pair], head[pair + half]) = (left * cosine - right * sine, right * cosine + left * sine);
    }
}

/// Slopes of the heads: a geometric sequence, filled up with every other one of twice as many.
fn slopes(heads: usize) -> Vec<f64> {
    let sequence = |count: usize| (1..=count).map(move |at| (-8.0 * at as f64 / count as f64).exp2());
    let power = (1..=heads).filter(|count| count.is_power_of_two()).max().unwrap_or(1);
    sequence(power).chain(sequence(2 * power).step_by(2)).take(heads).collect()
}

fn gelu(number: f64) -> f64 {
    0.5 * number * (1.0 + erf(number / 2f64.sqrt()))
}

/// The error function by its series of positive terms (Abramowitz and Stegun 7.1.6).
fn erf(number: f64) -> f64 {
    let number = number.clamp(-6.0, 6.0);
    let (mut term, mut total) = (number, number);
    for at in 1..200 {
        term *= 2.0 * number * number / f64::from(2 * at + 1);
        total += term;
    }
    total * (-number * number).exp() * 2.0 / std::f64::consts::PI.sqrt()
}
