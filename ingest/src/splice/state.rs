//! The state of splice networks between two blocks. An alternate differs from the reference only within what the
//! variant reaches, and matters only within what its outputs need: of an alternate that intersection alone is computed,
//! everything else is the reference's, shifted right of an indel.

use tch::{Device, Kind, TchError, Tensor};

use super::pass::{Alternate, SplicePass};
use super::weights::{Block, SpliceNetwork};
use crate::seam::State;

/// Alternates of one shape that are computed together at most: their activations should stay near the processor.
const TOGETHER: usize = 32;

/// The states of several passes, each with activations of its own length.
#[derive(Debug)]
pub struct SpliceState(pub(crate) Vec<PassState>);

impl State for SpliceState {
    fn stack(states: &[Self]) -> Result<Self, TchError> {
        Ok(Self(states.iter().flat_map(|state| &state.0).map(PassState::shallow_clone).collect()))
    }

    fn unstack(mut self, count: usize) -> Result<Vec<Self>, TchError> {
        let each = self.0.len() / count.max(1);
        Ok((0..count).map(|_| Self(self.0.drain(..each).collect())).collect())
    }
}

/// The states of all networks of a model for one pass.
#[derive(Debug)]
pub struct PassState {
    groups: Vec<Group>,
    networks: Vec<NetworkState>,
}

/// Alternates of one shape.
#[derive(Debug)]
struct Group {
    /// Their places among the alternates of the pass.
    numbers: Vec<usize>,
    /// Where each begins [alternates], int64, in the pass.
    starts: Tensor,
    shift: i64,
    /// Outputs wanted of the alternates, relative to their starts.
    outputs: (i64, i64),
    /// The alternate alleles, one-hot [alternates, bases, 4].
    bases: Tensor,
}

#[derive(Debug)]
struct NetworkState {
    /// The reference's residual stream [1, length, channels].
    stream: Tensor,
    /// Where it begins in the pass.
    origin: i64,
    /// Sum of the reference's skip connections [1, outputs of the pass, channels].
    skip: Tensor,
    groups: Vec<GroupState>,
}

#[derive(Debug)]
struct GroupState {
    /// What differs [alternates, length of `range`, channels].
    stream: Tensor,
    /// Where that lies, relative to the starts, in the alternate sequence.
    range: (i64, i64),
    /// Sum of skip connections [alternates, outputs, channels].
    skip: Tensor,
}

/// Reference activations that alternates are completed from.
struct Reference<'a> {
    /// [1, length, channels]
    values: &'a Tensor,
    /// Where they begin in the pass.
    origin: i64,
}

impl Group {
    /// Activations [alternates, to − from, channels] of the alternates from `from` to `to`, relative to their starts:
    /// `part` where they differ, within `range`, else the reference's.
    fn view(
        &self,
        reference: &Reference<'_>,
        part: &Tensor,
        range: (i64, i64),
        (from, to): (i64, i64),
    ) -> Result<Tensor, TchError> {
        let mut pieces = Vec::with_capacity(3);
        if from < range.0 {
            pieces.push(self.gather(reference, from, to.min(range.0))?);
        }
        let (first, last) = (from.max(range.0), to.min(range.1));
        if first < last {
            pieces.push(part.f_narrow(1, first - range.0, last - first)?);
        }
        if to > range.1 {
            pieces.push(self.gather(reference, from.max(range.1) - self.shift, to - self.shift)?);
        }
        match pieces.as_slice() {
            [piece] => Ok(piece.shallow_clone()),
            pieces => Tensor::f_cat(pieces, 1),
        }
    }

    /// The reference's activations from `from` to `to`, relative to the starts, in the reference's own places.
    fn gather(&self, reference: &Reference<'_>, from: i64, to: i64) -> Result<Tensor, TchError> {
        let places = Tensor::f_arange_start(from, to, (Kind::Int64, self.starts.device()))?;
        let places = self.starts.f_unsqueeze(1)?.f_add(&places)?.f_sub_scalar(reference.origin)?;
        let channels = reference.values.size()[2];
        let found = reference.values.f_squeeze_dim(0)?.f_index_select(0, &places.f_view([-1])?)?;
        found.f_view([-1, to - from, channels])
    }
}

/// Bases as one-hot vectors [1, length, 4] in the order A, C, G, T; all zero for N.
fn one_hot(bases: &[u8], device: Device) -> Result<Tensor, TchError> {
    let vector = |base: &u8| b"ACGT".map(|letter| f32::from(u8::from(letter == *base)));
    let rows: Vec<f32> = bases.iter().flat_map(vector).collect();
    Tensor::f_from_slice(&rows)?.f_to_device(device)?.f_view([1, -1, 4])
}

