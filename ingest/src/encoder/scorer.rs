//! An encoder under a recipe: windows are tokenized, strand by strand, and each score kind wants its passes.

use std::collections::HashMap;

use rayon::prelude::*;
use vestore::Reference;
use vestore_schema::{Assembly, Recipe, Status, Strands, TokenizerKind, Variant};

use super::kinds::{EncoderKind, StrandScore, StrandView, embedding, kinds_of, pooled};
use super::pass::{TokenOutput, TokenPass, TokenPasses};
use super::window::{EncoderWindow, GridWindow};
use crate::convert::narrow;
use crate::encoder::model::{Description, Model};
use crate::seam::{ScoreError, Scorer};
use crate::tokenize::{Tokenizer, TokenizerError, Tokens, complement, reverse_complement};
use crate::window::{ContigEnd, WindowCutter};
use crate::work::{Row, RowPlan, Work};

/// An encoder under a recipe.
pub struct EncoderScorer {
    tokenizer: Tokenizer,
    max_tokens: Option<u32>,
    kinds: Vec<&'static dyn EncoderKind>,
    strands: Strands,
    embeddings: bool,
    cutter: WindowCutter,
    /// Bases of a word, where windows of `llr-grid` are wanted.
    grid: Option<u32>,
    batch_tokens: u32,
    /// What one token takes in a layer.
    token_bytes: u64,
}

impl EncoderScorer {
    /// The encoder `model` under `recipe`, with pooled embeddings where `embeddings` are wanted, and batches of at
    /// most `batch_tokens` tokens.
    ///
    /// # Errors
    /// When the model does not support the recipe's scores.
    pub fn new(
        model: &Model,
        recipe: &Recipe,
        embeddings: bool,
        batch_tokens: u32,
    ) -> Result<Self, ScoreError> {
        let kinds = kinds_of(&recipe.scores)?;
        check(&kinds, model.description())?;
        let description = model.description();
        let grid = match description.tokenizer_kind {
            TokenizerKind::Kmer(word) if kinds.iter().any(|kind| kind.name() == "llr-grid") => Some(word),
            _ => None,
        };
        Ok(Self {
            tokenizer: model.tokenizer().clone(),
            max_tokens: description.max_tokens,
            kinds,
            strands: recipe.strands,
            embeddings,
            cutter: WindowCutter { length: recipe.window, end: ContigEnd::Shift },
            grid,
            batch_tokens,
            token_bytes: super::cost::token_bytes(&description.config, description.hidden),
        })
    }
}

