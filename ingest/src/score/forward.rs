//! Runs one batch of forward passes: the only stage of scoring that calls libtorch. A batch is first
//! launched, then read: between the two a GPU computes while the next batch is being launched.

use tch::{Kind, TchError, Tensor};

use super::Work;
use crate::batch::{Forward, ForwardOutput};
use crate::model::error::ModelError;
use crate::model::{Chosen, Model};

/// What [`run`] gave for one batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs {
    pub(super) outputs: Vec<ForwardOutput>,
    /// Whether memory ran out and the batch was run in parts; its last bits may then differ from a
    /// run that had more memory.
    pub divided: bool,
}

impl Outputs {
    /// Every number, so that what is no number equals itself.
    fn bits(&self) -> Vec<u32> {
        let all = |output: &ForwardOutput| {
            let lists = [&output.pooled, &output.at, &output.logits, &output.probabilities, &output.classes];
            lists.into_iter().flatten().map(|number| number.to_bits()).collect::<Vec<u32>>()
        };
        self.outputs.iter().flat_map(all).collect()
    }
}

/// A batch on its way: small tensors on the model's device, perhaps not computed yet.
#[derive(Debug)]
pub struct Launched {
    parts: Vec<Part>,
    divided: bool,
}

impl Launched {
    pub(super) fn new(parts: Vec<Part>, divided: bool) -> Self {
        Self { parts, divided }
    }

    /// Waits for the batch. May be called on any thread.
    ///
    /// # Errors
    /// When the device failed.
    pub fn read(self, work: &Work) -> Result<Outputs, ModelError> {
        let mut outputs = Vec::new();
        for part in self.parts {
            outputs.extend(part.read(work)?);
        }
        Ok(Outputs { outputs, divided: self.divided })
    }
}

/// Starts one batch. When the device runs out of memory the batch is halved, down to single rows.
///
/// # Errors
/// When even a single row does not fit, or libtorch fails otherwise.
pub fn launch(model: &Model, work: &Work, batch: usize) -> Result<Launched, ModelError> {
    launch_passes(model, work, &work.batches[batch])
}

fn launch_passes(model: &Model, work: &Work, passes: &[u32]) -> Result<Launched, ModelError> {
    let (parts, divided) = halving(passes, |passes| {
        let ids = ids(model, work, passes)?;
        match choose(work, passes, 1, model)? {
            Some(chosen) => Part::launch(model, work, passes, &model.hidden_at(&ids, &chosen)?),
            None => Part::launch(model, work, passes, &model.hidden(&ids)?),
        }
    })?;
    Ok(Launched::new(parts, divided))
}

/// Whether the model gives the same bits for the same windows twice: the first two of the first batch.
///
/// # Errors
/// As [`launch`] and [`Launched::read`].
pub(crate) fn repeats(model: &Model, work: &Work) -> Result<bool, ModelError> {
    let Some(batch) = work.batches.first() else { return Ok(true) };
    let once = || launch_passes(model, work, &batch[..batch.len().min(2)])?.read(work);
    Ok(once()?.bits() == once()?.bits())
}

/// Computes one batch: [`launch`], then [`Launched::read`].
///
/// # Errors
/// As these.
pub fn run(model: &Model, work: &Work, batch: usize) -> Result<Outputs, ModelError> {
    launch(model, work, batch)?.read(work)
}

/// Calls `each` with all passes, or with parts of them, in order, as memory takes them; and whether it did
/// not take them at once.
pub(super) fn halving<T>(
    passes: &[u32],
    mut each: impl FnMut(&[u32]) -> Result<T, ModelError>,
) -> Result<(Vec<T>, bool), ModelError> {
    let (mut done, mut divided) = (Vec::new(), false);
    let mut waiting = vec![passes];
    while let Some(passes) = waiting.pop() {
        match tch::no_grad(|| each(passes)) {
            Ok(part) => done.push(part),
            Err(error) if error.is_out_of_memory() && passes.len() > 1 => {
                let (front, back) = passes.split_at(passes.len() / 2);
                waiting.extend([back, front]);
                divided = true;
            }
            Err(error) => return Err(error),
        }
    }
    Ok((done, divided))
}