/// `values` without `by` positions on either side.
fn crop(values: &Tensor, by: i64) -> Result<Tensor, TchError> {
    values.f_narrow(1, by, values.size()[1] - 2 * by)
}

impl PassState {
    /// The state below the first block. `reach` is how far outputs see on either side.
    pub(crate) fn new(
        networks: &[SpliceNetwork],
        pass: &SplicePass,
        reach: i64,
        device: Device,
    ) -> Result<Self, TchError> {
        let input = one_hot(&pass.bases, device)?;
        let groups = groups(&pass.alternates, device)?;
        let state = |network: &SpliceNetwork| -> Result<NetworkState, TchError> {
            let stream = network.stem.apply(&input)?;
            let skip = network.first_skip.apply(&crop(&stream, reach)?)?;
            let reference = Reference { values: &stream, origin: 0 };
            let of_group = |group: &Group| -> Result<GroupState, TchError> {
                let (from, to) =
                    (0.max(group.outputs.0 - reach), group.bases.size()[1].min(group.outputs.1 + reach));
                let part = network.stem.apply(&group.bases)?.f_narrow(1, from, to - from)?;
                let outputs = group.view(&reference, &part, (from, to), group.outputs)?;
                Ok(GroupState { stream: part, range: (from, to), skip: network.first_skip.apply(&outputs)? })
            };
            let groups = groups.iter().map(of_group).collect::<Result<_, _>>()?;
            Ok(NetworkState { stream, origin: 0, skip, groups })
        };
        let networks = networks.iter().map(state).collect::<Result<_, _>>()?;
        Ok(Self { groups, networks })
    }

    /// The state after block `index`, or past it when it is left out.
    pub(crate) fn block(
        &self,
        networks: &[SpliceNetwork],
        index: usize,
        without: bool,
    ) -> Result<Self, TchError> {
        let advance = |(network, state): (&SpliceNetwork, &NetworkState)| {
            state.advance(&network.blocks[index], &self.groups, without)
        };
        let networks = networks.iter().zip(&self.networks).map(advance).collect::<Result<_, _>>()?;
        Ok(Self { groups: self.groups.iter().map(Group::shallow_clone).collect(), networks })
    }

    /// The sums over networks of the probabilities of acceptor and donor: of the reference [1, outputs of the pass, 2],
    /// then of each group of alternates [alternates, outputs, 2].
    pub(crate) fn sums(&self, networks: &[SpliceNetwork]) -> Result<Vec<Tensor>, TchError> {
        let sum = |skips: Vec<&Tensor>| -> Result<Tensor, TchError> {
            let mut sum: Option<Tensor> = None;
            for (network, skip) in networks.iter().zip(&skips) {
                let sites = network.head.apply(skip)?.f_softmax(2, Kind::Float)?.f_narrow(2, 1, 2)?;
                sum = Some(match sum {
                    None => sites,
                    Some(sum) => sum.f_add(&sites)?,
                });
            }
            Ok(sum.expect("a model has a network; this is a bug"))
        };
        let mut found = vec![sum(self.networks.iter().map(|state| &state.skip).collect())?];
        for group in 0..self.groups.len() {
            found.push(sum(self.networks.iter().map(|state| &state.groups[group].skip).collect())?);
        }
        Ok(found)
    }

    /// For each alternate of the pass, its group and its place there.
    pub(crate) fn places(&self) -> Vec<(usize, usize)> {
        let count = self.groups.iter().map(|group| group.numbers.len()).sum();
        let mut places = vec![(0, 0); count];
        for (number, group) in self.groups.iter().enumerate() {
            for (row, alternate) in group.numbers.iter().enumerate() {
                places[*alternate] = (number, row);
            }
        }
        places
    }
}

impl PassState {
    fn shallow_clone(&self) -> Self {
        let group = |state: &GroupState| GroupState {
            stream: state.stream.shallow_clone(),
            range: state.range,
            skip: state.skip.shallow_clone(),
        };
        let network = |state: &NetworkState| NetworkState {
            stream: state.stream.shallow_clone(),
            origin: state.origin,
            skip: state.skip.shallow_clone(),
            groups: state.groups.iter().map(group).collect(),
        };
        Self {
            groups: self.groups.iter().map(Group::shallow_clone).collect(),
            networks: self.networks.iter().map(network).collect(),
        }
    }
}

