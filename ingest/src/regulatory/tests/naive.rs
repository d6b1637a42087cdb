//! A second implementation in float64, by whole layers and by the book: no blocks, no views, terms of distance looked up
//! pair by pair. It needs no golden set.

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Device, Kind, Tensor};
use vestore_schema::{AblatedPart, Bins, Head};

use super::support::{load, profile};
use crate::checkpoint::ModelSource;
use crate::random::Random;
use crate::regulatory::config::{GammaMaximum, RegulatoryConfig, RegulatoryFamily};
use crate::regulatory::describe::regulatory_config;
use crate::synthetic::{RegulatoryShape, write_regulatory_checkpoint};

type Weights = BTreeMap<String, Tensor>;

fn weights(folder: &Path) -> Weights {
    let bytes = std::fs::read(folder.join("model.safetensors")).expect("weights");
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    let read = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        let shape: Vec<i64> = view.shape().iter().map(|size| *size as i64).collect();
        (name, Tensor::from_data_size(view.data(), &shape, Kind::Float).to_kind(Kind::Double))
    };
    tensors.tensors().into_iter().map(read).collect()
}

struct Naive<'a> {
    config: &'a RegulatoryConfig,
    weights: Weights,
}

impl Naive<'_> {
    fn weight(&self, name: &str) -> &Tensor {
        &self.weights[name]
    }

    fn gelu(&self, x: &Tensor) -> Tensor {
        if self.config.is_unet() { x.gelu("tanh") } else { x * (x * 1.702).sigmoid() }
    }

    /// [1, channels, positions].
    fn convolve(&self, x: &Tensor, name: &str) -> Tensor {
        let weight = self.weight(&format!("{name}.weight"));
        x.conv1d(weight, self.weights.get(&format!("{name}.bias")), 1, weight.size()[2] / 2, 1, 1)
    }

    fn block(&self, x: &Tensor, norm: &str, convolution: &str) -> Tensor {
        let part = |part: &str| Some(self.weight(&format!("{norm}.{part}")));
        let eps = if self.config.is_unet() { 1e-3 } else { 1e-5 };
        let normed = x.batch_norm(
            part("weight"),
            part("bias"),
            part("running_mean"),
            part("running_var"),
            false,
            0.1,
            eps,
            false,
        );
        self.convolve(&self.gelu(&normed), convolution)
    }

    fn borzoi_block(&self, x: &Tensor, name: &str) -> Tensor {
        self.block(x, &format!("{name}.norm"), &format!("{name}.conv_layer"))
    }

    fn norm(&self, x: &Tensor, name: &str) -> Tensor {
        let eps = if self.config.is_unet() { 1e-3 } else { 1e-5 };
        let part = |part: &str| Some(self.weight(&format!("{name}.{part}")));
        x.layer_norm([i64::from(self.config.hidden)], part("weight"), part("bias"), eps, false)
    }

    fn linear(&self, x: &Tensor, name: &str) -> Tensor {
        x.linear(self.weight(&format!("{name}.weight")), self.weights.get(&format!("{name}.bias")))
    }

    /// The features of one distance.
    fn features(&self, distance: i64, tokens: i64, count: usize) -> Vec<f64> {
        let away = distance.abs() as f64;
        let length = tokens as f64;
        let half: Vec<f64> = if self.config.is_unet() {
            let pieces = count / 2;
            let width = |power: usize| (4097f64.ln() / pieces as f64 * power as f64).exp() - 1.0;
            (1..=pieces).map(|power| f64::from(width(power) > away)).collect()
        } else {
            let pieces = count / 6;
            let spaced = |low: f64, high: f64, place: usize| {
                low + (high - low) * place as f64 / (pieces - 1).max(1) as f64
            };
            let half_life = |place| spaced(3.0, length.log2(), place).exp2();
            let exponential = (0..pieces).map(|place| (-(2f64.ln()) * away / half_life(place)).exp());
            let mask = (1..=pieces).map(|power| f64::from((power as f64).exp2() - 1.0 > away));
            let gamma = |place: usize, away: f64| {
                let mean = spaced(length / pieces as f64, length, place);
                let deviation = length / (2 * pieces) as f64;
                let (shape, rate) = ((mean / deviation).powi(2), mean / deviation.powi(2));
                let log = if away == 0.0 { f64::NEG_INFINITY } else { away.ln() };
                let gamma = Tensor::from_slice(&[shape]).lgamma().double_value(&[0]);
                ((shape - 1.0) * log - rate * away - gamma + shape * rate.ln()).exp() + 1e-8
            };
            let most = |place: usize| match self.config.gamma {
                GammaMaximum::Positions => {
                    (0..tokens).map(|away| gamma(place, away as f64)).fold(0.0, f64::max)
                }
                GammaMaximum::Features => (0..pieces).map(|place| gamma(place, away)).fold(0.0, f64::max),
            };
            let gammas: Vec<f64> = (0..pieces).map(|place| gamma(place, away) / most(place)).collect();
            exponential.chain(mask).chain(gammas).collect()
        };
        let signed: Vec<f64> = half.iter().map(|feature| feature * distance.signum() as f64).collect();
        [half, signed].concat()
    }

    fn relative(&self, x: &Tensor, name: &str) -> Tensor {
        let (tokens, heads) = (x.size()[1], i64::from(self.config.heads));
        let by_head = |x: Tensor| x.view([tokens, heads, -1]).transpose(0, 1);
        let [query, key, value] =
            ["to_q", "to_k", "to_v"].map(|part| by_head(self.linear(x, &format!("{name}.{part}"))));
        let matrix = self.weight(&format!("{name}.to_rel_k.weight"));
        let count = matrix.size()[1] as usize;
        let query = query * f64::from(self.config.key).powf(-0.5);
        let bias = |part: &str| self.weight(&format!("{name}.{part}")).squeeze_dim(0);
        let content = &query + bias("rel_content_bias");
        let place = &query + bias("rel_pos_bias");
        let logits = content.matmul(&key.transpose(1, 2));
        let mut terms = Vec::new();
        for i in 0..tokens {
            for j in 0..tokens {
                let features = Tensor::from_slice(&self.features(j - i, tokens, count));
                let distance = matrix.mv(&features).view([heads, -1]);
                terms.push((place.select(1, i) * distance).sum_dim_intlist(
                    [-1i64].as_slice(),
                    false,
                    Kind::Double,
                ));
            }
        }
        let terms = Tensor::stack(&terms, 1).view([heads, tokens, tokens]);
        let read = (logits + terms).softmax(-1, Kind::Double).matmul(&value);
        self.linear(&read.transpose(0, 1).reshape([1, tokens, -1]), &format!("{name}.to_out"))
    }

    fn rotary(&self, x: &Tensor, name: &str) -> Tensor {
        let (tokens, heads) = (x.size()[1], i64::from(self.config.heads));
        let head = i64::from(self.config.key);
        let all = self.linear(x, &format!("{name}.mha.Wqkv")).view([tokens, 2 * heads, head]).transpose(0, 1);
        let half = i64::from(self.config.rotated) / 2;
        let rotate = |x: Tensor| {
            let turned = x.copy();
            for position in 0..tokens {
                for pair in 0..half {
                    let angle = position as f64 * 20_000f64.powf(-(pair as f64) / half as f64);
                    let at = |place: i64| x.select(2, place).select(1, position);
                    let to =
                        |place: i64, value: Tensor| turned.select(2, place).select(1, position).copy_(&value);
                    to(pair, at(pair) * angle.cos() - at(pair + half) * angle.sin());
                    to(pair + half, at(pair + half) * angle.cos() + at(pair) * angle.sin());
                }
            }
            turned
        };
        let mut read = Vec::new();
        for number in 0..heads {
            let pick = |place: i64| all.narrow(0, place, 1);
            let shared = number / 2;
            let query = rotate(pick(number));
            let key = rotate(pick(heads + shared));
            let logits = query.matmul(&key.transpose(1, 2)) * (head as f64).powf(-0.5);
            read.push(logits.softmax(-1, Kind::Double).matmul(&pick(heads + heads / 2 + shared)));
        }
        let read = Tensor::cat(&read, 0).transpose(0, 1).reshape([1, tokens, -1]);
        self.linear(&read, &format!("{name}.mha.out_proj"))
    }

    fn transformer(&self, mut x: Tensor, kept: &[u32], without: &str) -> Tensor {
        for number in kept {
            let [attention, feed_forward] = [0, 1].map(|part| format!("transformer.{number}.{part}.fn"));
            if without != "attention" {
                let normed = self.norm(&x, &format!("{attention}.0"));
                x = &x
                    + match self.config.family {
                        RegulatoryFamily::Flashzoi => self.rotary(&normed, &format!("{attention}.1")),
                        _ => self.relative(&normed, &format!("{attention}.1")),
                    };
            }
            if without != "mlp" {
                let inner =
                    self.linear(&self.norm(&x, &format!("{feed_forward}.0")), &format!("{feed_forward}.1"));
                x = &x + self.linear(&inner.relu(), &format!("{feed_forward}.4"));
            }
        }
        x
    }

    fn forward(&self, bases: &Tensor, kept: &[u32], head: Head, without: &str) -> Tensor {
        let x = bases.to_kind(Kind::Double);
        let x = if self.config.is_unet() {
            let pool = |x: &Tensor| {
                x.max_pool1d(
                    [2i64].as_slice(),
                    [2i64].as_slice(),
                    [0i64].as_slice(),
                    [1i64].as_slice(),
                    false,
                )
            };
            let mut x = pool(&self.convolve(&x, "conv_dna.conv_layer"));
            for number in 0..4 {
                x = pool(&self.borzoi_block(&x, &format!("res_tower.{}", 2 * number)));
            }
            let fine = self.borzoi_block(&x, "res_tower.8");
            let coarse = self.borzoi_block(&pool(&fine), "unet1.1");
            let mut x = self.transformer(pool(&coarse).transpose(1, 2), kept, without).transpose(1, 2);
            for (number, skip) in [(1, coarse), (0, fine)] {
                x = self.borzoi_block(&x, &format!("upsampling_unet{number}.0"));
                let twice = Tensor::stack(&[&x, &x], 3);
                x = twice.view([1, x.size()[1], -1]);
                x += self.borzoi_block(&skip, &format!("horizontal_conv{number}"));
                let depthwise = self.weight(&format!("separable{number}.conv_layer.0.weight"));
                x = x.conv1d(depthwise, None::<Tensor>, 1, 1, 1, depthwise.size()[0]);
                x = self.convolve(&x, &format!("separable{number}.conv_layer.1"));
            }
            let x = Self::crop(&x, 16);
            self.gelu(&self.borzoi_block(&x, "final_joined_convs.0"))
        } else {
            let pool = |x: &Tensor, name: &str| {
                let logits = x.conv1d(
                    &self.weight(&format!("{name}.to_attn_logits.weight")).squeeze_dim(3),
                    None::<Tensor>,
                    1,
                    0,
                    1,
                    1,
                );
                let pairs = |x: &Tensor| x.view([1, x.size()[1], -1, 2]);
                (pairs(&logits).softmax(-1, Kind::Double) * pairs(x)).sum_dim_intlist(
                    [-1i64].as_slice(),
                    false,
                    Kind::Double,
                )
            };
            let residual =
                |x: &Tensor, name: &str| x + self.block(x, &format!("{name}.fn.0"), &format!("{name}.fn.2"));
            let mut x = pool(&residual(&self.convolve(&x, "stem.0"), "stem.1"), "stem.2");
            for number in 0..self.config.halvings - 1 {
                let name = format!("conv_tower.{number}");
                x = self.block(&x, &format!("{name}.0.0"), &format!("{name}.0.2"));
                x = pool(&residual(&x, &format!("{name}.1")), &format!("{name}.2"));
            }
            let x = self.transformer(x.transpose(1, 2), kept, without).transpose(1, 2);
            let x = Self::crop(&x, 16);
            self.gelu(&self.block(&x, "final_pointwise.1.0", "final_pointwise.1.2"))
        };
        let name = super::super::blueprint::head_name(self.config, head);
        let weight = self.weight(&format!("{name}.weight")).flatten(1, -1);
        let bias = self.weight(&format!("{name}.bias")).unsqueeze(1);
        (weight.matmul(&x.squeeze_dim(0)) + bias).softplus()
    }

    fn crop(x: &Tensor, bins: i64) -> Tensor {
        let margin = (x.size()[2] - bins + 1) / 2;
        x.narrow(2, margin, x.size()[2] - 2 * margin)
    }
}

