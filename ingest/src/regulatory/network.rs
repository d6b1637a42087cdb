//! A regulatory model on a device, as the engine runs it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;
use std::sync::Arc;

use tch::{Device, Kind, TchError, Tensor};
use vestore_schema::Head;

use super::options::RegulatoryOptions;
use super::pass::{Bins, Input, RegulatoryOutput, RegulatoryPass, Side};
use super::statistics::{effects, effects_on_bins, quartiles};
use super::transform::Transform;
use super::{Trunk, WindowState};
use crate::checkpoint::ModelSource;
use crate::convert::dimension;
use crate::error::ModelError;
use crate::seam::{Network, State, Step};

/// A regulatory model on a device.
pub struct RegulatoryModel {
    trunk: Trunk,
    options: Arc<RegulatoryOptions>,
    transform: Option<Transform>,
    /// The place of each target's other strand, where both strands are read.
    pairs: Option<Tensor>,
}

/// What lies between two blocks: a state per pass, input and strand.
pub struct RegulatoryState(Vec<Rc<WindowState>>);

impl State for RegulatoryState {
    fn stack(states: &[Self]) -> Result<Self, TchError> {
        Ok(Self(states.iter().flat_map(|state| state.0.iter().cloned()).collect()))
    }

    fn unstack(self, count: usize) -> Result<Vec<Self>, TchError> {
        let each = (self.0.len() / count.max(1)).max(1);
        Ok(self.0.chunks(each).map(|states| Self(states.to_vec())).collect())
    }
}

/// What is read of an input.
struct InputReading {
    /// What it is predicted to measure [targets, bins].
    profile: Tensor,
    /// What the head reads [bins, features], where embeddings are wanted.
    features: Option<Tensor>,
}

/// Effects of a batch, on the device: by pass and alternate `[numbers]`, float64, in the order of [`RegulatoryOutput`].
pub struct RegulatoryReading(Vec<Vec<Tensor>>);

impl RegulatoryModel {
    /// Loads a model with the targets that `options` read of a head. Its trunk computes in `kind`, its head in float32.
    ///
    /// # Errors
    /// When the files cannot be read or do not fit together, or memory runs out.
    pub fn load(
        source: &ModelSource,
        head: Head,
        options: Arc<RegulatoryOptions>,
        kind: Kind,
        device: Device,
    ) -> Result<Self, ModelError> {
        let chosen = (!options.reads_all).then_some(options.read.as_slice());
        let trunk = Trunk::load(source, head, chosen, kind, device)?;
        let pairs = options.pairs.as_ref().map(|pairs| {
            let pairs: Vec<i64> = pairs.iter().copied().map(dimension).collect();
            Tensor::f_from_slice(&pairs)?.f_to_device(device)
        });
        let (transform, pairs) = (Transform::new(&options, device)?, pairs.transpose()?);
        Ok(Self { trunk, options, transform, pairs })
    }

    /// The states of an input below the first block, strand by strand.
    fn begin_input(&self, pass: &RegulatoryPass, input: Input) -> Result<Vec<Rc<WindowState>>, TchError> {
        let device = self.trunk.device();
        let codes = Tensor::f_from_slice(&pass.codes(input))?.f_to_device(device)?;
        let letters = Tensor::f_arange(4, (Kind::Uint8, device))?.f_unsqueeze(1)?;
        let forward = codes.f_eq_tensor(&letters)?.f_unsqueeze(0)?.f_to_kind(Kind::Float)?;
        let mut states = vec![Rc::new(self.trunk.begin(&forward)?)];
        if pass.strands == 2 {
            // The reverse complement: bases and their order turned.
            states.push(Rc::new(self.trunk.begin(&forward.f_flip([1, 2])?)?));
        }
        Ok(states)
    }

