//! Every output without each block in turn. The blocks below the removed one are run once for all; the
//! branches above it run beside each other, several in one batch where the memory of a batch lets them. L blocks cost
//! L + L(L − 1)/2 block evaluations where L pruned models one after the other cost L(L − 1) beside the full
//! model's L.

use tch::Tensor;
use vestore_schema::AblatedPart;

use crate::error::ModelError;
use crate::forward::{Launched, Outputs, Part, split_on_out_of_memory};
use crate::pipeline::Interrupt;
use crate::seam::{Network, State, Step};
use crate::work::Work;

/// What [`ablate`] gave for one batch.
#[derive(Clone, Debug)]
pub struct Ablated<O> {
    /// Of the full model; the same bits as [`crate::run`] gives.
    pub full: Outputs<O>,
    /// Without each kept block, in their order.
    pub without: Vec<Outputs<O>>,
    /// How far each kept block moved the states of the full model.
    pub movement: Vec<Movement>,
    /// Blocks that were run, each on the batch or a branch of it; a part of a block counts as one.
    pub evaluations: u64,
}

/// How far a block moves hidden states, summed over forward passes.
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
pub(crate) struct LaunchedAblation<N: Network> {
    pieces: Vec<Piece<N>>,
    divided: bool,
}

/// A batch, or the part of it that memory took at once.
struct Piece<N: Network> {
    full: Part<N>,
    without: Vec<Part<N>>,
    /// Of each block, as [`Network::movement`] gives it.
    moved: Vec<Option<Tensor>>,
    evaluations: u64,
}

impl<N: Network> LaunchedAblation<N> {
    /// Waits for the batch. May be called on any thread.
    ///
    /// # Errors
    /// When the device failed.
    pub(crate) fn read(self, work: &Work<N::Pass, N::Output>) -> Result<Ablated<N::Output>, ModelError> {
        let (mut full, mut without, mut movement) = (Vec::new(), Vec::new(), Vec::new());
        let mut evaluations = 0;
        for piece in self.pieces {
            full.push(piece.full);
            without.resize_with(piece.without.len(), Vec::new);
            movement.resize(piece.without.len(), Movement::default());
            without.iter_mut().zip(piece.without).for_each(|(parts, part)| parts.push(part));
            for (movement, moved) in movement.iter_mut().zip(&piece.moved) {
                if let Some(moved) = moved {
                    read_movement(moved, movement)?;
                }
            }
            evaluations += piece.evaluations;
        }
        let outputs = |parts, divided| Launched::<N>::new(parts, divided).read(work);
        Ok(Ablated {
            full: outputs(full, self.divided)?,
            without: without.into_iter().map(|parts| outputs(parts, false)).collect::<Result<_, _>>()?,
            movement,
            evaluations,
        })
    }
}

/// Starts one batch with the full model and without `part` of each kept block. Branches are stacked as far as the
/// memory of a batch goes, or run one at a time.
///
/// # Errors
/// When the user does not wait for it, when even a single pass does not fit in memory, or libtorch fails otherwise.
pub(crate) fn launch_ablation<N: Network>(
    network: &N,
    work: &Work<N::Pass, N::Output>,
    batch: usize,
    part: &AblatedPart,
    interrupt: &Interrupt,
) -> Result<LaunchedAblation<N>, ModelError> {
    let batch = &work.batches[batch];
    let (pieces, divided) = split_on_out_of_memory(&batch.passes, |numbers| {
        ablate_piece(network, work, numbers, (part, batch.copies), interrupt)
    })?;
    Ok(LaunchedAblation { pieces, divided })
}

/// Computes one batch with `part` taken out of every layer in turn, and waits for the outputs.
///
/// # Errors
/// What the network or libtorch reports.
pub fn ablate<N: Network>(
    network: &N,
    work: &Work<N::Pass, N::Output>,
    batch: usize,
    part: &AblatedPart,
) -> Result<Ablated<N::Output>, ModelError> {
    launch_ablation(network, work, batch, part, &Interrupt::default())?.read(work)
}

fn ablate_piece<N: Network>(
    network: &N,
    work: &Work<N::Pass, N::Output>,
    numbers: &[u32],
    (part, together): (&AblatedPart, usize),
    interrupt: &Interrupt,
) -> Result<Piece<N>, ModelError> {
    let passes = work.passes_of(numbers);
    let depth = network.depth();
    let mut full = network.begin(&passes)?;
    let mut branches: Vec<N::State> = Vec::with_capacity(depth);
    let (mut moved, mut evaluations) = (Vec::with_capacity(depth), 0);
    for index in 0..depth {
        interrupt.check()?;
        // In the last block only what is wanted is computed; how far it moves needs all of it.
        let wanted = (index + 1 == depth).then_some(passes.as_slice());
        // The full model is never stacked, so that its bits are those of plain scoring.
        let next = network.block(index, &full, &Step::whole())?;
        moved.push(network.movement(&full, &next)?);
        evaluations += 1 + branches.len() as u64 + u64::from(!part.is_block());
        branches = advance(network, index, &branches, together, wanted)?;
        branches.push(network.block(index, &full, &Step { without: Some(part), wanted })?);
        full = match wanted {
            None => next,
            Some(_) => network.block(index, &full, &Step { without: None, wanted })?,
        };
    }
    let read = |state: &N::State| -> Result<Part<N>, ModelError> {
        Ok(Part { passes: numbers.to_vec(), reading: network.read(state, &passes)? })
    };
    let without = branches.iter().map(read).collect::<Result<_, _>>()?;
    Ok(Piece { full: read(&full)?, without, moved, evaluations })
}

/// Runs a block on every branch, `together` of them at a time.
fn advance<N: Network>(
    network: &N,
    index: usize,
    branches: &[N::State],
    together: usize,
    wanted: Option<&[&N::Pass]>,
) -> Result<Vec<N::State>, ModelError> {
    let mut advanced = Vec::with_capacity(branches.len() + 1);
    for group in branches.chunks(together) {
        let wanted = wanted.map(|passes| passes.repeat(group.len()));
        let step = Step { without: None, wanted: wanted.as_deref() };
        if let [branch] = group {
            advanced.push(network.block(index, branch, &step)?);
        } else {
            let stacked = network.block(index, &State::stack(group)?, &step)?;
            advanced.extend(stacked.unstack(group.len())?);
        }
    }
    Ok(advanced)
}

fn read_movement(moved: &Tensor, movement: &mut Movement) -> Result<(), ModelError> {
    let moved = moved.f_to_device(tch::Device::Cpu)?;
    let [cosines, angles] = [0, 1].map(|which| Vec::<f64>::try_from(moved.f_get(which)?));
    for (cosine, angle) in cosines?.into_iter().zip(angles?) {
        if cosine.is_finite() && angle.is_finite() {
            let angle = angle / std::f64::consts::PI;
            movement.add(Movement { passes: 1, influence: 1.0 - cosine, angle });
        }
    }
    Ok(())
}
