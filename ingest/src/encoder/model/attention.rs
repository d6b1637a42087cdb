//! Self-attention, in blocks of queries so that memory grows with the length and not with its square:
//! no heads × length × length tensor exists for a long window.

mod bfloat16;

use tch::{Device, Kind, TchError, Tensor};

use super::config::Positions;
use crate::convert::{dimension, from_dimension, single};

/// Numbers that one block's bias may hold on a CPU (64 MiB in float32). A window short enough is one block.
const BLOCK_NUMBERS: i64 = 1 << 24;

/// The same on a GPU (512 MiB in bfloat16): smaller blocks would leave it idle.
const GPU_BLOCK_NUMBERS: i64 = 1 << 28;

/// What attention needs besides queries, keys and values: for one length, shared by all layers.
pub(crate) enum PositionalEncoding {
    /// Nothing: positions were added to the embeddings.
    None,
    /// Cosines [length, 1, 1, head length], and sines of the half that is paired with the other.
    Rotary { cosine: Tensor, sine: Tensor },
    /// The slopes of the heads [heads, 1, 1], and the bias [1, heads, length, length] when it is small.
    Alibi { slopes: Tensor, whole: Option<Tensor> },
}

impl PositionalEncoding {
    /// What `positions` asks for at `length` tokens.
    pub(crate) fn new(
        positions: Positions,
        heads: i64,
        head_length: i64,
        length: i64,
        like: (Kind, Device),
    ) -> Result<Self, TchError> {
        let (kind, device) = like;
        match positions {
            Positions::Learned { .. } => Ok(Self::None),
            Positions::Rotary { base } => {
                // Computed in float32 as the reference does, whatever kind the model runs in.
                let steps = Tensor::f_arange_start_step(0, head_length, 2, (Kind::Float, device))?;
                let steps = steps.f_div_scalar(head_length as f64)?;
                let powers = Tensor::f_pow_scalar(base, &steps)?.f_reciprocal()?;
                let angles = Tensor::f_arange(length, (Kind::Float, device))?.f_outer(&powers)?;
                let angles = angles.f_unsqueeze(1)?.f_unsqueeze(1)?;
                let cosine = angles.f_cos()?.f_to_kind(kind)?;
                Ok(Self::Rotary {
                    cosine: Tensor::f_cat(&[&cosine, &cosine], -1)?,
                    sine: angles.f_sin()?.f_to_kind(kind)?,
                })
            }
            Positions::Alibi => {
                let slopes = Tensor::f_from_slice(&alibi_slopes(heads))?.f_to_device(device)?;
                let slopes = slopes.f_view([heads, 1, 1])?;
                let small = heads * length * length <= block_numbers(device);
                let whole = if small {
                    let queries = Tensor::f_arange(length, (Kind::Float, device))?.f_view([1, 1, -1, 1])?;
                    Some(alibi_bias(&slopes, &queries, length, kind)?)
                } else {
                    None
                };
                Ok(Self::Alibi { slopes, whole })
            }
        }
    }
}

/// Slopes of the heads: a geometric sequence for a power of two, with every other one of the next
/// power in between otherwise (arXiv 2108.12409).
fn alibi_slopes(heads: i64) -> Vec<f32> {
    let powers = |count: i64| {
        let start = (-8.0 / count as f64).exp2();
        (1..=count).map(move |place| {
            single(start.powi(i32::try_from(place).expect("there are at most 1,024 heads; this is a bug")))
        })
    };
    let whole = 1 << heads.ilog2();
    powers(whole).chain(powers(2 * whole).step_by(2).take(from_dimension(heads - whole))).collect()
}

/// The tokens whose hidden states are wanted, where not all are: as many of every window.
pub(crate) struct SelectedTokens {
    /// Their places in each window [batch, count], int64.
    places: Tensor,
    /// The same in the windows laid end to end [batch × count].
    flat: Tensor,
}

impl SelectedTokens {
    /// `lists` holds the tokens of each window of `length` tokens; none is empty, and the longest sets
    /// how many are computed of each.
    pub(crate) fn new(lists: &[Vec<u32>], length: i64, device: Device) -> Result<Self, TchError> {
        let count = lists.iter().map(Vec::len).max().unwrap_or(0);
        let (mut places, mut flat) = (Vec::new(), Vec::new());
        for (window, list) in (0..).zip(lists) {
            let last = list.last().copied().unwrap_or(0);
            for place in list.iter().copied().chain(std::iter::repeat(last)).take(count) {
                places.push(i64::from(place));
                flat.push(window * length + i64::from(place));
            }
        }
        Ok(Self {
            places: Tensor::f_from_slice(&places)?.f_to_device(device)?.f_view([-1, dimension(count)])?,
            flat: Tensor::f_from_slice(&flat)?.f_to_device(device)?,
        })
    }