    /// What is read of an input: the mean of its strands, in the window's order.
    fn read_input(&self, states: &[Rc<WindowState>]) -> Result<InputReading, TchError> {
        let embedding = |state: &WindowState| self.trunk.embedding(state, self.options.bins);
        let kept = |embedding: &Tensor| {
            self.options.embeddings.map(|_| embedding.f_to_kind(Kind::Float)).transpose()
        };
        let [forward, reverse @ ..] = states else {
            return Err(TchError::Shape("an input without strands".to_owned()));
        };
        let read = embedding(forward)?;
        let mut profile = self.trunk.profile_of(&read)?;
        let mut features = kept(&read)?;
        for state in reverse {
            let read = embedding(state)?.f_flip([0])?;
            let mut other = self.trunk.profile_of(&read)?;
            if let Some(pairs) = &self.pairs {
                other = other.f_index_select(0, pairs)?;
            }
            profile = profile.f_add_(&other)?.f_mul_scalar_(0.5)?;
            if let (Some(features), Some(other)) = (&mut features, kept(&read)?) {
                *features = features.f_add(&other)?.f_mul_scalar(0.5)?;
            }
        }
        if let Some(transform) = &self.transform {
            profile = transform.undo(&profile)?;
        }
        Ok(InputReading { profile, features })
    }

    /// The embedding of the reference, then alternate − reference [twice the features], float64.
    fn embedding(
        known: &HashMap<usize, InputReading>,
        [reference, alternate]: &[Vec<Bins>; 2],
    ) -> Result<Tensor, TchError> {
        let mean = |side: &[Bins]| -> Result<Tensor, TchError> {
            let of = |Bins { input, range: (first, end) }: &Bins| {
                let features = known[input].features.as_ref();
                let features =
                    features.ok_or_else(|| TchError::Shape("an input without features".to_owned()))?;
                features.f_narrow(0, *first, end - first)?.f_mean_dim(&[0i64][..], false, Kind::Double)
            };
            let all = side.iter().map(of).collect::<Result<Vec<_>, _>>()?;
            Tensor::f_stack(&all, 0)?.f_mean_dim(&[0i64][..], false, Kind::Double)
        };
        let reference = mean(reference)?;
        let delta = mean(alternate)?.f_sub(&reference)?;
        Tensor::f_cat(&[reference, delta], 0)
    }

    /// The effects of one comparison over all bins, then over those of each gene.
    fn effects(&self, profiles: [&Tensor; 2], genes: &[Tensor]) -> Result<Tensor, TchError> {
        let [reference, alternate] = profiles;
        let options = &self.options;
        let mut parts = Vec::new();
        if !options.kinds.is_empty() {
            parts.push(effects(&options.kinds, reference, alternate)?.f_flatten(0, -1)?);
        }
        if !genes.is_empty() {
            let quartile = quartiles(reference)?;
            for bins in genes {
                let found = effects_on_bins(&options.gene_kinds, profiles, &quartile, bins)?;
                parts.push(found.f_flatten(0, -1)?);
            }
        }
        if parts.is_empty() {
            return Tensor::f_zeros([0], (Kind::Double, self.trunk.device()));
        }
        Tensor::f_cat(&parts, 0)
    }

    /// By alternate: its effects, in the order of [`RegulatoryOutput`].
    fn read_pass(&self, states: &[Rc<WindowState>], pass: &RegulatoryPass) -> Result<Vec<Tensor>, TchError> {
        let mut known: HashMap<usize, InputReading> = HashMap::new();
        let mut read = Vec::with_capacity(pass.comparisons.len());
        let bins =
            pass.genes.iter().map(|gene| Tensor::f_from_slice(&gene.bins)?.f_to_device(self.trunk.device()));
        let bins = bins.collect::<Result<Vec<_>, TchError>>()?;
        for (which, comparisons) in pass.comparisons.iter().enumerate() {
            let mut mean: Option<Tensor> = None;
            for sides in comparisons {
                for input in sides.iter().flat_map(Side::inputs) {
                    if let Entry::Vacant(unknown) = known.entry(input) {
                        let strands = &states[input * pass.strands..(input + 1) * pass.strands];
                        unknown.insert(self.read_input(strands)?);
                    }
                }
                let [reference, alternate] = [0, 1].map(|side| side_profile(&sides[side], &known));
                let found = self.effects([&reference?, &alternate?], &bins)?;
                mean = Some(match mean {
                    None => found,
                    Some(sum) => sum.f_add(&found)?,
                });
            }
            let sum = mean.ok_or_else(|| TchError::Shape("an alternate without predictions".to_owned()))?;
            let mut numbers = sum.f_div_scalar(dimension(comparisons.len()))?;
            if let Some(sides) = pass.embedded.get(which) {
                numbers = Tensor::f_cat(&[numbers, Self::embedding(&known, sides)?], 0)?;
            }
            read.push(numbers);
            // The next alternates need those of the reference alone.
            known.retain(|input, _| pass.inputs[*input].alternate.is_none());
        }
        Ok(read)
    }
}

