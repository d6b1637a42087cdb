//! An encoder as the engine runs it: token ids in, layers as blocks, and of the final hidden states what passes want.

use tch::{Device, Kind, TchError, Tensor};

use super::defaults::PARTS;
use super::pass::{TokenOutput, TokenPass};
use crate::convert::{dimension, from_dimension};
use crate::encoder::model::{LayerStep, Model, SelectedTokens};
use crate::error::ModelError;
use crate::seam::{Network, Step};

impl Network for Model {
    type Pass = TokenPass;
    type Output = TokenOutput;
    type State = Tensor;
    type Reading = TokenReading;

    fn depth(&self) -> usize {
        Self::depth(self)
    }

    fn begin(&self, passes: &[&TokenPass]) -> Result<Tensor, ModelError> {
        self.embed(&ids(self, passes)?)
    }

    fn block(&self, index: usize, state: &Tensor, step: &Step<'_, TokenPass>) -> Result<Tensor, ModelError> {
        if let Some(part) = step.without.filter(|part| !PARTS.contains(&part.as_str())) {
            return Err(ModelError::UnknownPart { part: part.as_str().to_owned() });
        }
        let (_, length, _) = state.size3()?;
        let chosen = match step.wanted {
            Some(passes) => choose(self, passes, length)?,
            None => None,
        };
        let encoding = self.positional_encoding(length)?;
        self.layer(
            index,
            state,
            LayerStep { encoding: &encoding, without: step.without, chosen: chosen.as_ref() },
        )
    }

    fn read(&self, state: &Tensor, passes: &[&TokenPass]) -> Result<TokenReading, ModelError> {
        TokenReading::of(self, passes, &self.finish(state)?)
    }

    fn outputs(reading: TokenReading, passes: &[&TokenPass]) -> Result<Vec<TokenOutput>, ModelError> {
        reading.outputs(passes)
    }

    fn movement(&self, before: &Tensor, after: &Tensor) -> Result<Option<Tensor>, TchError> {
        moved(before, after).map(Some)
    }
}

/// Mean cosine and mean angle between the states [passes, tokens, hidden] of each pass before and after a block
/// [2, passes].
fn moved(before: &Tensor, after: &Tensor) -> Result<Tensor, TchError> {
    let [cosine, angle] = token_movement(before, after)?;
    let mean = |tokens: &Tensor| tokens.f_mean_dim([1i64].as_slice(), false, Kind::Double);
    Tensor::f_stack(&[mean(&cosine)?, mean(&angle)?], 0)
}

/// Cosine and angle between the states [passes, tokens, hidden] of each token before and after a layer
/// [passes, tokens].
pub(crate) fn token_movement(before: &Tensor, after: &Tensor) -> Result<[Tensor; 2], TchError> {
    let [before, after] = [before, after].map(|state| state.f_to_kind(Kind::Float));
    let cosine = Tensor::f_cosine_similarity(&before?, &after?, -1, 1e-12)?.f_clamp(-1.0, 1.0)?;
    let angle = cosine.f_acos()?;
    Ok([cosine, angle])
}