/// Random bases, some of them unknown.
fn bases(length: i64, seed: u64) -> Tensor {
    let mut random = Random::new(seed);
    let zeros = Tensor::zeros([1, 4, length], (Kind::Float, Device::Cpu));
    for place in 0..length {
        let letter = (random.uniform() * 4.2) as i64;
        if letter < 4 {
            let _ = zeros.select(2, place).select(1, letter).fill_(1.0);
        }
    }
    zeros
}

fn agree(family: RegulatoryFamily, lengths: &[i64], gamma: Option<bool>, tolerance: f64) {
    let folder = tempfile::tempdir().expect("a folder");
    write_regulatory_checkpoint(folder.path(), &RegulatoryShape::tiny(family), 11).expect("written");
    if let Some(tensorflow) = gamma {
        let file = folder.path().join("config.json");
        let text = std::fs::read_to_string(&file).expect("read");
        let text = text.replacen('{', &format!("{{ \"use_tf_gamma\": {tensorflow}, "), 1);
        std::fs::write(file, text).expect("written");
    }
    for (kept, head, without) in [
        (vec![0, 1, 2], Head::Human, ""),
        (vec![0, 2], Head::Mouse, ""),
        (vec![1], Head::Human, "attention"),
        (vec![1], Head::Human, "mlp"),
    ] {
        let source = ModelSource { kept_layers: Some(kept.clone()), ..ModelSource::new(folder.path()) };
        let config = regulatory_config(&source).expect("a configuration");
        let naive = Naive { config: &config, weights: weights(folder.path()) };
        let [double, float] = [Kind::Double, Kind::Float].map(|kind| load(&source, head, kind));
        for length in lengths {
            assert_eq!(config.check_window(*length as u32), Ok(()));
            let bases = bases(*length, 5);
            let expected = naive.forward(&bases, &kept, head, without);
            let part = Some(AblatedPart::new(without)).filter(|part| !part.as_str().is_empty());
            for (trunk, tolerance) in [(&double, tolerance), (&float, 1e-4)] {
                let mut state = trunk.begin(&bases).expect("tokens");
                for index in 0..trunk.depth() {
                    state = trunk.block(index, &state, part.as_ref()).expect("tokens");
                }
                let found = trunk.profile(&state, Bins::Center).expect("a profile");
                let difference = (found.to_kind(Kind::Double) - &expected).abs().max().double_value(&[]);
                assert!(difference < tolerance, "{family:?} {kept:?} {length}: {difference:.1e}");
            }
        }
    }
}

