//! The one trunk of regulatory models: a tower of convolutions, a transformer, in Borzoi and Flashzoi the way back to bins
//! of 32 bases, and a head. Families differ by options (see [`RegulatoryConfig`]), not by code.

use std::collections::BTreeMap;

use tch::{Device, Kind, TchError, Tensor};
use vestore_schema::{AblatedPart, Bins, Head};

use super::block::Block;
use super::blueprint::{final_names, head_name, stage_names};
use super::config::RegulatoryConfig;
use super::convolution::{Gelu, Pointwise, Pool, Stage};
use super::files::RegulatoryFiles;
use super::gate::Gate;
use super::loader::{Loader, wide};
use super::positions::Positions;
use super::unet::Doubling;
use crate::checkpoint::ModelSource;
use crate::convert::{dimension, narrow};
use crate::error::ModelError;
use crate::module::Linear;

/// What lies between two blocks, for one window.
pub struct WindowState {
    /// [1, tokens, hidden].
    pub(crate) hidden: Tensor,
    /// What is added when tokens become finer, the coarser first; none in Enformer.
    pub(crate) skips: Vec<Tensor>,
    /// Bases of the window.
    pub(super) bases: u32,
    pub(super) positions: Positions,
}

impl WindowState {
    /// The same numbers, of which gradients are asked; of the skips only where `skips_learn`.
    pub(crate) fn leaf(&self, skips_learn: bool) -> Result<Self, TchError> {
        let leaf = |tensor: &Tensor| tensor.detach().f_set_requires_grad(true);
        let skip = |tensor: &Tensor| if skips_learn { leaf(tensor) } else { Ok(tensor.detach()) };
        Ok(Self {
            hidden: leaf(&self.hidden)?,
            skips: self.skips.iter().map(skip).collect::<Result<_, _>>()?,
            bases: self.bases,
            positions: self.positions.shallow_clone(),
        })
    }
}

/// A regulatory model's weights on a device.
pub struct Trunk {
    pub(crate) config: RegulatoryConfig,
    /// The stem, then the stages of the tower.
    pub(super) stages: Vec<Stage>,
    pub(super) blocks: Vec<Block>,
    pub(super) doublings: Vec<Doubling>,
    last: Pointwise,
    last_gate: Option<Gate>,
    pub(super) head: Linear,
    /// Columns of the matrix that reads features of positions.
    features: i64,
    kind: Kind,
    device: Device,
}

impl Trunk {
    /// Loads a model with one of its heads, of which only the targets `chosen` are kept: their indices, ascending.
    ///
    /// # Errors
    /// When the files cannot be read or do not fit together, or memory runs out.
    pub fn load(
        source: &ModelSource,
        head: Head,
        chosen: Option<&[u32]>,
        kind: Kind,
        device: Device,
    ) -> Result<Self, ModelError> {
        let files = RegulatoryFiles::open(source)?;
        files.check_head(head)?;
        let loader = Loader { files: &files, trained: None, dropout: 0.0, kind, device };
        tch::no_grad(|| Self::of(&loader, head, chosen))
    }

    /// A model in training: made of `weights`, with which whatever it computes stays connected, and of which a block
    /// leaves out a share of `dropout`.
    pub(crate) fn in_training(
        files: &RegulatoryFiles,
        weights: &BTreeMap<String, Tensor>,
        dropout: f64,
        head: Head,
        kind: Kind,
        device: Device,
    ) -> Result<Self, ModelError> {
        Self::of(&Loader { files, trained: Some(weights), dropout, kind, device }, head, None)
    }

    fn of(loader: &Loader<'_>, head: Head, chosen: Option<&[u32]>) -> Result<Self, ModelError> {
        let config = loader.files.config.clone();
        let (eps, batch_eps) = if config.is_unet() { (1e-3, 1e-3) } else { (1e-5, 1e-5) };
        let gelu = if config.is_unet() { Gelu::Tanh } else { Gelu::Sigmoid };
        let mut stages = Vec::new();
        for names in stage_names(&config) {
            let (norm, convolution) = loader.convolution(&names.first, batch_eps)?;
            let residual = names.residual.as_ref().map(|names| loader.pointwise(names, batch_eps, gelu));
            let pool = match &names.pool {
                None => Pool::Max,
                Some(matrix) => Pool::Attention(loader.matrix(matrix)?),
            };
            let gate = loader.gate(&names.first.convolution)?;
            stages.push(Stage { norm, convolution, gate, residual: residual.transpose()?, pool, gelu });
        }
        let block = |number: &u32| Block::load(loader, &config, *number, eps);
        let doublings: &[u32] = if config.is_unet() { &[1, 0] } else { &[] };
        let doubling = |number: &u32| Doubling::load(loader, *number, batch_eps);
        let features = loader.files.blueprint.parameters.get("transformer.0.0.fn.1.to_rel_k.weight");
        Ok(Self {
            stages,
            blocks: loader.files.kept.iter().map(block).collect::<Result<_, _>>()?,
            doublings: doublings.iter().map(doubling).collect::<Result<_, _>>()?,
            last: loader.pointwise(&final_names(&config), batch_eps, gelu)?,
            last_gate: loader.gate(&final_names(&config).convolution)?,
            head: loader.head(&head_name(&config, head), chosen)?,
            features: features.map_or(0, |shape| dimension(shape[1])),
            kind: loader.kind,
            device: loader.device,
            config,
        })
    }

