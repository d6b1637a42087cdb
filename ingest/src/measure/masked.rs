//! What a masked language model knows of each base: the probability that it gives the true one when the token
//! is hidden.

use tch::{Device, Tensor};
use vestore_schema::{Region, TokenizerKind};

use super::MeasureError;
use super::losses::{Loss, Losses};
use crate::convert::{as_index, dimension, narrow};
use crate::encoder::CPU_BATCH_TOKENS;
use crate::encoder::model::{Model, SelectedTokens};
use crate::genome::{Genome, KnownRegions};
use crate::random::Random;
use crate::tokenize::Tokens;

/// How bases are hidden to be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaskedOptions {
    /// Bases of a window.
    pub window: u32,
    /// One token of so many is hidden at a time, so that the hidden ones do not stand in each other's context.
    pub gap: u32,
    /// Windows at most, evenly spread; all tiles of the regions where there are fewer.
    pub windows: u64,
    /// Where random numbers start: which tokens of a window are hidden.
    pub seed: u64,
}

/// The loss of hidden bases, in nats: −log of the share that the true base has among the four that could stand
/// in its place, all other bases of its token being known. Of byte pairs no base can be replaced alone: there it
/// is the loss of the whole token, spread over its bases, which compares with other byte-pair models alone.
///
/// # Errors
/// When the model has no masked language model's head, a window is too long for it, or memory runs out.
pub fn masked_losses(
    model: &Model,
    genome: &Genome,
    regions: &KnownRegions,
    options: MaskedOptions,
) -> Result<Losses, MeasureError> {
    let mask = model.tokenizer().mask_id().ok_or(MeasureError::NoMask)?;
    let tiles = spread(regions.tiles(options.window).collect(), options.windows);
    let mut losses = Losses::default();
    let mut batch: Vec<Hidden> = Vec::new();
    for (number, region) in (0..).zip(tiles) {
        let hidden = Hidden::new(model, genome, region, number, options, mask)?;
        let other = batch.first().is_some_and(|first| {
            first.ids.len() != hidden.ids.len()
                || (batch.len() + 1) * hidden.ids.len() > CPU_BATCH_TOKENS as usize
        });
        if other {
            measure(model, &std::mem::take(&mut batch), &mut losses)?;
        }
        batch.push(hidden);
    }
    if !batch.is_empty() {
        measure(model, &batch, &mut losses)?;
    }
    Ok(losses)
}

/// At most `count` of the tiles, as far from each other as can be.
fn spread(tiles: Vec<Region>, count: u64) -> Vec<Region> {
    let total = tiles.len() as u64;
    if total <= count {
        return tiles;
    }
    (0..count).map(|index| tiles[as_index(index * total / count)]).collect()
}

/// A window with hidden tokens.
struct Hidden {
    region: Region,
    number: u64,
    ids: Vec<i64>,
    places: Vec<u32>,
    tokens: Tokens,
    letters: Vec<u8>,
}

impl Hidden {
    fn new(
        model: &Model,
        genome: &Genome,
        region: Region,
        number: u64,
        options: MaskedOptions,
        mask: i64,
    ) -> Result<Self, MeasureError> {
        let letters = genome.letters(region).to_vec();
        let tokens = model.tokenizer().encode(&letters.to_ascii_uppercase())?;
        let gap = u64::from(options.gap.max(1));
        let first = Random::of(&[options.seed, number]).below(gap);
        let places: Vec<u32> =
            tokens.content().skip(as_index(first)).step_by(as_index(gap)).map(narrow).collect();
        let mut ids = tokens.ids.clone();
        for place in &places {
            ids[*place as usize] = mask;
        }
        Ok(Self { region, number, ids, places, tokens, letters })
    }
}

fn measure(model: &Model, batch: &[Hidden], losses: &mut Losses) -> Result<(), MeasureError> {
    let batch: Vec<&Hidden> = batch.iter().filter(|hidden| !hidden.places.is_empty()).collect();
    let Some(first) = batch.first() else { return Ok(()) };
    let length = dimension(first.ids.len());
    let ids: Vec<i64> = batch.iter().flat_map(|hidden| hidden.ids.iter().copied()).collect();
    let lists: Vec<Vec<u32>> = batch.iter().map(|hidden| hidden.places.clone()).collect();
    let logits = tch::no_grad(|| -> Result<Tensor, MeasureError> {
        let ids = Tensor::f_from_slice(&ids)?.f_view([-1, length])?.f_to_device(model.device())?;
        let chosen = SelectedTokens::new(&lists, length, model.device())?;
        let hidden = model.hidden_at(&ids, &chosen)?;
        let (_, count, width) = hidden.size3()?;
        let logits = model.masked_logits(&hidden.f_reshape([-1, width])?)?;
        Ok(logits.f_view([dimension(batch.len()), count, -1])?.f_to_device(Device::Cpu)?)
    })?;
    for (row, hidden) in batch.iter().enumerate() {
        let row = logits.f_get(dimension(row))?;
        for (place, token) in hidden.places.iter().enumerate() {
            let numbers: Vec<f32> = Vec::try_from(row.f_get(dimension(place))?)?;
            let (id, span) = (hidden.tokens.ids[*token as usize], &hidden.tokens.spans[*token as usize]);
            for base in span.clone() {
                let letter = hidden.letters[base as usize];
                let nats = match model.tokenizer().kind() {
                    TokenizerKind::Bpe => Some(surprise(&numbers, id) / f64::from(span.end - span.start)),
                    TokenizerKind::Kmer(_) | TokenizerKind::Base => {
                        let in_place = |other| model.tokenizer().replaced(id, base - span.start, other);
                        surprise_of_base(&numbers, letter.to_ascii_uppercase(), in_place)
                    }
                };
                let Some(nats) = nats else { continue };
                losses.push(Loss {
                    contig: hidden.region.contig,
                    position: hidden.region.start + base,
                    repeat: letter.is_ascii_lowercase(),
                    window: narrow(as_index(hidden.number)),
                    nats,
                });
            }
        }
    }
    Ok(())
}

/// −log of the softmax of `logits` at `id`.
fn surprise(logits: &[f32], id: i64) -> f64 {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - highest).exp()).sum();
    let own = usize::try_from(id).ok().and_then(|id| logits.get(id));
    own.map_or(f64::NAN, |logit| sum.ln() - f64::from(logit - highest))
}

/// The same among the four tokens that another base in its place makes; `None` where it is not a known base.
fn surprise_of_base(logits: &[f32], base: u8, in_place: impl Fn(u8) -> Option<i64>) -> Option<f64> {
    let logit = |other: u8| logits.get(usize::try_from(in_place(other)?).ok()?).copied();
    let four: Vec<f32> = b"ACGT".iter().map(|other| logit(*other)).collect::<Option<_>>()?;
    let own = b"ACGT".iter().position(|other| *other == base)?;
    Some(surprise(&four, dimension(own)))
}