impl Group {
    fn shallow_clone(&self) -> Self {
        Self {
            numbers: self.numbers.clone(),
            starts: self.starts.shallow_clone(),
            shift: self.shift,
            outputs: self.outputs,
            bases: self.bases.shallow_clone(),
        }
    }
}

impl NetworkState {
    /// The state after a block. The reference's stream becomes shorter by what the block's convolutions need.
    fn advance(&self, block: &Block, groups: &[Group], without: bool) -> Result<Self, TchError> {
        let each = block.first.reach();
        let outputs = self.skip.size()[1];
        // What outputs still see on either side after this block.
        let needed = (self.stream.size()[1] - outputs) / 2 - 2 * each;
        let origin = self.origin + 2 * each;
        let (normal, middle);
        let stream = if without {
            (normal, middle) = (None, None);
            crop(&self.stream, 2 * each)?
        } else {
            let input = block.normalize(&self.stream)?;
            let inner = block.first.apply(&input)?.f_relu_()?;
            let stream = block.second.apply(&inner)?.f_add_(&crop(&self.stream, 2 * each)?)?;
            (normal, middle) = (Some(input), Some(inner));
            stream
        };
        let mut of_groups = Vec::with_capacity(groups.len());
        let before = Reference { values: &self.stream, origin: self.origin };
        let after = Reference { values: &stream, origin };
        for (group, state) in groups.iter().zip(&self.groups) {
            // What differs after a convolution, as far as outputs still need it.
            let grown = |range: (i64, i64), by: i64, needed: i64| {
                ((range.0 - by).max(group.outputs.0 - needed), (range.1 + by).min(group.outputs.1 + needed))
            };
            let (part, range) = if let (Some(normal), Some(middle)) = (&normal, &middle) {
                let normal = Reference { values: normal, origin: self.origin };
                let middle = Reference { values: middle, origin: self.origin + each };
                let around = |(from, to): (i64, i64)| (from - each, to + each);
                let first = grown(state.range, each, needed + each);
                let input =
                    group.view(&normal, &block.normalize(&state.stream)?, state.range, around(first))?;
                let inner = block.first.apply(&input)?.f_relu_()?;
                let second = grown(first, each, needed);
                let inner = group.view(&middle, &inner, first, around(second))?;
                let stream = group.view(&before, &state.stream, state.range, second)?;
                (block.second.apply(&inner)?.f_add_(&stream)?, second)
            } else {
                let range = grown(state.range, 0, needed);
                (group.view(&before, &state.stream, state.range, range)?, range)
            };
            let skip = match &block.skip {
                None => state.skip.shallow_clone(),
                Some(skip) => {
                    skip.apply(&group.view(&after, &part, range, group.outputs)?)?.f_add_(&state.skip)?
                }
            };
            of_groups.push(GroupState { stream: part, range, skip });
        }
        let skip = match &block.skip {
            None => self.skip.shallow_clone(),
            Some(skip) => skip.apply(&crop(&stream, needed)?)?.f_add_(&self.skip)?,
        };
        Ok(Self { stream, origin, skip, groups: of_groups })
    }
}

/// Alternates by shape, in the order of their first.
fn groups(alternates: &[Alternate], device: Device) -> Result<Vec<Group>, TchError> {
    let mut shapes: Vec<(_, Vec<usize>)> = Vec::new();
    for (number, alternate) in alternates.iter().enumerate() {
        let shape = alternate.shape();
        match shapes.iter_mut().find(|(known, numbers)| *known == shape && numbers.len() < TOGETHER) {
            Some((_, numbers)) => numbers.push(number),
            None => shapes.push((shape, vec![number])),
        }
    }
    let group = |(_, numbers): (_, Vec<usize>)| -> Result<Group, TchError> {
        let first = &alternates[numbers[0]];
        let starts: Vec<i64> = numbers.iter().map(|number| alternates[*number].start).collect();
        let bases: Vec<Tensor> = numbers
            .iter()
            .map(|number| one_hot(&alternates[*number].bases, device))
            .collect::<Result<_, _>>()?;
        let (from, to) = first.outputs;
        Ok(Group {
            starts: Tensor::f_from_slice(&starts)?.f_to_device(device)?,
            shift: first.shift(),
            outputs: (from, to + first.shift()),
            bases: Tensor::f_cat(&bases, 0)?,
            numbers,
        })
    };
    shapes.into_iter().map(group).collect()
}