    /// Blocks that are run.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.blocks.len()
    }

    /// Where it runs.
    pub(crate) fn device(&self) -> Device {
        self.device
    }

    /// One-hot bases [1, 4, bases] to the first tokens.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn begin(&self, bases: &Tensor) -> Result<WindowState, TchError> {
        let (_, _, length) = bases.size3()?;
        let like = (self.device, self.kind);
        let mut stream = bases.f_squeeze_dim(0)?.f_transpose(0, 1)?.f_to_device(like.0)?.f_to_kind(like.1)?;
        stream = stream.f_contiguous()?;
        let mut skips = Vec::new();
        // The last stages of a U-Net keep their length, and what they give is read again above.
        let unpooled = self.stages.len() - self.doublings.len();
        for stage in &self.stages[..unpooled] {
            stream = stage.forward(&stream, true)?;
        }
        for (stage, doubling) in self.stages[unpooled..].iter().zip(self.doublings.iter().rev()) {
            stream = stage.forward(&stream, false)?;
            skips.push(doubling.skip(&stream)?);
            stream = stage.pool.apply(&stream)?;
        }
        skips.reverse();
        let tokens = stream.size2()?.0;
        Ok(WindowState {
            hidden: stream.f_unsqueeze(0)?,
            skips,
            bases: narrow(crate::convert::from_dimension(length)),
            positions: Positions::new(&self.config, tokens, self.features, self.kind, self.device)?,
        })
    }

    /// Whether what [`Trunk::begin`] computes with is trained.
    pub(crate) fn begin_learns(&self) -> bool {
        self.stages.iter().any(Stage::learns) || self.doublings.iter().any(Doubling::skip_learns)
    }

    /// The state after the block `index`, 0-based among those that are run, or after what is left of it.
    ///
    /// # Errors
    /// As [`Trunk::begin`].
    pub fn block(
        &self,
        index: usize,
        state: &WindowState,
        without: Option<&AblatedPart>,
    ) -> Result<WindowState, TchError> {
        Ok(WindowState {
            hidden: self.blocks[index].forward(&state.hidden, &state.positions, without)?,
            skips: state.skips.iter().map(Tensor::shallow_clone).collect(),
            bases: state.bases,
            positions: state.positions.shallow_clone(),
        })
    }

    /// The predicted profile [targets, bins], float32; bins in the window's order.
    ///
    /// # Errors
    /// As [`Trunk::begin`].
    pub fn profile(&self, state: &WindowState, bins: Bins) -> Result<Tensor, TchError> {
        self.profile_of(&self.embedding(state, bins)?)
    }

    /// The predicted profile [targets, bins], float32, from what the head reads [bins, channels].
    pub(super) fn profile_of(&self, embedding: &Tensor) -> Result<Tensor, TchError> {
        let embedding = embedding.f_to_kind(wide(self.kind))?;
        let products = self.head.weight.f_matmul(&embedding.f_transpose(0, 1)?)?;
        let sums = match &self.head.bias {
            Some(bias) => products.f_add(&bias.f_unsqueeze(1)?)?,
            None => products,
        };
        sums.f_softplus()
    }

    /// What the head reads: [bins, channels].
    pub(super) fn embedding(&self, state: &WindowState, bins: Bins) -> Result<Tensor, TchError> {
        let (first, count) = self.config.crop(state.bases, bins);
        let fine = self.fine(state)?;
        let cropped = fine.f_narrow(0, i64::from(first), i64::from(count))?;
        let mut embedding = self.last.forward(&cropped)?;
        if let Some(gate) = &self.last_gate {
            embedding = gate.apply(&embedding)?;
        }
        self.last.gelu.apply(embedding)
    }

    /// Tokens at the resolution of bins: [bins, hidden].
    fn fine(&self, state: &WindowState) -> Result<Tensor, TchError> {
        let mut stream = state.hidden.f_squeeze_dim(0)?;
        for (doubling, skip) in self.doublings.iter().zip(&state.skips) {
            stream = doubling.forward(&stream, skip)?;
        }
        Ok(stream)
    }
}
