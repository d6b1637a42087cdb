//! A splice model on a device, as the engine runs it.

use std::sync::Arc;

use tch::{Device, Kind, TchError, Tensor};

use super::pass::{Alternate, Sites, SpliceOutput, SplicePass};
use super::state::{PassState, SpliceState};
use super::weights::SpliceNetwork;
use crate::convert::from_dimension;
use crate::error::ModelError;
use crate::seam::{Network, Step};

/// A splice model on a device.
pub struct SpliceModel {
    pub(crate) networks: Vec<SpliceNetwork>,
    /// Blocks that are run, in order; those that are left out pass the stream on.
    pub(crate) kept: Vec<usize>,
    /// Blocks of the checkpoint.
    pub(crate) blocks: usize,
    /// Bases that an output sees on either side.
    pub(crate) reach: i64,
    pub(crate) device: Device,
}

/// The probabilities of a batch, on the device.
pub struct SpliceReading {
    /// By pass: of the reference, then of each group of alternates.
    sites: Vec<Vec<Tensor>>,
    /// By pass and alternate: its group, and its row there.
    places: Vec<Vec<(usize, usize)>>,
    reach: i64,
}

impl SpliceModel {
    /// Blocks of the checkpoint from the one after the kept block before `index` up to this one: those that are left
    /// out in between, then the block itself.
    fn run_to(&self, index: usize) -> std::ops::Range<usize> {
        let first = index.checked_sub(1).map_or(0, |before| self.kept[before] + 1);
        first..self.kept[index] + 1
    }

    /// Sums over all networks as means.
    fn means(&self, sums: &[Tensor]) -> Result<Vec<Tensor>, TchError> {
        sums.iter().map(|sum| sum.f_div_scalar(self.networks.len() as f64)).collect()
    }
}

impl Network for SpliceModel {
    type Pass = SplicePass;
    type Output = SpliceOutput;
    type State = SpliceState;
    type Reading = SpliceReading;

    fn depth(&self) -> usize {
        self.kept.len()
    }

    fn begin(&self, passes: &[&SplicePass]) -> Result<SpliceState, ModelError> {
        let new = |pass: &&SplicePass| PassState::new(&self.networks, pass, self.reach, self.device);
        Ok(SpliceState(passes.iter().map(new).collect::<Result<_, _>>()?))
    }

    fn block(
        &self,
        index: usize,
        state: &SpliceState,
        step: &Step<'_, SplicePass>,
    ) -> Result<SpliceState, ModelError> {
        if let Some(part) = step.without.filter(|part| !part.is_block()) {
            return Err(ModelError::UnknownPart { part: part.as_str().to_owned() });
        }
        let kept = self.kept[index];
        let through = |state: &PassState| -> Result<PassState, ModelError> {
            let mut blocks = self.run_to(index);
            let first = blocks.next().expect("a block has a number; this is a bug");
            let without = |block: usize| block != kept || step.without.is_some();
            let mut state = state.block(&self.networks, first, without(first))?;
            for block in blocks {
                state = state.block(&self.networks, block, without(block))?;
            }
            Ok(state)
        };
        Ok(SpliceState(state.0.iter().map(through).collect::<Result<_, _>>()?))
    }

    fn read(&self, state: &SpliceState, _: &[&SplicePass]) -> Result<SpliceReading, ModelError> {
        let after = self.kept.last().map_or(0, |last| last + 1);
        let (mut sites, mut places) = (Vec::new(), Vec::new());
        for state in &state.0 {
            let mut last = None;
            for block in after..self.blocks {
                last = Some(last.as_ref().unwrap_or(state).block(&self.networks, block, true)?);
            }
            let state = last.as_ref().unwrap_or(state);
            sites.push(self.means(&state.sums(&self.networks)?)?);
            places.push(state.places());
        }
        Ok(SpliceReading { sites, places, reach: self.reach })
    }

    /// One network after the other: the states of all of them would be several times as much in memory.
    fn forward(
        &self,
        passes: &[&SplicePass],
        before_block: &dyn Fn() -> Result<(), ModelError>,
    ) -> Result<SpliceReading, ModelError> {
        let (mut sites, mut places) = (Vec::new(), Vec::new());
        for pass in passes {
            let mut sums: Vec<Tensor> = Vec::new();
            let mut of_pass = Vec::new();
            for network in self.networks.chunks(1) {
                let mut state = PassState::new(network, pass, self.reach, self.device)?;
                for block in 0..self.blocks {
                    before_block()?;
                    state = state.block(network, block, !self.kept.contains(&block))?;
                }
                let more = state.sums(network)?;
                if sums.is_empty() {
                    sums = more;
                } else {
                    sums = sums
                        .iter()
                        .zip(&more)
                        .map(|(sum, more)| sum.f_add(more))
                        .collect::<Result<_, _>>()?;
                }
                of_pass = state.places();
            }
            sites.push(self.means(&sums)?);
            places.push(of_pass);
        }
        Ok(SpliceReading { sites, places, reach: self.reach })
    }

    /// The first alternate, and what its allele sees: a pass holds a whole stretch.
    fn sample(&self, pass: &SplicePass) -> SplicePass {
        let Some(first) = pass.alternates.first() else { return pass.clone() };
        let range = first.start - self.reach..first.start + first.reference + self.reach;
        let bases = &pass.bases[from_dimension(range.start)..from_dimension(range.end)];
        let outputs = (0, first.reference);
        let alternate = Alternate { start: self.reach, outputs, ..first.clone() };
        SplicePass { bases: Arc::from(bases), alternates: vec![alternate], ..pass.clone() }
    }

    fn outputs(reading: SpliceReading, passes: &[&SplicePass]) -> Result<Vec<SpliceOutput>, ModelError> {
        let mut outputs = Vec::with_capacity(passes.len());
        for ((pass, sites), places) in passes.iter().zip(&reading.sites).zip(&reading.places) {
            let mut groups = Vec::with_capacity(sites.len());
            for sites in sites {
                groups.push(rows(sites)?);
            }
            let alternate = |(alternate, (group, row)): (&Alternate, &(usize, usize))| {
                let from = alternate.start + alternate.outputs.0 - reading.reach;
                let first = usize::try_from(from).expect("windows hold their outputs; this is a bug");
                let count = usize::try_from(alternate.outputs.1 - alternate.outputs.0).unwrap_or(0);
                [groups[0][0][first..first + count].to_vec(), groups[group + 1][*row].clone()]
            };
            outputs.push(SpliceOutput(pass.alternates.iter().zip(places).map(alternate).collect()));
        }
        Ok(outputs)
    }
}

/// Probabilities [rows, places, 2] as rows of places.
fn rows(sites: &Tensor) -> Result<Vec<Sites>, ModelError> {
    let sites = sites.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
    let (count, places, _) = sites.size3()?;
    let mut flat = vec![0f32; sites.numel()];
    let length = flat.len();
    sites.f_copy_data(&mut flat, length)?;
    let places = usize::try_from(places).unwrap_or(0);
    let pairs: Vec<[f32; 2]> = flat.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect();
    let row = |row: i64| {
        let first = usize::try_from(row).unwrap_or(0) * places;
        pairs[first..first + places].to_vec()
    };
    Ok((0..count).map(row).collect())
}
