//! Attention of regulatory models over a few thousand tokens: with learned terms for the distance of two tokens (Borzoi,
//! Enformer), in blocks of queries so that memory grows with the length and not with its square; or rotary (Flashzoi).

use tch::{Device, TchError, Tensor};

use super::config::{RegulatoryConfig, RegulatoryFamily};
use super::loader::{Loader, wide};
use super::positions::{Positions, rotate};
use crate::convert::from_dimension;
use crate::error::ModelError;
use crate::module::Linear;

/// Numbers of one block of logits on a CPU (32 MiB in float32).
const BLOCK_NUMBERS: i64 = 1 << 23;

/// The same on a GPU.
const GPU_BLOCK_NUMBERS: i64 = 1 << 28;

/// The attention of one block.
pub(super) enum Attention {
    Relative(Relative),
    Rotary(Rotary),
}

/// Attention with terms of content and of distance.
pub(super) struct Relative {
    query: Linear,
    key: Linear,
    value: Linear,
    /// Reads the features of a distance.
    distance: Linear,
    /// [heads, 1, key length].
    content_bias: Tensor,
    /// [heads, 1, key length].
    distance_bias: Tensor,
    output: Linear,
    heads: i64,
}

/// Attention over rotated queries and keys; two heads share keys and values.
pub(super) struct Rotary {
    /// Queries, then keys, then values.
    joined: Linear,
    output: Linear,
    heads: i64,
}

impl Attention {
    pub(super) fn load(
        loader: &Loader<'_>,
        config: &RegulatoryConfig,
        module: &str,
    ) -> Result<Self, ModelError> {
        let heads = i64::from(config.heads);
        let linear = |part: &str| loader.linear(&format!("{module}.{part}"));
        if config.family == RegulatoryFamily::Flashzoi {
            return Ok(Self::Rotary(Rotary {
                joined: linear("mha.Wqkv")?,
                output: linear("mha.out_proj")?,
                heads,
            }));
        }
        let bias = |part: &str| -> Result<Tensor, ModelError> {
            Ok(loader.tensor(&format!("{module}.{part}"))?.f_squeeze_dim(0)?)
        };
        Ok(Self::Relative(Relative {
            query: linear("to_q")?,
            key: linear("to_k")?,
            value: linear("to_v")?,
            distance: linear("to_rel_k")?,
            content_bias: bias("rel_content_bias")?,
            distance_bias: bias("rel_pos_bias")?,
            output: linear("to_out")?,
            heads,
        }))
    }

    /// Of normed tokens [batch, tokens, hidden].
    pub(super) fn forward(&self, tokens: &Tensor, positions: &Positions) -> Result<Tensor, TchError> {
        match (self, positions) {
            (Self::Relative(attention), Positions::Relative(features)) => attention.forward(tokens, features),
            (Self::Rotary(attention), Positions::Rotary { cosine, sine }) => {
                attention.forward(tokens, cosine, sine)
            }
            _ => Err(TchError::Kind("positions of another kind of attention".to_owned())),
        }
    }
}

/// [batch, tokens, heads · length] as [batch, heads, tokens, length].
fn by_head(tokens: &Tensor, heads: i64) -> Result<Tensor, TchError> {
    let (batch, count, width) = tokens.size3()?;
    tokens.f_view([batch, count, heads, width / heads])?.f_transpose(1, 2)
}

/// The reverse of [`by_head`].
fn joined(tokens: &Tensor) -> Result<Tensor, TchError> {
    let (batch, heads, count, length) = tokens.size4()?;
    tokens.f_transpose(1, 2)?.f_reshape([batch, count, heads * length])
}

impl Relative {
    fn forward(&self, tokens: &Tensor, features: &Tensor) -> Result<Tensor, TchError> {
        let project = |linear: &Linear| by_head(&linear.forward(tokens)?, self.heads);
        let (query, key, value) = (project(&self.query)?, project(&self.key)?, project(&self.value)?);
        let distance = by_head(&self.distance.forward(features)?.f_unsqueeze(0)?, self.heads)?;
        let (_, heads, count, length) = query.size4()?;
        // The scale comes before the biases, which are not scaled.
        let query = query.f_mul_scalar((length as f64).powf(-0.5))?;
        let content = query.f_add(&self.content_bias)?;
        let query = query.f_add(&self.distance_bias)?;
        let (key, value) = (key.f_transpose(-2, -1)?, value.f_contiguous()?);
        let distance = distance.f_transpose(-2, -1)?;
        let all = value.f_empty_like()?;
        let rows = block_rows(heads, count, tokens.device());
        for first in (0..count).step_by(from_dimension(rows)) {
            let rows = rows.min(count - first);
            let block = |queries: &Tensor| queries.f_narrow(2, first, rows);
            // The distances from these queries to all keys, of which the last query reads the first.
            let width = count + rows - 1;
            let distance = distance.f_narrow(-1, count - first - rows, width)?;
            let terms = shifted(&block(&query)?.f_matmul(&distance)?)?;
            let logits = block(&content)?.f_matmul(&key)?.f_add_(&terms)?;
            let kind = logits.f_kind()?;
            let shares = logits.f_softmax(-1, wide(kind))?.f_to_kind(kind)?;
            block(&all)?.f_copy_(&shares.f_matmul(&value)?)?;
        }
        self.output.forward(&joined(&all)?)
    }
}