/// Whether the model supports these scores.
fn check(kinds: &[&'static dyn EncoderKind], model: &Description) -> Result<(), ScoreError> {
    for kind in kinds {
        if let Some(needs) = kind.lacks(model) {
            let others = super::encoder_kinds().map(|other| other.name);
            let known = others.filter(|other| *other != kind.name()).collect();
            return Err(ScoreError::Unsupported { kind: kind.name().to_owned(), needs, known });
        }
    }
    Ok(())
}

impl Scorer for EncoderScorer {
    type Window = EncoderWindow;
    type Pass = TokenPass;
    type Output = TokenOutput;

    fn columns(&self) -> Vec<String> {
        columns(&self.kinds, self.strands)
    }

    fn cut(
        &self,
        variant: &Variant,
        reference: &mut Reference,
        assembly: &Assembly,
    ) -> Result<Result<EncoderWindow, Status>, ScoreError> {
        let pair = match self.cutter.cut(variant, reference, assembly)? {
            Ok(pair) => pair,
            Err(status) => return Ok(Err(status)),
        };
        let contig_length = assembly.contig(variant.contig).length;
        let grid = match self.grid {
            Some(word) if variant.is_snv() => {
                GridWindow::cut(variant, self.cutter.length, word, reference, contig_length)?
            }
            _ => None,
        };
        let window = EncoderWindow { pair, grid };
        Ok(if self.fits(&window)? { Ok(window) } else { Err(Status::NonAcgt) })
    }

    fn plan(
        &self,
        windows: &[EncoderWindow],
        scores: bool,
    ) -> Result<Work<TokenPass, TokenOutput>, ScoreError> {
        let kinds: &[&'static dyn EncoderKind] = if scores { &self.kinds } else { &[] };
        let distinct =
            Distinct::of(windows, self.embeddings || kinds.iter().any(|kind| kind.reads_alternate()));
        let cut: Vec<Vec<Tokens>> = (0..self.strands.count())
            .map(|strand| distinct.tokens(&self.tokenizer, strand))
            .collect::<Result<_, _>>()?;
        self.check_lengths(cut.iter().flatten())?;
        let mut passes = TokenPasses::default();
        let mut rows: Vec<RowPlan<TokenPass, TokenOutput>> = Vec::with_capacity(windows.len());
        for (window, places) in windows.iter().zip(&distinct.places) {
            let views: Vec<StrandView<'_>> = cut
                .iter()
                .enumerate()
                .map(|(strand, tokens)| self.view(window, places, tokens, strand == 1))
                .collect();
            rows.push(self.plan_row(kinds, &mut passes, &views, window.pair.is_snv()));
        }
        let budget = u64::from(self.batch_tokens) * self.token_bytes;
        Ok(Work::new(passes.passes, rows, budget, |pass| pass.ids.len() as u64 * self.token_bytes))
    }
}

impl EncoderScorer {
    /// Wants the passes of one variant's strands.
    fn plan_row(
        &self,
        kinds: &[&'static dyn EncoderKind],
        passes: &mut TokenPasses,
        views: &[StrandView<'_>],
        snv: bool,
    ) -> RowPlan<TokenPass, TokenOutput> {
        // Strand by strand, so that passes come in the order in which windows are cut.
        let mut scores: Vec<Vec<Option<StrandScore>>> = Vec::with_capacity(views.len());
        let mut embeddings = Vec::with_capacity(views.len());
        for view in views {
            scores.push(kinds.iter().map(|kind| kind.plan(passes, view)).collect());
            if self.embeddings {
                embeddings.push(pooled(passes, view));
            }
        }
        let kinds = kinds.to_vec();
        Box::new(move |passes: &[TokenPass], outputs: &[TokenOutput]| {
            let values = kinds.iter().enumerate().flat_map(|(place, kind)| {
                let strand = |scores: &Vec<Option<StrandScore>>| {
                    scores[place].as_ref().map(|score| score(passes, outputs))
                };
                kind.combine(&scores.iter().map(strand).collect::<Vec<_>>())
            });
            let otherwise = if snv { Status::NonAcgt } else { Status::UnsupportedAllele };
            Row::new(values.collect(), embedding(&embeddings, outputs), otherwise)
        })
    }

    /// One strand of a window.
    fn view<'a>(
        &'a self,
        window: &EncoderWindow,
        places: &Places,
        tokens: &'a [Tokens],
        reverse: bool,
    ) -> StrandView<'a> {
        let mirror = |at: u32, length: usize| if reverse { narrow(length) - 1 - at } else { at };
        let pair = &window.pair;
        let base = pair.is_snv().then(|| pair.alternate[pair.centre as usize]);
        StrandView {
            tokenizer: &self.tokenizer,
            reference: &tokens[places.reference],
            alternate: &tokens[places.alternate],
            grid: places
                .grid
                .zip(window.grid.as_ref())
                .map(|(number, grid)| (&tokens[number], mirror(grid.position, grid.bases.len()))),
            centre: mirror(pair.centre, pair.reference.len()),
            base: base.map(|base| if reverse { complement(base) } else { base }),
        }
    }

    /// Whether a window has no more tokens than the model takes. The window's length fits, but the bases of a
    /// word with an N become a token each.
    fn fits(&self, window: &EncoderWindow) -> Result<bool, ScoreError> {
        let Some(limit) = self.max_tokens else { return Ok(true) };
        let grid = window.grid.as_ref().map(|grid| &grid.bases);
        for bases in [&window.pair.reference, &window.pair.alternate].into_iter().chain(grid) {
            if bases.contains(&b'N') {
                let forward = self.tokenizer.encode(bases)?.ids.len();
                let reverse = self.tokenizer.encode(&reverse_complement(bases))?.ids.len();
                if forward.max(reverse) > limit as usize {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn check_lengths<'a>(&self, mut windows: impl Iterator<Item = &'a Tokens>) -> Result<(), ScoreError> {
        let Some(limit) = self.max_tokens else { return Ok(()) };
        match windows.find(|tokens| tokens.ids.len() > limit as usize) {
            None => Ok(()),
            Some(tokens) => {
                let bases = limit.saturating_sub(1) * self.tokenizer.word_length().unwrap_or(1);
                Err(ScoreError::TooLong { found: tokens.ids.len(), limit, bases })
            }
        }
    }
}

/// The columns of `kinds` in order.
pub(super) fn columns(kinds: &[&'static dyn EncoderKind], strands: Strands) -> Vec<String> {
    kinds.iter().flat_map(|kind| kind.columns(strands)).map(|name| (*name).to_owned()).collect()
}

/// Where the windows of one variant are among the distinct ones.
struct Places {
    reference: usize,
    alternate: usize,
    grid: Option<usize>,
}

/// Distinct windows: alternates of one site share their reference window, and each is cut once.
struct Distinct<'a> {
    windows: Vec<&'a [u8]>,
    /// Of each variant.
    places: Vec<Places>,
}

impl<'a> Distinct<'a> {
    fn of(windows: &'a [EncoderWindow], alternates: bool) -> Self {
        let mut numbers: HashMap<&[u8], usize> = HashMap::new();
        let mut distinct: Vec<&[u8]> = Vec::new();
        let mut number = |window: &'a [u8]| {
            *numbers.entry(window).or_insert_with(|| {
                distinct.push(window);
                distinct.len() - 1
            })
        };
        let mut places = Vec::with_capacity(windows.len());
        for EncoderWindow { pair, grid } in windows {
            let reference = number(&pair.reference);
            let alternate = if alternates { number(&pair.alternate) } else { reference };
            places.push(Places { reference, alternate, grid: grid.as_ref().map(|grid| number(&grid.bases)) });
        }
        Self { windows: distinct, places }
    }

    /// The tokens of all windows, on the forward strand (0) or the reverse.
    fn tokens(&self, tokenizer: &Tokenizer, strand: usize) -> Result<Vec<Tokens>, TokenizerError> {
        let cut = |window: &&[u8]| match strand {
            0 => tokenizer.encode(window),
            _ => tokenizer.encode(&reverse_complement(window)),
        };
        self.windows.par_iter().map(cut).collect()
    }
}
