//! Convolutions over [positions, channels]. Channels lie side by side, so that a convolution is one matrix product per
//! block of positions, a pool is a maximum of neighbouring rows, and nothing is transposed before the transformer. What
//! stands between two pools is done block by block: the widest layer (512 channels at every base, 1 GB for 524,288
//! bases) never exists as a whole.

use tch::{Device, Kind, TchError, Tensor};

use super::gate::Gate;
use super::loader::wide;
use crate::convert::from_dimension;

/// Numbers of a block's unrolled input on a CPU (16 MiB in float32), where it should stay in the cache.
const BLOCK_NUMBERS: i64 = 1 << 22;

/// The same on a GPU (1 GiB in float32), which small blocks would leave idle.
const GPU_BLOCK_NUMBERS: i64 = 1 << 28;

/// An approximation of the Gaussian error linear unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gelu {
    /// By tanh: Borzoi.
    Tanh,
    /// x·sigmoid(1.702x): Enformer.
    Sigmoid,
}

impl Gelu {
    /// Written over its input.
    pub(super) fn apply(self, mut input: Tensor) -> Result<Tensor, TchError> {
        match self {
            Self::Tanh => input.f_gelu_("tanh"),
            Self::Sigmoid => {
                let gate = input.f_mul_scalar(1.702)?.f_sigmoid_()?;
                input.f_mul_(&gate)
            }
        }
    }
}

/// Batch norm with running statistics: x·scale + shift, by channel.
#[derive(Debug)]
pub(super) struct BatchNorm {
    pub(super) scale: Tensor,
    pub(super) shift: Tensor,
}

impl BatchNorm {
    fn learns(&self) -> bool {
        self.scale.requires_grad() || self.shift.requires_grad()
    }

    /// Norm and activation, in float32, cast back.
    pub(super) fn activate(&self, input: &Tensor, gelu: Gelu) -> Result<Tensor, TchError> {
        let kind = input.f_kind()?;
        let normed = self.shift.f_addcmul(&input.f_to_kind(wide(kind))?, &self.scale)?;
        gelu.apply(normed)?.f_to_kind(kind)
    }
}

/// A convolution that keeps the length: weight [kernel · inputs, outputs], bias [outputs].
#[derive(Debug)]
pub(super) struct Convolution {
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
    pub(super) kernel: i64,
}

impl Convolution {
    /// Positions on either side that an output depends on.
    fn reach(&self) -> i64 {
        self.kernel / 2
    }

    /// The same over a whole window [positions, inputs]: the rows that overlap in [`Self::apply`] would be unrolled for
    /// the gradient.
    fn apply_whole(&self, input: &Tensor) -> Result<Tensor, TchError> {
        if self.kernel == 1 {
            return self.apply(input);
        }
        let (_, inputs) = input.size2()?;
        let weight = self.weight.f_view([self.kernel, inputs, self.outputs()])?.f_permute([2, 1, 0])?;
        let input = input.f_transpose(0, 1)?.f_unsqueeze(0)?;
        let found = input.f_conv1d(&weight, Some(&self.bias), [1], [self.reach()], [1], 1)?;
        found.f_squeeze_dim(0)?.f_transpose(0, 1)
    }

    fn learns(&self) -> bool {
        self.weight.requires_grad() || self.bias.requires_grad()
    }

    fn outputs(&self) -> i64 {
        self.bias.size()[0]
    }

    /// Of positions with the reach on either side [positions + kernel − 1, inputs]: [positions, outputs].
    fn apply(&self, input: &Tensor) -> Result<Tensor, TchError> {
        if self.kernel == 1 {
            return self.bias.f_addmm(input, &self.weight);
        }
        let (rows, inputs) = input.size2()?;
        // Each row with those after it: rows overlap in memory until the product copies them.
        let unrolled = input.f_contiguous()?.f_as_strided(
            [rows - self.kernel + 1, self.kernel * inputs],
            [inputs, 1],
            None,
        )?;
        self.bias.f_addmm(&unrolled, &self.weight)
    }
}

/// How a stage halves its length.
#[derive(Debug)]
pub(super) enum Pool {
    /// The larger of two neighbours.
    Max,
    /// Their mean, weighed by channel with a softmax over W·x.
    Attention(Tensor),
}