/// Token ids [passes, tokens] of the passes, masked, on the model's device.
fn ids(model: &Model, passes: &[&TokenPass]) -> Result<Tensor, ModelError> {
    let length = passes[0].ids.len();
    let mut ids = Vec::with_capacity(passes.len() * length);
    for pass in passes {
        let start = ids.len();
        ids.extend_from_slice(&pass.ids);
        if let Some(mask) = pass.mask {
            ids[start + mask as usize] =
                model.tokenizer().mask_id().expect("scores that mask need a mask token; this is a bug");
        }
    }
    Ok(to_device(model, &ids)?.f_view([dimension(passes.len()), dimension(length)])?)
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

/// The tokens whose last hidden states the passes of `length` tokens want; none when some pass wants all.
fn choose(model: &Model, passes: &[&TokenPass], length: i64) -> Result<Option<SelectedTokens>, ModelError> {
    if passes.iter().any(|pass| pass.pooled) {
        return Ok(None);
    }
    let lists: Vec<Vec<u32>> = passes.iter().map(|pass| pass.tokens()).collect();
    Ok(Some(SelectedTokens::new(&lists, length, model.device())?))
}

/// What some passes want of their final hidden states, on the model's device.
#[derive(Debug)]
pub struct TokenReading {
    pooled: Option<Tensor>,
    at: Option<Tensor>,
    logits: Option<Tensor>,
    probabilities: Option<Tensor>,
    classes: Option<Tensor>,
    labels: bool,
}

impl TokenReading {
    /// Reads the final hidden states [passes, tokens, hidden], or those of the chosen tokens.
    fn of(model: &Model, passes: &[&TokenPass], hidden: &Tensor) -> Result<Self, ModelError> {
        let (count, width, _) = hidden.size3()?;
        let index = |places: &[i64]| to_device(model, places);
        let wanting = |wants: &dyn Fn(&TokenPass) -> bool| -> Vec<i64> {
            (0..).zip(passes).filter(|(_, pass)| wants(pass)).map(|(row, _)| row).collect()
        };
        // Where a token's state is among those of all passes laid end to end.
        let all = passes.iter().any(|pass| pass.pooled);
        let place = |row: i64, token: u32| {
            let chosen = || {
                let tokens = passes[from_dimension(row)].tokens();
                dimension(tokens.binary_search(&token).unwrap_or_default())
            };
            row * width + if all { i64::from(token) } else { chosen() }
        };
        let states =
            |places: &[i64]| hidden.f_reshape([count * width, -1])?.f_index_select(0, &index(places)?);

        let rows = wanting(&|pass| pass.pooled);
        let pooled = match rows.first() {
            None => None,
            Some(first) => {
                // One tokenizer and one length: the special tokens stand in the same places in all rows.
                let content = &passes[from_dimension(*first)].content;
                let all = rows.len() == passes.len();
                let chosen =
                    if all { hidden.shallow_clone() } else { hidden.f_index_select(0, &index(&rows)?)? };
                let content = chosen.f_narrow(1, dimension(content.start), dimension(content.len()))?;
                Some(content.f_mean_dim([1i64].as_slice(), false, Kind::Float)?)
            }
        };

        let places: Vec<i64> = (0..count)
            .flat_map(|row| passes[from_dimension(row)].at.iter().map(move |token| (row, *token)))
            .map(|(row, token)| place(row, token))
            .collect();
        let at = if places.is_empty() { None } else { Some(states(&places)?) };

        let (mut logits, mut probabilities) = (None, None);
        let rows = wanting(&TokenPass::reads_mask);
        if !rows.is_empty() {
            let token = |row: i64| passes[from_dimension(row)].mask.unwrap_or_default();
            let places: Vec<i64> = rows.iter().map(|row| place(*row, token(*row))).collect();
            let all = model.masked_logits(&states(&places)?)?;
            // The values of the wanted columns of each row; shorter lists are filled up with column 0.
            let gather = |from: &Tensor, wanted: &dyn Fn(&TokenPass) -> &[i64]| {
                let lists = || rows.iter().map(|row| wanted(passes[from_dimension(*row)]));
                let width = lists().map(<[i64]>::len).max().unwrap_or(0);
                let filled = lists().flat_map(|list| (0..width).map(|at| list.get(at).copied().unwrap_or(0)));
                let columns = index(&filled.collect::<Vec<i64>>())?.f_view([-1, dimension(width)])?;
                from.f_gather(1, &columns, false)
            };
            if passes.iter().any(|pass| !pass.logits.is_empty()) {
                logits = Some(gather(&all, &|pass| &pass.logits)?);
            }
            if passes.iter().any(|pass| !pass.probabilities.is_empty()) {
                let logs = all.f_log_softmax(-1, Kind::Float)?;
                probabilities = Some(gather(&logs, &|pass| &pass.probabilities)?);
            }
        }

        let rows = wanting(&|pass| pass.classes);
        let classes = match rows.len() {
            0 => None,
            some if some == passes.len() => Some(model.class_logits(hidden)?),
            _ => Some(model.class_logits(&hidden.f_index_select(0, &index(&rows)?)?)?),
        };
        let labels = model.multi_label();
        Ok(Self { pooled, at, logits, probabilities, classes, labels })
    }

    /// Waits for the numbers and hands them to their passes, in order.
    fn outputs(self, passes: &[&TokenPass]) -> Result<Vec<TokenOutput>, ModelError> {
        let (mut pooled, mut at, mut logits) =
            (to_rows(self.pooled)?, to_rows(self.at)?, to_rows(self.logits)?);
        let (mut probabilities, mut classes) = (to_rows(self.probabilities)?, to_rows(self.classes)?);
        let mut outputs = Vec::with_capacity(passes.len());
        for pass in passes {
            let mut output = TokenOutput::default();
            if pass.pooled {
                output.pooled = pooled.next().unwrap_or_default();
            }
            for _ in &pass.at {
                output.at.extend(at.next().unwrap_or_default());
            }
            if pass.reads_mask() {
                output.logits = logits.next().unwrap_or_default();
                output.logits.truncate(pass.logits.len());
                output.probabilities = probabilities.next().unwrap_or_default();
                output.probabilities.truncate(pass.probabilities.len());
            }
            if pass.classes {
                output.classes = classes.next().unwrap_or_default();
                output.labels = self.labels;
            }
            outputs.push(output);
        }
        Ok(outputs)
    }
}

/// A tensor [n, width] as plain rows.
fn to_rows(tensor: Option<Tensor>) -> Result<std::vec::IntoIter<Vec<f32>>, ModelError> {
    let Some(tensor) = tensor else { return Ok(Vec::new().into_iter()) };
    let (rows, width) = tensor.size2()?;
    let tensor = tensor.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
    let mut flat = vec![0f32; from_dimension(rows * width)];
    let count = flat.len();
    tensor.f_copy_data(&mut flat, count)?;
    let rows: Vec<Vec<f32>> = flat.chunks(from_dimension(width.max(1))).map(<[f32]>::to_vec).collect();
    Ok(rows.into_iter())
}
