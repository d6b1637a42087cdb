//! A family of models that shares nothing with the encoder: residual convolutions over one-hot bases, three named
//! outputs, N beyond the ends of contigs.

use std::collections::HashMap;
use std::sync::Arc;

use tch::{Kind, Tensor};
use vestore::Reference;
use vestore_ingest::{
    ContigEnd, ModelError, Network, Pass, Row, RowPlan, ScoreError, Scorer, Step, WindowCutter, WindowPair,
    Work,
};
use vestore_schema::{Assembly, Status, Variant};

/// Bases of a window.
pub(super) const LENGTH: u32 = 41;
pub(super) const CHANNELS: i64 = 8;
const OUTPUTS: [&str; 3] = ["open", "bound", "spliced"];

/// One window.
pub(super) struct Bases(Arc<[u8]>);

impl Pass for Bases {
    type Group = usize;

    fn group(&self) -> usize {
        self.0.len()
    }

    fn length(&self) -> usize {
        self.0.len()
    }
}

/// Kinds `change` (alternate − reference) and `alternate`, each of every output.
pub(super) struct Outcomes {
    pub(super) kinds: Vec<&'static str>,
    /// Bytes of one batch.
    pub(super) memory: u64,
    /// Whether rows also have the change of each output as the effect on a target.
    pub(super) effects: bool,
}

/// Bytes of a window's states.
const STATES: u64 = 4 * CHANNELS as u64 * LENGTH as u64;

impl Scorer for Outcomes {
    type Window = WindowPair;
    type Pass = Bases;
    type Output = Vec<f32>;

    fn columns(&self) -> Vec<String> {
        let of = |kind: &&str| OUTPUTS.map(|output| format!("{output}_{kind}"));
        self.kinds.iter().flat_map(of).collect()
    }

    fn effect_columns(&self) -> Vec<String> {
        if self.effects { vec!["change".to_owned()] } else { Vec::new() }
    }

    fn targets(&self) -> Vec<String> {
        if self.effects { OUTPUTS.map(str::to_owned).to_vec() } else { Vec::new() }
    }

    fn cut(
        &self,
        variant: &Variant,
        reference: &mut Reference,
        assembly: &Assembly,
    ) -> Result<Result<WindowPair, Status>, ScoreError> {
        Ok(WindowCutter { length: LENGTH, end: ContigEnd::Pad }.cut(variant, reference, assembly)?)
    }

    fn plan(&self, windows: &[WindowPair], _: bool) -> Result<Work<Bases, Vec<f32>>, ScoreError> {
        let (mut passes, mut numbers) = (Vec::new(), HashMap::new());
        let mut number = |bases: &Arc<[u8]>| {
            *numbers.entry(Arc::clone(bases)).or_insert_with(|| {
                passes.push(Bases(Arc::clone(bases)));
                passes.len() - 1
            })
        };
        let row = |window: &WindowPair| -> RowPlan<Bases, Vec<f32>> {
            let (reference, alternate) = (number(&window.reference), number(&window.alternate));
            let (kinds, with_effects) = (self.kinds.clone(), self.effects);
            Box::new(move |_, outputs| {
                let value = |kind: &&str, place: usize| match *kind {
                    "change" => outputs[alternate][place] - outputs[reference][place],
                    _ => outputs[alternate][place],
                };
                let values = kinds.iter().flat_map(|kind| (0..3).map(move |place| Some(value(kind, place))));
                let row = Row::new(values.collect(), None, Status::UnsupportedAllele);
                let effects = (0..3).map(|place| value(&"change", place)).collect();
                Row { effects: if with_effects { vec![effects] } else { Vec::new() }, ..row }
            })
        };
        let rows = windows.iter().map(row).collect();
        Ok(Work::new(passes, rows, self.memory, |_| STATES))
    }
}

/// The weights: an input convolution, one a block, and the outputs'.
pub(super) struct Convolutions(Vec<Tensor>);

/// Number `at` of the tensor `tensor`.
pub(super) fn weight(tensor: usize, at: usize) -> f64 {
    0.3 * (at as f64 + 7.0 * tensor as f64).sin()
}

impl Convolutions {
    pub(super) fn new(blocks: usize) -> Self {
        let tensor = |number: usize, shape: [i64; 3]| {
            let count = shape.iter().product::<i64>() as usize;
            let numbers: Vec<f32> = (0..count).map(|at| weight(number, at) as f32).collect();
            Tensor::from_slice(&numbers).view(shape)
        };
        let blocks = (1..=blocks).map(|block| tensor(block, [CHANNELS, CHANNELS, 5]));
        let input = std::iter::once(tensor(0, [CHANNELS, 4, 1]));
        Self(input.chain(blocks).chain([tensor(9, [3, CHANNELS, 1])]).collect())
    }
}

impl Network for Convolutions {
    type Pass = Bases;
    type Output = Vec<f32>;
    type State = Tensor;
    type Reading = Tensor;

    fn depth(&self) -> usize {
        self.0.len() - 2
    }

    fn begin(&self, passes: &[&Bases]) -> Result<Tensor, ModelError> {
        let one_hot = |base: &u8| b"ACGT".map(|letter| f32::from(u8::from(*base == letter)));
        let flat: Vec<f32> = passes.iter().flat_map(|pass| pass.0.iter().flat_map(one_hot)).collect();
        let rows = Tensor::f_from_slice(&flat)?.f_view([passes.len() as i64, -1, 4])?;
        Ok(rows.f_transpose(1, 2)?.f_conv1d(&self.0[0], None::<Tensor>, 1, 0, 1, 1)?)
    }

    fn block(&self, index: usize, state: &Tensor, step: &Step<'_, Bases>) -> Result<Tensor, ModelError> {
        if step.without.is_some() {
            return Ok(state.shallow_clone());
        }
        Ok(state.f_conv1d(&self.0[index + 1], None::<Tensor>, 1, 2, 1, 1)?.f_tanh()?.f_add(state)?)
    }

    fn read(&self, state: &Tensor, _: &[&Bases]) -> Result<Tensor, ModelError> {
        let outputs = state.f_conv1d(&self.0[self.0.len() - 1], None::<Tensor>, 1, 0, 1, 1)?;
        Ok(outputs.f_sum_dim_intlist([2i64].as_slice(), false, Kind::Float)?)
    }

    fn outputs(reading: Tensor, _: &[&Bases]) -> Result<Vec<Vec<f32>>, ModelError> {
        Ok(Vec::<Vec<f32>>::try_from(reading)?)
    }
}