impl Pool {
    /// [positions, channels] to half as many; a last odd one is left out.
    pub(super) fn apply(&self, input: &Tensor) -> Result<Tensor, TchError> {
        let (rows, channels) = input.size2()?;
        let pairs = input.f_narrow(0, 0, rows / 2 * 2)?.f_reshape([rows / 2, 2, channels])?;
        let (first, second) = (pairs.f_select(1, 0)?, pairs.f_select(1, 1)?);
        match self {
            Self::Max => first.f_maximum(&second),
            Self::Attention(weight) => {
                // The softmax of two is the sigmoid of their difference, and W is linear: half the product does.
                let difference = first.f_sub(&second)?;
                let share = difference.f_matmul(weight)?.f_sigmoid_()?;
                second.f_addcmul(&share, &difference)
            }
        }
    }
}

/// Norm, activation and convolution; a convolution of width 1 whose result is added, in Enformer; and a pool.
pub(super) struct Stage {
    pub(super) norm: Option<BatchNorm>,
    pub(super) convolution: Convolution,
    /// What an adapter scales the convolution's result by, before the pool.
    pub(super) gate: Option<Gate>,
    pub(super) residual: Option<Pointwise>,
    pub(super) pool: Pool,
    pub(super) gelu: Gelu,
}

impl Stage {
    /// [positions, channels] to [positions, outputs], or half as many positions where `pooled`.
    pub(super) fn forward(&self, input: &Tensor, pooled: bool) -> Result<Tensor, TchError> {
        if input.requires_grad() || self.learns() {
            return self.whole(input, pooled);
        }
        let unrolled = self.convolution.kernel * input.size2()?.1;
        let rows = block_rows(unrolled, self.convolution.outputs(), input.device());
        self.by_blocks(input, pooled, rows)
    }

    /// Whether it is trained.
    pub(super) fn learns(&self) -> bool {
        self.convolution.learns()
            || self.norm.as_ref().is_some_and(BatchNorm::learns)
            || self.gate.as_ref().is_some_and(Gate::learns)
            || self.residual.as_ref().is_some_and(Pointwise::learns)
            || matches!(&self.pool, Pool::Attention(weight) if weight.requires_grad())
    }

    /// The same over all positions at once: blocks written into one tensor would copy its whole gradient for each.
    fn whole(&self, input: &Tensor, pooled: bool) -> Result<Tensor, TchError> {
        let normed = self.norm.as_ref().map(|norm| norm.activate(input, self.gelu)).transpose()?;
        let mut stream = self.convolution.apply_whole(normed.as_ref().unwrap_or(input))?;
        if let Some(residual) = &self.residual {
            stream = residual.forward(&stream)?.f_add(&stream)?;
        }
        if let Some(gate) = &self.gate {
            stream = gate.apply(&stream)?;
        }
        if pooled { self.pool.apply(&stream) } else { Ok(stream) }
    }

    /// The same with an even number of positions in each block.
    fn by_blocks(&self, input: &Tensor, pooled: bool, rows: i64) -> Result<Tensor, TchError> {
        let (length, _) = input.size2()?;
        let outputs = self.convolution.outputs();
        let step = if pooled { 2 } else { 1 };
        let mut all = Tensor::f_empty([length / step, outputs], (input.f_kind()?, input.device()))?;
        let mut sum: Option<Tensor> = None;
        for first in (0..length).step_by(from_dimension(rows)) {
            let rows = rows.min(length - first);
            let mut block = self.block(input, first, rows)?;
            if self.gate.is_some() {
                let part = block.f_sum_dim_intlist([0i64].as_slice(), false, Kind::Double)?;
                sum = Some(match sum {
                    Some(sum) => sum.f_add(&part)?,
                    None => part,
                });
            }
            if pooled {
                block = self.pool.apply(&block)?;
            }
            all.f_narrow(0, first / step, rows / step)?.f_copy_(&block)?;
        }
        match (&self.gate, sum) {
            (Some(gate), Some(sum)) => {
                let factors = gate.factors(&sum.f_div_scalar(length as f64)?)?;
                all.f_mul_(&factors.f_to_kind(all.f_kind()?)?)
            }
            _ => Ok(all),
        }
    }

