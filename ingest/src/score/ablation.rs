//! Every score without each layer in turn. The layers below the removed one are run once for all; the
//! branches above it go on side by side, several in one batch where the token budget lets them. L layers cost
//! L + L(L − 1)/2 layer evaluations where L pruned models one after the other cost L(L − 1) beside the full
//! model's L.

use tch::{Kind, Tensor};
use vestore_schema::{AblatedPart, Status};

use super::forward::{self, Outputs};
use super::{Row, Work};
use crate::batch::ForwardOutput;
use crate::model::error::ModelError;
use crate::model::{Model, Place};

/// What [`ablate`] gave for one batch.
#[derive(Clone, Debug)]
pub struct Ablated {
    /// Of the full model; the same bits as [`super::run`] gives.
    pub full: Outputs,
    /// Without each kept layer, in their order.
    pub without: Vec<Outputs>,
    /// How far each kept layer moved the hidden states of the full model.
    pub movement: Vec<Movement>,
    /// Layers that were run, each on the batch or a branch of it; a part of a layer counts as one.
    pub evaluations: u64,
}

/// How far a layer moves hidden states, summed over forward passes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Movement {
    /// Passes with finite numbers.
    pub passes: u64,
    /// Sum of 1 − the mean cosine of a token's states before and after.
    pub influence: f64,
    /// Sum of the mean angle between them, in half turns.
    pub angle: f64,
}

impl Movement {
    /// Adds what other passes showed.
    pub fn add(&mut self, other: Self) {
        self.passes += other.passes;
        self.influence += other.influence;
        self.angle += other.angle;
    }
}

/// Outputs of a batch, or of the part of it that memory took at once.
struct Piece {
    full: Vec<ForwardOutput>,
    without: Vec<Vec<ForwardOutput>>,
    movement: Vec<Movement>,
    evaluations: u64,
}

/// Computes one batch with the full model and without `part` of each kept layer. Branches are stacked up to
/// `batch_tokens` tokens, or one at a time.
///
/// # Errors
/// When even a single row does not fit in memory, or libtorch fails otherwise.
pub fn ablate(
    model: &Model,
    work: &Work,
    batch: usize,
    part: AblatedPart,
    batch_tokens: usize,
) -> Result<Ablated, ModelError> {
    let outputs = |divided| Outputs { outputs: Vec::new(), divided };
    let mut ablated = Ablated {
        full: outputs(false),
        without: vec![outputs(false); model.depth()],
        movement: vec![Movement::default(); model.depth()],
        evaluations: 0,
    };
    let mut pieces = vec![work.batches[batch].as_slice()];
    while let Some(passes) = pieces.pop() {
        match tch::no_grad(|| ablate_piece(model, work, passes, part, batch_tokens)) {
            Ok(piece) => {
                ablated.full.outputs.extend(piece.full);
                for (to, from) in ablated.without.iter_mut().zip(piece.without) {
                    to.outputs.extend(from);
                }
                for (to, from) in ablated.movement.iter_mut().zip(piece.movement) {
                    to.add(from);
                }
                ablated.evaluations += piece.evaluations;
            }
            Err(error) if error.is_out_of_memory() && passes.len() > 1 => {
                let (front, back) = passes.split_at(passes.len() / 2);
                pieces.extend([back, front]);
                ablated.full.divided = true;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(ablated)
}

fn ablate_piece(
    model: &Model,
    work: &Work,
    passes: &[u32],
    part: AblatedPart,
    batch_tokens: usize,
) -> Result<Piece, ModelError> {
    let ids = forward::ids(model, work, passes)?;
    let (rows, length) = ids.size2()?;
    let together = (batch_tokens / (rows * length).max(1) as usize).max(1);
    let place = model.place(length)?;
    let mut full = model.embed(&ids)?;
    let mut branches: Vec<Tensor> = Vec::with_capacity(model.depth());
    let (mut movement, mut evaluations) = (Vec::with_capacity(model.depth()), 0);
    for layer in 0..model.depth() {
        // The full model is never stacked, so that its bits are those of plain scoring.
        let next = model.layer(layer, &full, &place)?;
        movement.push(moved(&full, &next)?);
        evaluations += 1 + branches.len() as u64;
        branches = advance(model, layer, &branches, together, &place)?;
        branches.push(if part == AblatedPart::Block {
            full
        } else {
            evaluations += 1;
            model.layer_without(layer, &full, &place, part)?
        });
        full = next;
    }
    let read = |state: &Tensor| forward::read(model, work, passes, &model.finish(state)?);
    let without = branches.iter().map(read).collect::<Result<_, _>>()?;
    Ok(Piece { full: read(&full)?, without, movement, evaluations })
}

/// Runs a layer on every branch, `together` of them at a time.
fn advance(
    model: &Model,
    layer: usize,
    branches: &[Tensor],
    together: usize,
    place: &Place,
) -> Result<Vec<Tensor>, ModelError> {
    let mut advanced = Vec::with_capacity(branches.len() + 1);
    for group in branches.chunks(together) {
        if let [branch] = group {
            advanced.push(model.layer(layer, branch, place)?);
        } else {
            let stacked = model.layer(layer, &Tensor::f_cat(group, 0)?, place)?;
            advanced.extend(stacked.f_chunk(group.len() as i64, 0)?);
        }
    }
    Ok(advanced)
}

fn moved(before: &Tensor, after: &Tensor) -> Result<Movement, ModelError> {
    let [before, after] = [before, after].map(|state| state.f_to_kind(Kind::Float));
    let cosine = Tensor::f_cosine_similarity(&before?, &after?, -1, 1e-12)?.f_clamp(-1.0, 1.0)?;
    let mean = |tokens: &Tensor| -> Result<Vec<f64>, ModelError> {
        let means = tokens.f_mean_dim([1i64].as_slice(), false, Kind::Double)?;
        Ok(Vec::<f64>::try_from(means.f_to_device(tch::Device::Cpu)?)?)
    };
    let (cosines, angles) = (mean(&cosine)?, mean(&cosine.f_acos()?)?);
    let mut movement = Movement::default();
    for (cosine, angle) in cosines.into_iter().zip(angles) {
        if cosine.is_finite() && angle.is_finite() {
            let angle = angle / std::f64::consts::PI;
            movement.add(Movement { passes: 1, influence: 1.0 - cosine, angle });
        }
    }
    Ok(movement)
}

/// The change of each score of a variant: without a layer − full; and why there is one or none.
#[must_use]
pub fn change(full: &Row, without: &Row) -> (Vec<Option<f32>>, Status) {
    let difference = |(full, without): (&Option<f32>, &Option<f32>)| {
        full.zip(*without).map(|(full, without)| without - full).filter(|change| change.is_finite())
    };
    let changes: Vec<Option<f32>> = full.values.iter().zip(&without.values).map(difference).collect();
    let status = if changes.iter().any(Option::is_some) {
        Status::Scored
    } else if full.status == Status::Scored {
        Status::NonFinite
    } else {
        full.status
    };
    (changes, status)
}