    /// The chosen states [batch, count, hidden] of `states` [batch, tokens, hidden].
    pub(crate) fn of(&self, states: &Tensor) -> Result<Tensor, TchError> {
        let (batch, length, hidden) = states.size3()?;
        let rows = states.f_reshape([batch * length, hidden])?.f_index_select(0, &self.flat)?;
        rows.f_view([batch, -1, hidden])
    }

    /// The chosen rows [batch, count, 1, 1, width] of a table [length, 1, 1, width].
    fn rows(&self, table: &Tensor) -> Result<Tensor, TchError> {
        let (batch, count) = self.places.size2()?;
        table.f_index_select(0, &self.places.f_view([-1])?)?.f_view([batch, count, 1, 1, -1])
    }
}

/// The `ALiBi` bias [batch or 1, heads, rows, length] of queries at the places `queries`
/// [batch or 1, 1, rows, 1]: −slope · |i − j|.
fn alibi_bias(slopes: &Tensor, queries: &Tensor, length: i64, kind: Kind) -> Result<Tensor, TchError> {
    let device = slopes.device();
    // CUDA's kernels want rows that start at multiples of eight numbers.
    let width = (length + 7) / 8 * 8;
    let keys = Tensor::f_arange(width, (Kind::Float, device))?;
    let bias = queries.f_sub(&keys)?.f_abs_()?.f_mul(&slopes.f_neg()?)?;
    // Fused attention reads a float32 bias beside bfloat16 queries on a CPU; elsewhere it must match.
    let kind = if device == Device::Cpu && !bfloat16::is_native() { Kind::Float } else { kind };
    bias.f_to_kind(kind)?.f_narrow(-1, 0, length)
}

/// Turns every pair of `vectors` [batch, length, parts, heads, head length] by the angle of its place: the halves are
/// paired. Few passes over memory, since on a GPU that is what it costs.
fn rotate(vectors: &Tensor, cosine: &Tensor, sine: &Tensor) -> Result<Tensor, TchError> {
    let half = sine.size().last().copied().unwrap_or(0);
    let [first, second] = [0, half].map(|from| vectors.f_narrow(-1, from, half));
    let mut turned = vectors.f_mul(cosine)?;
    if vectors.device() == Device::Cpu && vectors.f_kind()? == Kind::BFloat16 {
        // The same numbers: half a head is shorter than a vector of bfloat16, which a CPU would not use then.
        let swapped = Tensor::f_cat(&[second?, first?], -1)?;
        return turned.f_addcmul_(&swapped, &Tensor::f_cat(&[&sine.f_neg()?, sine], -1)?);
    }
    drop(turned.f_narrow(-1, 0, half)?.f_addcmul_(&second?, &sine.f_neg()?)?);
    drop(turned.f_narrow(-1, half, half)?.f_addcmul_(&first?, sine)?);
    Ok(turned)
}

impl PositionalEncoding {
    /// Queries or keys, or both as parts, as attention takes them: `vectors` [batch, length, parts, heads, head length]
    /// of all tokens, or of the chosen ones.
    pub(crate) fn place(&self, vectors: Tensor, chosen: Option<&SelectedTokens>) -> Result<Tensor, TchError> {
        match (self, chosen) {
            (Self::None | Self::Alibi { .. }, _) => Ok(vectors),
            (Self::Rotary { cosine, sine }, None) => rotate(&vectors, cosine, sine),
            (Self::Rotary { cosine, sine }, Some(chosen)) => {
                rotate(&vectors, &chosen.rows(cosine)?, &chosen.rows(sine)?)
            }
        }
    }
}

/// Attention over queries and keys in their places and values [batch, heads, length, head length]; the queries are
/// those of the chosen tokens where some are chosen.
pub(crate) fn attend(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    encoding: &PositionalEncoding,
    chosen: Option<&SelectedTokens>,
) -> Result<Tensor, TchError> {
    match (encoding, chosen) {
        (PositionalEncoding::None | PositionalEncoding::Rotary { .. }, _) => product(query, key, value, None),
        (PositionalEncoding::Alibi { slopes, .. }, Some(chosen)) => {
            let queries = chosen.places.f_to_kind(Kind::Float)?.f_unsqueeze(1)?.f_unsqueeze(-1)?;
            let bias = alibi_bias(slopes, &queries, key.size4()?.2, key.f_kind()?)?;
            product(query, key, value, Some(&bias))
        }
        (PositionalEncoding::Alibi { whole: Some(bias), .. }, None) => product(query, key, value, Some(bias)),
        (PositionalEncoding::Alibi { slopes, whole: None }, None) => {
            let (_, heads, length, _) = query.size4()?;
            let most = block_numbers(query.device());
            in_blocks([query, key, value], slopes, block_rows(heads, length, most))
        }
    }
}