/// The profile of one side of a comparison.
fn side_profile(side: &Side, known: &HashMap<usize, InputReading>) -> Result<Tensor, TchError> {
    let of = |input: &usize| &known[input].profile;
    match side {
        Side::Mean(inputs) => {
            let mut sum = of(&inputs[0]).shallow_clone();
            for input in &inputs[1..] {
                sum = sum.f_add(of(input))?;
            }
            if inputs.len() == 1 { Ok(sum) } else { sum.f_div_scalar(dimension(inputs.len())) }
        }
        Side::Stitch { left, right, bin } => {
            let (_, bins) = of(left).size2()?;
            let border = (*bin).clamp(0, bins);
            let (left, right) =
                (of(left).f_narrow(1, 0, border)?, of(right).f_narrow(1, border, bins - border)?);
            Tensor::f_cat(&[left, right], 1)
        }
    }
}

impl Network for RegulatoryModel {
    type Pass = RegulatoryPass;
    type Output = RegulatoryOutput;
    type State = RegulatoryState;
    type Reading = RegulatoryReading;

    fn depth(&self) -> usize {
        self.trunk.depth()
    }

    fn begin(&self, passes: &[&RegulatoryPass]) -> Result<RegulatoryState, ModelError> {
        let mut states = Vec::new();
        for pass in passes {
            for input in &pass.inputs {
                states.extend(self.begin_input(pass, *input)?);
            }
        }
        Ok(RegulatoryState(states))
    }

    fn block(
        &self,
        index: usize,
        state: &RegulatoryState,
        step: &Step<'_, RegulatoryPass>,
    ) -> Result<RegulatoryState, ModelError> {
        let through = |state: &Rc<WindowState>| Ok(Rc::new(self.trunk.block(index, state, step.without)?));
        Ok(RegulatoryState(state.0.iter().map(through).collect::<Result<_, TchError>>()?))
    }

    fn read(
        &self,
        state: &RegulatoryState,
        passes: &[&RegulatoryPass],
    ) -> Result<RegulatoryReading, ModelError> {
        let (mut read, mut rest) = (Vec::with_capacity(passes.len()), state.0.as_slice());
        for pass in passes {
            let (states, others) = rest.split_at(pass.inputs.len() * pass.strands);
            read.push(self.read_pass(states, pass)?);
            rest = others;
        }
        Ok(RegulatoryReading(read))
    }

    fn outputs(
        reading: RegulatoryReading,
        _: &[&RegulatoryPass],
    ) -> Result<Vec<RegulatoryOutput>, ModelError> {
        let numbers = |effects: Tensor| -> Result<Vec<f64>, TchError> {
            let effects = effects.f_to_device(Device::Cpu)?.f_contiguous()?;
            let mut numbers = vec![0.0; effects.numel()];
            let count = numbers.len();
            effects.f_copy_data(&mut numbers, count)?;
            Ok(numbers)
        };
        let output = |effects: Vec<Tensor>| {
            Ok(RegulatoryOutput(effects.into_iter().map(numbers).collect::<Result<_, TchError>>()?))
        };
        reading.0.into_iter().map(output).collect()
    }
}