    /// The positions from `first` on, before the pool.
    fn block(&self, input: &Tensor, first: i64, rows: i64) -> Result<Tensor, TchError> {
        let (length, reach) = (input.size2()?.0, self.convolution.reach());
        let (low, high) = (first - reach, first + rows + reach);
        let (from, to) = (low.max(0), high.min(length));
        let mut block = input.f_narrow(0, from, to - from)?;
        if let Some(norm) = &self.norm {
            block = norm.activate(&block, self.gelu)?;
        }
        if from > low || to < high {
            block = block.f_constant_pad_nd([0, 0, from - low, high - to])?;
        }
        let mut block = self.convolution.apply(&block)?;
        if let Some(residual) = &self.residual {
            block = residual.forward(&block)?.f_add_(&block)?;
        }
        Ok(block)
    }
}

/// Positions of a block, an even number.
fn block_rows(inputs: i64, outputs: i64, device: Device) -> i64 {
    let most = if device.is_cuda() { GPU_BLOCK_NUMBERS } else { BLOCK_NUMBERS };
    (most / inputs.max(outputs) / 2 * 2).max(2)
}

/// Norm, activation and a convolution of width 1 over all positions.
pub(super) struct Pointwise {
    pub(super) norm: BatchNorm,
    pub(super) convolution: Convolution,
    pub(super) gelu: Gelu,
}

impl Pointwise {
    pub(super) fn learns(&self) -> bool {
        self.norm.learns() || self.convolution.learns()
    }

    pub(super) fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        self.convolution.apply(&self.norm.activate(input, self.gelu)?)
    }
}

/// A convolution by channel, of width 3, then one of width 1; no norm and no activation.
pub(super) struct Separable {
    /// [3, channels], in the wide kind.
    pub(super) depthwise: Tensor,
    pub(super) pointwise: Convolution,
}

impl Separable {
    pub(super) fn forward(&self, input: &Tensor) -> Result<Tensor, TchError> {
        let (length, _) = input.size2()?;
        let kind = input.f_kind()?;
        let input = input.f_to_kind(wide(kind))?;
        let [left, middle, right] = [0, 1, 2].map(|place| self.depthwise.f_get(place));
        let sum = input.f_mul(&middle?)?;
        let rest = length - 1;
        let _ = sum.f_narrow(0, 1, rest)?.f_addcmul_(&input.f_narrow(0, 0, rest)?, &left?)?;
        let _ = sum.f_narrow(0, 0, rest)?.f_addcmul_(&input.f_narrow(0, 1, rest)?, &right?)?;
        self.pointwise.apply(&sum.f_to_kind(kind)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_give_what_the_whole_gives() {
        tch::manual_seed(4);
        let like = (Kind::Double, Device::Cpu);
        let norm = |channels: i64| BatchNorm {
            scale: Tensor::randn([channels], like),
            shift: Tensor::randn([channels], like),
        };
        let convolution = |inputs: i64, outputs: i64, kernel: i64| Convolution {
            weight: Tensor::randn([kernel * inputs, outputs], like),
            bias: Tensor::randn([outputs], like),
            kernel,
        };
        let gelu = Gelu::Sigmoid;
        for (first_norm, kernel, length) in [(false, 15, 101), (true, 5, 64), (true, 1, 33)] {
            let residual = Pointwise { norm: norm(6), convolution: convolution(6, 6, 1), gelu };
            let stage = Stage {
                norm: first_norm.then(|| norm(4)),
                convolution: convolution(4, 6, kernel),
                gate: None,
                residual: Some(residual),
                pool: Pool::Attention(Tensor::randn([6, 6], like)),
                gelu,
            };
            let input = Tensor::randn([length, 4], like);
            for pooled in [false, true] {
                let whole = stage.forward(&input, pooled).expect("a stage");
                for rows in [2, 16, 30] {
                    let blocks = stage.by_blocks(&input, pooled, rows).expect("a stage");
                    assert_eq!(blocks.size(), whole.size());
                    let difference = (blocks - &whole).abs().max().double_value(&[]);
                    assert!(
                        difference < 1e-9,
                        "kernel {kernel}, {rows} rows, pooled {pooled}: {difference:.1e}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_block_is_an_even_number_of_positions() {
        for (inputs, outputs) in [(60, 512), (2560, 608), (1 << 40, 1)] {
            let rows = block_rows(inputs, outputs, Device::Cpu);
            assert!(rows >= 2 && rows % 2 == 0 && (rows == 2 || rows * inputs <= BLOCK_NUMBERS));
        }
    }
}