/// Token ids [passes, tokens] of the passes, masked, on the model's device.
pub(super) fn ids(model: &Model, work: &Work, passes: &[u32]) -> Result<Tensor, ModelError> {
    let length = work.ids(passes[0]).len();
    let mut ids = Vec::with_capacity(passes.len() * length);
    for number in passes {
        let start = ids.len();
        ids.extend_from_slice(work.ids(*number));
        if let Some(mask) = work.forwards.passes[*number as usize].mask {
            ids[start + mask as usize] = work.mask;
        }
    }
    Ok(to_device(model, &ids)?.f_view([passes.len() as i64, length as i64])?)
}

/// Moves numbers to the model's device: to a GPU from pinned memory, without waiting for it.
fn to_device(model: &Model, numbers: &[i64]) -> Result<Tensor, TchError> {
    let tensor = Tensor::f_from_slice(numbers)?;
    let device = model.device();
    if !device.is_cuda() {
        return Ok(tensor);
    }
    tensor.f_pin_memory(device)?.f_to_device_(device, Kind::Int64, true, false)
}

/// The tokens whose last hidden states the passes want, `times` over; none when some pass wants all.
pub(super) fn choose(
    work: &Work,
    passes: &[u32],
    times: usize,
    model: &Model,
) -> Result<Option<Chosen>, ModelError> {
    let forwards = || passes.iter().map(|pass| &work.forwards.passes[*pass as usize]);
    if forwards().any(|forward| forward.pooled) {
        return Ok(None);
    }
    let lists: Vec<Vec<u32>> = forwards().map(Forward::tokens).collect();
    let length = work.ids(passes[0]).len() as i64;
    Ok(Some(Chosen::new(&vec![lists; times].concat(), length, model.device())?))
}

/// What some passes of a batch gave, on the model's device.
#[derive(Debug)]
pub(super) struct Part {
    passes: Vec<u32>,
    pooled: Option<Tensor>,
    at: Option<Tensor>,
    logits: Option<Tensor>,
    probabilities: Option<Tensor>,
    classes: Option<Tensor>,
    labels: bool,
}

/// A tensor [n, width] as plain rows.
fn to_rows(tensor: Option<Tensor>) -> Result<std::vec::IntoIter<Vec<f32>>, ModelError> {
    let Some(tensor) = tensor else { return Ok(Vec::new().into_iter()) };
    let (rows, width) = tensor.size2()?;
    let tensor = tensor.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
    let mut flat = vec![0f32; (rows * width) as usize];
    let count = flat.len();
    tensor.f_copy_data(&mut flat, count)?;
    let rows: Vec<Vec<f32>> = flat.chunks(width.max(1) as usize).map(<[f32]>::to_vec).collect();
    Ok(rows.into_iter())
}