#[test]
fn borzoi_agrees() {
    agree(RegulatoryFamily::Borzoi, &[1152, 1280 + 31, 2048], None, 1e-9);
}

#[test]
fn flashzoi_agrees() {
    agree(RegulatoryFamily::Flashzoi, &[1152, 1280 + 1], None, 1e-9);
}

#[test]
fn enformer_agrees() {
    agree(RegulatoryFamily::Enformer, &[2048, 17 * 128], Some(false), 1e-9);
    // As in TensorFlow, the exponents of gammas are computed in float32 whatever the rest is.
    agree(RegulatoryFamily::Enformer, &[17 * 128], Some(true), 1e-4);
}

/// Lengths one after the other give what each gives alone: nothing of the first is kept.
#[test]
fn lengths_do_not_disturb_each_other() {
    let folder = tempfile::tempdir().expect("a folder");
    for family in [RegulatoryFamily::Borzoi, RegulatoryFamily::Flashzoi, RegulatoryFamily::Enformer] {
        write_regulatory_checkpoint(folder.path(), &RegulatoryShape::tiny(family), 3).expect("written");
        let source = ModelSource::new(folder.path());
        let fresh = || load(&source, Head::Human, Kind::Float);
        let (one, long, short) = (fresh(), bases(4096, 1), bases(2048, 2));
        let alone = profile(&fresh(), &short, Bins::Center);
        drop(profile(&one, &long, Bins::Center));
        assert!(profile(&one, &short, Bins::Center).equal(&alone), "{family:?}");
    }
}

/// Half precision changes numbers by what it rounds, and heads stay float32.
#[test]
fn half_precision_is_near() {
    let folder = tempfile::tempdir().expect("a folder");
    for family in [RegulatoryFamily::Borzoi, RegulatoryFamily::Flashzoi, RegulatoryFamily::Enformer] {
        write_regulatory_checkpoint(folder.path(), &RegulatoryShape::tiny(family), 3).expect("written");
        let source = ModelSource::new(folder.path());
        let bases = bases(2048, 2);
        let exact = profile(&load(&source, Head::Human, Kind::Float), &bases, Bins::Center);
        let half = profile(&load(&source, Head::Human, Kind::BFloat16), &bases, Bins::Center);
        assert_eq!(half.kind(), Kind::Float);
        let difference = (half - &exact).abs().max().double_value(&[]);
        assert!(
            difference > 1e-5 && difference < 0.1 * exact.abs().max().double_value(&[]),
            "{family:?} {difference}"
        );
    }
}
