//! Runs one batch of forward passes: the only stage of scoring that calls libtorch.

use tch::{Kind, Tensor};

use super::Work;
use crate::batch::{Forward, ForwardOutput};
use crate::model::Model;
use crate::model::error::ModelError;

/// What [`run`] gave for one batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs {
    pub(super) outputs: Vec<ForwardOutput>,
    /// Whether memory ran out and the batch was run in parts; its last bits may then differ from a
    /// run that had more memory.
    pub divided: bool,
}

/// Computes one batch. When the device runs out of memory the batch is halved, down to single rows.
///
/// # Errors
/// When even a single row does not fit, or libtorch fails otherwise.
pub fn run(model: &Model, work: &Work, batch: usize) -> Result<Outputs, ModelError> {
    let mut outputs = Vec::with_capacity(work.batches[batch].len());
    let mut divided = false;
    let mut parts = vec![work.batches[batch].as_slice()];
    while let Some(part) = parts.pop() {
        match tch::no_grad(|| run_part(model, work, part)) {
            Ok(part) => outputs.extend(part),
            Err(error) if error.is_out_of_memory() && part.len() > 1 => {
                let (front, back) = part.split_at(part.len() / 2);
                parts.extend([back, front]);
                divided = true;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Outputs { outputs, divided })
}

/// Rows of a tensor [n, width] as plain vectors.
fn to_rows(tensor: &Tensor) -> Result<Vec<Vec<f32>>, ModelError> {
    let (rows, width) = tensor.size2().map_err(ModelError::Torch)?;
    let tensor = tensor.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
    let mut flat = vec![0f32; (rows * width) as usize];
    let count = flat.len();
    tensor.f_copy_data(&mut flat, count)?;
    Ok(flat.chunks(width.max(1) as usize).map(<[f32]>::to_vec).collect())
}

fn run_part(model: &Model, work: &Work, part: &[u32]) -> Result<Vec<ForwardOutput>, ModelError> {
    read(model, work, part, &model.hidden(&ids(model, work, part)?)?)
}

/// Token ids [passes, tokens] of the passes `part`, masked, on the model's device.
pub(super) fn ids(model: &Model, work: &Work, part: &[u32]) -> Result<Tensor, ModelError> {
    let length = work.ids(part[0]).len();
    let mut ids = Vec::with_capacity(part.len() * length);
    for number in part {
        let start = ids.len();
        ids.extend_from_slice(work.ids(*number));
        if let Some(mask) = work.forwards.passes[*number as usize].mask {
            ids[start + mask as usize] = work.mask;
        }
    }
    let ids = Tensor::f_from_slice(&ids)?.f_to_device(model.device())?;
    Ok(ids.f_view([part.len() as i64, length as i64])?)
}

/// What the passes `part` want of their final hidden states [passes, tokens, hidden].
pub(super) fn read<'a>(
    model: &Model,
    work: &'a Work,
    part: &[u32],
    hidden: &Tensor,
) -> Result<Vec<ForwardOutput>, ModelError> {
    let passes: Vec<&'a Forward> = part.iter().map(|pass| &work.forwards.passes[*pass as usize]).collect();
    let (count, length) = (passes.len() as i64, work.ids(part[0]).len() as i64);
    let device = model.device();
    let index = |places: &[i64]| Tensor::f_from_slice(places)?.f_to_device(device);
    let flat = hidden.f_view([count * length, -1])?;
    let mut outputs = vec![ForwardOutput::default(); passes.len()];

    let pooled: Vec<usize> = (0..passes.len()).filter(|row| passes[*row].pooled).collect();
    if let Some(first) = pooled.first() {
        // One tokenizer and one length: the special tokens stand in the same places in all rows.
        let content = &work.forwards.sequences[passes[*first].sequence as usize].content;
        let rows: Vec<i64> = pooled.iter().map(|row| *row as i64).collect();
        let chosen = if pooled.len() == passes.len() {
            hidden.shallow_clone()
        } else {
            hidden.f_index_select(0, &index(&rows)?)?
        };
        let mean = chosen.f_narrow(1, content.start as i64, content.len() as i64)?.f_mean_dim(
            [1i64].as_slice(),
            false,
            Kind::Float,
        )?;
        for (row, mean) in pooled.iter().zip(to_rows(&mean)?) {
            outputs[*row].pooled = mean;
        }
    }

    let places = |wanted: &dyn Fn(usize) -> Vec<u32>| -> Vec<(usize, i64)> {
        let place = |row: usize| {
            wanted(row).into_iter().map(move |token| (row, row as i64 * length + i64::from(token)))
        };
        (0..passes.len()).flat_map(place).collect()
    };
    let at = places(&|row| passes[row].at.clone());
    if !at.is_empty() {
        let rows: Vec<i64> = at.iter().map(|(_, place)| *place).collect();
        for ((row, _), vector) in at.iter().zip(to_rows(&flat.f_index_select(0, &index(&rows)?)?)?) {
            outputs[*row].at.extend(vector);
        }
    }

    let masked = places(&|row| {
        let wanted = !passes[row].probabilities.is_empty() || !passes[row].logits.is_empty();
        passes[row].mask.filter(|_| wanted).into_iter().collect()
    });
    if !masked.is_empty() {
        let rows: Vec<i64> = masked.iter().map(|(_, place)| *place).collect();
        let logits = model.masked_logits(&flat.f_index_select(0, &index(&rows)?)?)?;
        // The values of the wanted columns of each row; shorter lists are filled up with column 0.
        let gather = |from: &Tensor, wanted: &dyn Fn(usize) -> &'a [i64]| {
            let lists: Vec<&[i64]> = masked.iter().map(|(row, _)| wanted(*row)).collect();
            let width = lists.iter().map(|list| list.len()).max().unwrap_or(0);
            let padded =
                lists.iter().flat_map(|list| (0..width).map(|place| list.get(place).copied().unwrap_or(0)));
            let columns = index(&padded.collect::<Vec<i64>>())?.f_view([-1, width as i64])?;
            let mut values = to_rows(&from.f_gather(1, &columns, false)?)?;
            values.iter_mut().zip(lists).for_each(|(values, list)| values.truncate(list.len()));
            Ok::<_, ModelError>(values)
        };
        if masked.iter().any(|(row, _)| !passes[*row].logits.is_empty()) {
            for ((row, _), values) in masked.iter().zip(gather(&logits, &|row| &passes[row].logits)?) {
                outputs[*row].logits = values;
            }
        }
        if masked.iter().any(|(row, _)| !passes[*row].probabilities.is_empty()) {
            let logs = logits.f_log_softmax(-1, Kind::Float)?;
            for ((row, _), values) in masked.iter().zip(gather(&logs, &|row| &passes[row].probabilities)?) {
                outputs[*row].probabilities = values;
            }
        }
    }

    if passes.iter().any(|pass| pass.classes) {
        for (output, logits) in outputs.iter_mut().zip(to_rows(&model.class_logits(hidden)?)?) {
            output.classes = logits;
        }
    }
    Ok(outputs)
}