impl Part {
    /// Takes what the passes want of their final hidden states, [passes, tokens, hidden], or of the
    /// chosen ones.
    pub(super) fn launch(
        model: &Model,
        work: &Work,
        passes: &[u32],
        hidden: &Tensor,
    ) -> Result<Self, ModelError> {
        let forwards: Vec<&Forward> =
            passes.iter().map(|pass| &work.forwards.passes[*pass as usize]).collect();
        let (count, width, _) = hidden.size3()?;
        let index = |places: &[i64]| to_device(model, places);
        let wanting = |wants: &dyn Fn(&Forward) -> bool| -> Vec<i64> {
            (0..count).filter(|row| wants(forwards[*row as usize])).collect()
        };
        // Where a token's state is among those of all passes laid end to end.
        let all = forwards.iter().any(|forward| forward.pooled);
        let place = |row: i64, token: u32| {
            let chosen = || forwards[row as usize].tokens().binary_search(&token).unwrap_or_default() as i64;
            row * width + if all { i64::from(token) } else { chosen() }
        };
        let states =
            |places: &[i64]| hidden.f_reshape([count * width, -1])?.f_index_select(0, &index(places)?);

        let rows = wanting(&|forward| forward.pooled);
        let pooled = match rows.first() {
            None => None,
            Some(first) => {
                // One tokenizer and one length: the special tokens stand in the same places in all rows.
                let first = forwards[*first as usize].sequence as usize;
                let content = &work.forwards.sequences[first].content;
                let all = rows.len() == forwards.len();
                let chosen =
                    if all { hidden.shallow_clone() } else { hidden.f_index_select(0, &index(&rows)?)? };
                let content = chosen.f_narrow(1, content.start as i64, content.len() as i64)?;
                Some(content.f_mean_dim([1i64].as_slice(), false, Kind::Float)?)
            }
        };

        let places: Vec<i64> = (0..count)
            .flat_map(|row| forwards[row as usize].at.iter().map(move |token| (row, *token)))
            .map(|(row, token)| place(row, token))
            .collect();
        let at = if places.is_empty() { None } else { Some(states(&places)?) };

        let (mut logits, mut probabilities) = (None, None);
        let rows = wanting(&Forward::reads_mask);
        if !rows.is_empty() {
            let token = |row: i64| forwards[row as usize].mask.unwrap_or_default();
            let places: Vec<i64> = rows.iter().map(|row| place(*row, token(*row))).collect();
            let all = model.masked_logits(&states(&places)?)?;
            // The values of the wanted columns of each row; shorter lists are filled up with column 0.
            let gather = |from: &Tensor, wanted: &dyn Fn(&Forward) -> &[i64]| {
                let lists = || rows.iter().map(|row| wanted(forwards[*row as usize]));
                let width = lists().map(<[i64]>::len).max().unwrap_or(0);
                let filled = lists().flat_map(|list| (0..width).map(|at| list.get(at).copied().unwrap_or(0)));
                let columns = index(&filled.collect::<Vec<i64>>())?.f_view([-1, width as i64])?;
                from.f_gather(1, &columns, false)
            };
            if forwards.iter().any(|forward| !forward.logits.is_empty()) {
                logits = Some(gather(&all, &|forward| &forward.logits)?);
            }
            if forwards.iter().any(|forward| !forward.probabilities.is_empty()) {
                let logs = all.f_log_softmax(-1, Kind::Float)?;
                probabilities = Some(gather(&logs, &|forward| &forward.probabilities)?);
            }
        }

        let rows = wanting(&|forward| forward.classes);
        let classes = match rows.len() {
            0 => None,
            some if some == forwards.len() => Some(model.class_logits(hidden)?),
            _ => Some(model.class_logits(&hidden.f_index_select(0, &index(&rows)?)?)?),
        };
        let labels = model.multi_label();
        Ok(Self { passes: passes.to_vec(), pooled, at, logits, probabilities, classes, labels })
    }

    /// Waits for the numbers and hands them to their passes, in order.
    pub(super) fn read(self, work: &Work) -> Result<Vec<ForwardOutput>, ModelError> {
        let (mut pooled, mut at, mut logits) =
            (to_rows(self.pooled)?, to_rows(self.at)?, to_rows(self.logits)?);
        let (mut probabilities, mut classes) = (to_rows(self.probabilities)?, to_rows(self.classes)?);
        let mut outputs = Vec::with_capacity(self.passes.len());
        for pass in self.passes {
            let forward = &work.forwards.passes[pass as usize];
            let mut output = ForwardOutput::default();
            if forward.pooled {
                output.pooled = pooled.next().unwrap_or_default();
            }
            for _ in &forward.at {
                output.at.extend(at.next().unwrap_or_default());
            }
            if forward.reads_mask() {
                output.logits = logits.next().unwrap_or_default();
                output.logits.truncate(forward.logits.len());
                output.probabilities = probabilities.next().unwrap_or_default();
                output.probabilities.truncate(forward.probabilities.len());
            }
            if forward.classes {
                output.classes = classes.next().unwrap_or_default();
                output.labels = self.labels;
            }
            outputs.push(output);
        }
        Ok(outputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_that_differ_in_one_bit_do_not_repeat() {
        let output = ForwardOutput { logits: vec![1.0, f32::NAN], at: vec![2.0], ..ForwardOutput::default() };
        let outputs = Outputs { outputs: vec![ForwardOutput::default(), output], divided: false };
        assert_eq!(outputs.bits(), outputs.clone().bits());
        for change in [
            |output: &mut ForwardOutput| output.logits[0] = 1.000_000_1,
            |output: &mut ForwardOutput| output.at[0] = -2.0,
        ] {
            let mut other = outputs.clone();
            change(&mut other.outputs[1]);
            assert_ne!(outputs.bits(), other.bits());
        }
    }
}