/// Terms of queries [batch, heads, rows, keys + rows − 1], by distance, as terms by key [batch, heads, rows, keys]: row i
/// begins i columns further left. A view, so nothing is copied.
fn shifted(terms: &Tensor) -> Result<Tensor, TchError> {
    let terms = terms.f_contiguous()?;
    let (batch, heads, rows, width) = terms.size4()?;
    let size = [batch, heads, rows, width - rows + 1];
    terms.f_as_strided(size, [heads * rows * width, rows * width, width - 1, 1], rows - 1)
}

impl Rotary {
    fn forward(&self, tokens: &Tensor, cosine: &Tensor, sine: &Tensor) -> Result<Tensor, TchError> {
        // As many heads of queries as of keys and values together.
        let all = by_head(&self.joined.forward(tokens)?, 2 * self.heads)?;
        let shared = self.heads / 2;
        let query = rotate(&all.f_narrow(1, 0, self.heads)?, cosine, sine)?;
        let key = rotate(&all.f_narrow(1, self.heads, shared)?, cosine, sine)?;
        let value = all.f_narrow(1, self.heads + shared, shared)?;
        let twice = |tensor: &Tensor| tensor.f_repeat_interleave_self_int(2, 1, None);
        let (key, value) = (twice(&key)?, twice(&value)?);
        let read = Tensor::f_scaled_dot_product_attention(
            &query,
            &key,
            &value,
            None::<&Tensor>,
            0.0,
            false,
            None,
            false,
        )?;
        self.output.forward(&joined(&read)?)
    }
}

/// Queries of one block.
fn block_rows(heads: i64, count: i64, device: Device) -> i64 {
    let most = if device.is_cuda() { GPU_BLOCK_NUMBERS } else { BLOCK_NUMBERS };
    (most / (heads * count)).clamp(1, count.max(1))
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn terms_by_distance_become_terms_by_key() {
        let (keys, rows) = (5i64, 3i64);
        let terms = Tensor::arange(2 * rows * (keys + rows - 1), (Kind::Float, Device::Cpu));
        let terms = terms.view([1, 2, rows, keys + rows - 1]);
        let view = shifted(&terms).expect("a view");
        for head in 0..2 {
            for row in 0..rows {
                for key in 0..keys {
                    let expected = terms.double_value(&[0, head, row, key - row + rows - 1]);
                    assert_eq!(view.double_value(&[0, head, row, key]), expected);
                }
            }
        }
    }

    #[test]
    fn blocks_give_what_the_whole_gives() {
        tch::manual_seed(3);
        let like = (Kind::Double, Device::Cpu);
        let (heads, count, hidden, length, features) = (2, 37, 8, 3, 4);
        let linear = |outputs, inputs| Linear { weight: Tensor::randn([outputs, inputs], like), bias: None };
        let bias = || Tensor::randn([heads, 1, length], like);
        let attention = Relative {
            query: linear(heads * length, hidden),
            key: linear(heads * length, hidden),
            value: linear(heads * 5, hidden),
            distance: linear(heads * length, features),
            content_bias: bias(),
            distance_bias: bias(),
            output: linear(hidden, heads * 5),
            heads,
        };
        let tokens = Tensor::randn([2, count, hidden], like);
        let table = Tensor::randn([2 * count - 1, features], like);
        let found = attention.forward(&tokens, &table).expect("attention");
        // By hand, with the term of each pair looked up.
        let project =
            |linear: &Linear| by_head(&linear.forward(&tokens).expect("a product"), heads).expect("heads");
        let query = project(&attention.query) / (length as f64).sqrt();
        let places: Vec<i64> = (0..count).flat_map(|i| (0..count).map(move |j| j - i + count - 1)).collect();
        let distance = table
            .matmul(&attention.distance.weight.transpose(0, 1))
            .index_select(0, &Tensor::from_slice(&places));
        let distance = distance.view([count, count, heads, length]).permute([2, 0, 1, 3]);
        let content = (&query + &attention.content_bias).matmul(&project(&attention.key).transpose(-2, -1));
        let terms = ((&query + &attention.distance_bias).unsqueeze(3) * distance).sum_dim_intlist(
            [-1i64].as_slice(),
            false,
            Kind::Double,
        );
        let read = (content + terms).softmax(-1, Kind::Double).matmul(&project(&attention.value));
        let expected = joined(&read).expect("heads").matmul(&attention.output.weight.transpose(0, 1));
        assert!((found - expected).abs().max().double_value(&[]) < 1e-12);
    }

    #[test]
    fn a_block_never_holds_more_than_its_share() {
        for (heads, count) in [(8, 4096), (8, 64), (1, 1 << 25)] {
            for device in [Device::Cpu, Device::Cuda(0)] {
                let rows = block_rows(heads, count, device);
                let most = if device.is_cuda() { GPU_BLOCK_NUMBERS } else { BLOCK_NUMBERS };
                assert!(rows == 1 || heads * count * rows <= most);
            }
        }
    }
}
