//! The weights of splice networks on a device.

use std::collections::BTreeSet;
use std::path::Path;

use tch::{Device, Kind, TchError, Tensor};

use super::config::SpliceConfig;
use crate::checkpoint::{Checkpoint, Found, StoredTensor, to_tensor};
use crate::error::ModelError;

/// A convolution along [batch, length, channels]: that order keeps what belongs to a position together, which libtorch
/// computes faster with and copies in one piece.
#[derive(Debug)]
pub(crate) struct Convolution {
    /// [outputs, inputs, 1, kernel], in memory [outputs, kernel, inputs].
    weight: Tensor,
    bias: Tensor,
    dilation: i64,
}

impl Convolution {
    /// `weight` is [outputs, inputs, kernel].
    fn new(weight: &Tensor, bias: Tensor, dilation: i64) -> Result<Self, TchError> {
        let ordered = weight.f_transpose(1, 2)?.f_contiguous()?.f_transpose(1, 2)?;
        Ok(Self { weight: ordered.f_unsqueeze(2)?, bias, dilation })
    }

    /// Applied without padding; the result is shorter by [`Convolution::reach`] on either side.
    pub(crate) fn apply(&self, input: &Tensor) -> Result<Tensor, TchError> {
        let image = input.f_transpose(1, 2)?.f_unsqueeze(2)?;
        let image = image.f_conv2d(&self.weight, Some(&self.bias), 1, 0, [1, self.dilation], 1)?;
        image.f_squeeze_dim(2)?.f_transpose(1, 2)?.f_contiguous()
    }

    /// Positions on either side that an output depends on.
    pub(crate) fn reach(&self) -> i64 {
        let kernel = self.weight.size()[3];
        self.dilation * (kernel - 1) / 2
    }
}

/// A residual block: norm, ReLU, convolution, norm, ReLU, convolution, and its input added. The second norm is part of
/// the first convolution; the first cannot be, since the stream goes on without it.
#[derive(Debug)]
pub(crate) struct Block {
    scale: Tensor,
    shift: Tensor,
    pub(crate) first: Convolution,
    pub(crate) second: Convolution,
    /// The skip connection that leaves after this block.
    pub(crate) skip: Option<Convolution>,
}

impl Block {
    /// The first norm and ReLU.
    pub(crate) fn normalize(&self, stream: &Tensor) -> Result<Tensor, TchError> {
        self.shift.f_addcmul(stream, &self.scale)?.f_relu_()
    }
}

/// One network of a splice model; skip connections of blocks that are left out stay.
#[derive(Debug)]
pub(crate) struct SpliceNetwork {
    pub(crate) stem: Convolution,
    pub(crate) first_skip: Convolution,
    pub(crate) blocks: Vec<Block>,
    pub(crate) head: Convolution,
}

/// What torch saves beside a batch norm and does not use with running statistics.
const IGNORED: &str = ".num_batches_tracked";

/// Checks that a checkpoint has the weights that its configuration asks for in their shapes, and no other.
pub(crate) fn check(checkpoint: &Checkpoint, config: &SpliceConfig) -> Result<(), ModelError> {
    let expected = config.weights();
    let missing: Vec<&String> =
        expected.iter().map(|(name, _)| name).filter(|name| checkpoint.get(name).is_none()).collect();
    if let Some(first) = missing.first() {
        let file = checkpoint.path().to_owned();
        return Err(ModelError::MissingWeight { file, key: (*first).clone(), count: missing.len() });
    }
    for (name, shape) in &expected {
        let Some(found) = checkpoint.get(name).filter(|tensor| tensor.shape != *shape) else { continue };
        return Err(ModelError::WrongShape {
            file: checkpoint.path_of(found).to_owned(),
            key: name.clone(),
            expected: shape.clone(),
            found: found.shape.clone(),
        });
    }
    let known: BTreeSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    let unexpected: Vec<(&str, &StoredTensor)> =
        checkpoint.tensors().filter(|(name, _)| !known.contains(name) && !name.ends_with(IGNORED)).collect();
    match unexpected.first() {
        None => Ok(()),
        Some((name, tensor)) => Err(ModelError::UnexpectedWeight {
            file: checkpoint.path_of(tensor).to_owned(),
            key: (*name).to_owned(),
            count: unexpected.len(),
        }),
    }
}

/// Reads these networks of a checkpoint, in float32.
pub(crate) fn load(
    folder: &Path,
    config: &SpliceConfig,
    networks: &[u32],
    device: Device,
) -> Result<Vec<SpliceNetwork>, ModelError> {
    let checkpoint = Checkpoint::open(folder, "model", "pytorch_model")?;
    check(&checkpoint, config)?;
    let tensor = |name: String| -> Result<Tensor, ModelError> {
        let stored = checkpoint.get(&name).expect("weights were checked; this is a bug");
        Ok(to_tensor(&Found::new(&checkpoint, stored))?.f_to_kind(Kind::Double)?)
    };
    let place = |tensor: Tensor| tensor.f_to_kind(Kind::Float)?.f_to_device(device);
    let convolution = |name: String, dilation: u32| -> Result<Convolution, ModelError> {
        let weight = place(tensor(format!("{name}.weight"))?)?;
        Ok(Convolution::new(&weight, place(tensor(format!("{name}.bias"))?)?, i64::from(dilation))?)
    };
    // Batch norm with running statistics, as a factor and a summand [channels].
    let norm = |name: String| -> Result<[Tensor; 2], ModelError> {
        let part = |part: &str| tensor(format!("{name}.{part}"));
        let scale = part("weight")?.f_div(&(part("running_var")?.f_add_scalar(config.eps())?.f_sqrt()?))?;
        let shift = part("bias")?.f_sub(&part("running_mean")?.f_mul(&scale)?)?;
        Ok([scale, shift])
    };
    let every = usize::try_from(config.skip_every).unwrap_or(usize::MAX);
    let network = |model: u32| -> Result<SpliceNetwork, ModelError> {
        let name = |part: String| format!("models.{model}.{part}");
        let block = |(number, (_, dilation)): (usize, &(u32, u32))| -> Result<Block, ModelError> {
            let [scale, shift] = norm(name(format!("blocks.{number}.norm1")))?;
            let [factor, summand] = norm(name(format!("blocks.{number}.norm2")))?;
            let first = name(format!("blocks.{number}.conv1"));
            let weight = tensor(format!("{first}.weight"))?.f_mul(&factor.f_view([-1, 1, 1])?)?;
            let bias = tensor(format!("{first}.bias"))?.f_mul(&factor)?.f_add(&summand)?;
            let skip = (number + 1).is_multiple_of(every);
            let skip = skip.then(|| convolution(name(format!("skips.{}", (number + 1) / every)), 1));
            Ok(Block {
                scale: place(scale)?,
                shift: place(shift)?,
                first: Convolution::new(&place(weight)?, place(bias)?, i64::from(*dilation))?,
                second: convolution(name(format!("blocks.{number}.conv2")), *dilation)?,
                skip: skip.transpose()?,
            })
        };
        Ok(SpliceNetwork {
            stem: convolution(name("stem".to_owned()), 1)?,
            first_skip: convolution(name("skips.0".to_owned()), 1)?,
            blocks: config.blocks.iter().enumerate().map(block).collect::<Result<_, _>>()?,
            head: convolution(name("head".to_owned()), 1)?,
        })
    };
    networks.iter().copied().map(network).collect()
}