/// Attention with the `ALiBi` bias, `rows` queries at a time. What a block gives is copied at once into its
/// place: small results that stay between large ones that go would keep the allocator from using the room
/// again.
fn in_blocks(inputs: [&Tensor; 3], slopes: &Tensor, rows: i64) -> Result<Tensor, TchError> {
    let [query, key, value] = inputs;
    let (_, _, length, _) = query.size4()?;
    let places = (Kind::Float, query.device());
    let all = query.f_empty_like()?;
    for first in (0..length).step_by(from_dimension(rows)) {
        let rows = rows.min(length - first);
        let queries = Tensor::f_arange_start(first, first + rows, places)?.f_view([1, 1, rows, 1])?;
        let bias = alibi_bias(slopes, &queries, length, query.f_kind()?)?;
        let block = product(&query.f_narrow(2, first, rows)?, key, value, Some(&bias))?;
        all.f_narrow(2, first, rows)?.f_copy_(&block)?;
    }
    Ok(all)
}

fn product(query: &Tensor, key: &Tensor, value: &Tensor, bias: Option<&Tensor>) -> Result<Tensor, TchError> {
    if bfloat16::suits(query)? {
        return bfloat16::attend(query, key, value, bias);
    }
    Tensor::f_scaled_dot_product_attention(query, key, value, bias, 0.0, false, None, false)
}

/// Queries of one block.
fn block_rows(heads: i64, length: i64, most: i64) -> i64 {
    (most / (heads * length)).max(1)
}

fn block_numbers(device: Device) -> i64 {
    if device.is_cuda() { GPU_BLOCK_NUMBERS } else { BLOCK_NUMBERS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_follow_the_paper() {
        let expected: Vec<f32> = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 0.5, 1.5, 2.5, 3.5]
            .map(|power: f32| (-power).exp2())
            .to_vec();
        for (slope, expected) in alibi_slopes(12).into_iter().zip(expected) {
            assert!((slope - expected).abs() < 1e-7, "{slope} {expected}");
        }
        assert_eq!(alibi_slopes(1).len(), 1);
    }

    #[test]
    fn blocks_give_what_the_whole_gives() {
        let like = (Kind::Float, Device::Cpu);
        tch::manual_seed(3);
        let (heads, length) = (3, 53);
        let [query, key, value] =
            [(); 3].map(|()| Tensor::f_randn([2, heads, length, 8], like).expect("noise"));
        let Ok(PositionalEncoding::Alibi { slopes, whole: Some(bias) }) =
            PositionalEncoding::new(Positions::Alibi, heads, 8, length, like)
        else {
            panic!("a bias");
        };
        let scores = query.matmul(&key.transpose(-2, -1)) / 8f64.sqrt() + &bias;
        let expected = scores.softmax(-1, Kind::Float).matmul(&value);
        let encoding =
            PositionalEncoding::Alibi { slopes: slopes.shallow_clone(), whole: Some(bias.shallow_clone()) };
        let whole = attend(&query, &key, &value, &encoding, None).expect("attention");
        assert!((&whole - &expected).abs().max().double_value(&[]) < 2e-6);
        let lists = [vec![0, 17], vec![52]];
        let chosen = SelectedTokens::new(&lists, length, Device::Cpu).expect("places");
        let rows = |states: &Tensor| {
            let states = states.transpose(1, 2).reshape([2, length, heads * 8]);
            chosen.of(&states).expect("rows").view([2, -1, heads, 8]).transpose(1, 2)
        };
        let some = attend(&rows(&query), &key, &value, &encoding, Some(&chosen)).expect("attention");
        assert!((some - rows(&expected)).abs().max().double_value(&[]) < 2e-6);
        for rows in [1, 7, 52, 53] {
            let blocks = in_blocks([&query, &key, &value], &slopes, rows).expect("attention");
            assert!((blocks - &expected).abs().max().double_value(&[]) < 2e-6);
        }
    }

    #[test]
    fn a_block_never_holds_more_than_its_share() {
        for (heads, length) in [(12, 1_000), (12, 20_000), (20, 140_000), (1, 1 << 25)] {
            for most in [BLOCK_NUMBERS, GPU_BLOCK_NUMBERS] {
                let rows = block_rows(heads, length, most);
                assert!(rows == 1 || heads * length * rows <= most);
            }
        }
    }
}
