//! Every score without each layer in turn. The layers below the removed one are run once for all; the
//! branches above it go on side by side, several in one batch where the token budget lets them. L layers cost
//! L + L(L − 1)/2 layer evaluations where L pruned models one after the other cost L(L − 1) beside the full
//! model's L.

use tch::{Kind, TchError, Tensor};
use vestore_schema::{AblatedPart, Status};

use super::forward::{self, Launched, Outputs, Part};
use super::{Row, Work};
use crate::model::error::ModelError;
use crate::model::{Chosen, Model, Pass, Place};

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

/// An ablated batch on its way, as [`Launched`] is.
#[derive(Debug)]
pub struct LaunchedAblation {
    pieces: Vec<Piece>,
    divided: bool,
}

/// A batch, or the part of it that memory took at once.
#[derive(Debug)]
struct Piece {
    full: Part,
    without: Vec<Part>,
    /// Mean cosine and mean angle of each layer and pass [layers, 2, passes], float64.
    moved: Tensor,
    evaluations: u64,
}

impl LaunchedAblation {
    /// Waits for the batch. May be called on any thread.
    ///
    /// # Errors
    /// When the device failed.
    pub fn read(self, work: &Work) -> Result<Ablated, ModelError> {
        let (mut full, mut without, mut movement) = (Vec::new(), Vec::new(), Vec::new());
        let mut evaluations = 0;
        for piece in self.pieces {
            full.push(piece.full);
            without.resize_with(piece.without.len(), Vec::new);
            movement.resize(piece.without.len(), Movement::default());
            without.iter_mut().zip(piece.without).for_each(|(parts, part)| parts.push(part));
            read_movement(&piece.moved, &mut movement)?;
            evaluations += piece.evaluations;
        }
        let outputs = |parts, divided| Launched::new(parts, divided).read(work);
        Ok(Ablated {
            full: outputs(full, self.divided)?,
            without: without.into_iter().map(|parts| outputs(parts, false)).collect::<Result<_, _>>()?,
            movement,
            evaluations,
        })
    }
}

/// Starts one batch with the full model and without `part` of each kept layer. Branches are stacked up to
/// `batch_tokens` tokens, or one at a time.
///
/// # Errors
/// When even a single row does not fit in memory, or libtorch fails otherwise.
pub fn launch_ablation(
    model: &Model,
    work: &Work,
    batch: usize,
    part: AblatedPart,
    batch_tokens: usize,
) -> Result<LaunchedAblation, ModelError> {
    let (pieces, divided) = forward::halving(&work.batches[batch], |passes| {
        ablate_piece(model, work, passes, part, batch_tokens)
    })?;
    Ok(LaunchedAblation { pieces, divided })
}

/// Computes one batch: [`launch_ablation`], then [`LaunchedAblation::read`].
///
/// # Errors
/// As these.
pub fn ablate(
    model: &Model,
    work: &Work,
    batch: usize,
    part: AblatedPart,
    batch_tokens: usize,
) -> Result<Ablated, ModelError> {
    launch_ablation(model, work, batch, part, batch_tokens)?.read(work)
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
    let whole = Pass::whole(&place);
    let mut full = model.embed(&ids)?;
    let mut branches: Vec<Tensor> = Vec::with_capacity(model.depth());
    let (mut moves, mut evaluations) = (Vec::with_capacity(model.depth()), 0);
    for layer in 0..model.depth() {
        // In the last layer only what is read is computed; how far it moves needs all tokens.
        let last = layer + 1 == model.depth();
        let choose = |times| if last { forward::choose(work, passes, times, model) } else { Ok(None) };
        let chosen = choose(1)?;
        // The full model is never stacked, so that its bits are those of plain scoring.
        let next = model.layer(layer, &full, whole)?;
        moves.push(moved(&full, &next)?);
        evaluations += 1 + branches.len() as u64;
        branches = advance(model, layer, &branches, together, &place, &choose)?;
        branches.push(match (part, &chosen) {
            (AblatedPart::Block, None) => full.shallow_clone(),
            (AblatedPart::Block, Some(chosen)) => chosen.of(&full)?,
            (part, chosen) => {
                evaluations += 1;
                let pass = Pass { without: Some(part), chosen: chosen.as_ref(), ..whole };
                model.layer(layer, &full, pass)?
            }
        });
        full = match &chosen {
            None => next,
            Some(_) => model.layer(layer, &full, Pass { chosen: chosen.as_ref(), ..whole })?,
        };
    }
    let take = |state: &Tensor| Part::launch(model, work, passes, &model.finish(state)?);
    let without = branches.iter().map(take).collect::<Result<_, _>>()?;
    Ok(Piece { full: take(&full)?, without, moved: Tensor::f_stack(&moves, 0)?, evaluations })
}

/// Runs a layer on every branch, `together` of them at a time.
fn advance(
    model: &Model,
    layer: usize,
    branches: &[Tensor],
    together: usize,
    place: &Place,
    choose: &dyn Fn(usize) -> Result<Option<Chosen>, ModelError>,
) -> Result<Vec<Tensor>, ModelError> {
    let mut advanced = Vec::with_capacity(branches.len() + 1);
    for group in branches.chunks(together) {
        let chosen = choose(group.len())?;
        let pass = Pass { chosen: chosen.as_ref(), ..Pass::whole(place) };
        if let [branch] = group {
            advanced.push(model.layer(layer, branch, pass)?);
        } else {
            let stacked = model.layer(layer, &Tensor::f_cat(group, 0)?, pass)?;
            advanced.extend(stacked.f_chunk(group.len() as i64, 0)?);
        }
    }
    Ok(advanced)
}

/// Mean cosine and mean angle between the states of each pass before and after a layer [2, passes].
fn moved(before: &Tensor, after: &Tensor) -> Result<Tensor, TchError> {
    let [before, after] = [before, after].map(|state| state.f_to_kind(Kind::Float));
    let cosine = Tensor::f_cosine_similarity(&before?, &after?, -1, 1e-12)?.f_clamp(-1.0, 1.0)?;
    let mean = |tokens: &Tensor| tokens.f_mean_dim([1i64].as_slice(), false, Kind::Double);
    Tensor::f_stack(&[mean(&cosine)?, mean(&cosine.f_acos()?)?], 0)
}

fn read_movement(moved: &Tensor, movement: &mut [Movement]) -> Result<(), ModelError> {
    let moved = moved.f_to_device(tch::Device::Cpu)?;
    for (layer, movement) in (0..).zip(movement) {
        let layer = moved.f_get(layer)?;
        let [cosines, angles] = [0, 1].map(|which| Vec::<f64>::try_from(layer.f_get(which)?));
        for (cosine, angle) in cosines?.into_iter().zip(angles?) {
            if cosine.is_finite() && angle.is_finite() {
                let angle = angle / std::f64::consts::PI;
                movement.add(Movement { passes: 1, influence: 1.0 - cosine, angle });
            }
        }
    }
    Ok(())
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
