//! Reads the scores of a background into a distribution, in bounded memory however many there are.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Float32Type;
use rayon::slice::ParallelSliceMut;
use vestore_schema::{Context, Direction};

use super::contexts::Contexts;
use super::distribution::{Builder, Distribution};
use super::error::CalibrateError;
use crate::narrow::{to_score, to_usize};
use crate::ordered::ordered;
use crate::query::{AnswerRows, QueryPlan};

/// Scores that are held to be sorted: 512 MB. Of larger backgrounds the rows are read several times.
const HELD: u64 = 1 << 27;
/// Prefixes of scores that are counted first: the upper 16 bits.
const PREFIXES: usize = 1 << 16;

/// What scores are compared with.
pub(super) struct Background<'a> {
    /// The rows, of one track; the score is their last column.
    pub(super) plan: &'a QueryPlan,
    pub(super) direction: Direction,
    pub(super) context: Option<Context>,
}

/// What became of a background.
pub(super) struct Taken {
    pub(super) distribution: Distribution,
    pub(super) left_out: u64,
    pub(super) empty_classes: usize,
}

impl Background<'_> {
    /// The distribution of its scores; none without a score.
    pub(super) fn take(&self, progress: impl FnMut(u64)) -> Result<Option<Taken>, CalibrateError> {
        self.take_holding(HELD, progress)
    }

    fn take_holding(
        &self,
        most: u64,
        mut progress: impl FnMut(u64),
    ) -> Result<Option<Taken>, CalibrateError> {
        let mut contexts = match self.context {
            Some(context) => Some(Contexts::new(context, self.plan.store().open_reference()?)),
            None => None,
        };
        let mut read = 0;
        let mut tell = |rows: u64| {
            read += rows;
            progress(read);
        };
        let means = self.means(contexts.as_mut(), &mut tell)?;
        let mut counts = vec![0_u64; PREFIXES];
        let (mut held, mut scores, mut rows) = (Vec::new(), 0_u64, 0_u64);
        self.each(contexts.as_mut(), &means, &mut tell, |key| {
            rows += 1;
            let Some(key) = key else { return };
            scores += 1;
            counts[(key >> 16) as usize] += 1;
            if scores <= most {
                held.push(key);
            } else if !held.is_empty() {
                held = Vec::new();
            }
        })?;
        if scores == 0 {
            return Ok(None);
        }
        let mut builder = Builder::new(scores);
        if scores <= most {
            held.par_sort_unstable();
            builder.add(&held);
        } else {
            let mut from = 0;
            while from < PREFIXES {
                let to = last_of(&counts, from, most);
                self.add_range(
                    contexts.as_mut(),
                    &means,
                    [from, to],
                    &counts,
                    most,
                    &mut tell,
                    &mut builder,
                )?;
                from = to;
            }
        }
        let empty_classes = means.iter().filter(|mean| mean.is_none()).count();
        Ok(Some(Taken { distribution: builder.finish(means), left_out: rows - scores, empty_classes }))
    }

    /// Adds the scores whose prefix is in a range: sorted if they can be held, else, where one prefix has too many,
    /// counted value by value.
    #[expect(clippy::too_many_arguments, reason = "what one pass over the rows reads and fills")]
    fn add_range(
        &self,
        contexts: Option<&mut Contexts>,
        means: &[Option<f64>],
        [from, to]: [usize; 2],
        counts: &[u64],
        most: u64,
        tell: &mut impl FnMut(u64),
        builder: &mut Builder,
    ) -> Result<(), CalibrateError> {
        let within: u64 = counts[from..to].iter().sum();
        let prefixes = from..to;
        if within > most {
            let mut values = vec![0_u64; PREFIXES];
            self.each(contexts, means, tell, |key| {
                if let Some(key) = key.filter(|key| prefixes.contains(&((key >> 16) as usize))) {
                    values[(key & 0xffff) as usize] += 1;
                }
            })?;
            let prefix = u32::try_from(from).expect("prefixes have 16 bits; this is a bug") << 16;
            for (low, count) in (0_u32..).zip(values).filter(|(_, count)| *count > 0) {
                builder.push(prefix | low, count);
            }
            return Ok(());
        }
        let mut held = Vec::with_capacity(to_usize(within));
        self.each(contexts, means, tell, |key| {
            held.extend(key.filter(|key| prefixes.contains(&((key >> 16) as usize))));
        })?;
        held.par_sort_unstable();
        builder.add(&held);
        Ok(())
    }

    /// The mean score of each class of the context; nothing without a context.
    fn means(
        &self,
        contexts: Option<&mut Contexts>,
        tell: &mut impl FnMut(u64),
    ) -> Result<Vec<Option<f64>>, CalibrateError> {
        let (Some(context), Some(contexts)) = (self.context, contexts) else { return Ok(Vec::new()) };
        let mut sums = vec![(0.0_f64, 0_u64); context.classes()];
        self.each_score(Some(contexts), tell, |score, class| {
            if let (Some(score), Some(class)) = (score, class) {
                sums[class].0 += f64::from(score);
                sums[class].1 += 1;
            }
        })?;
        Ok(sums.into_iter().map(|(sum, count)| (count > 0).then(|| sum / count as f64)).collect())
    }

    /// Gives `take` each score as a distribution orders it; none of a row without a score or a class.
    fn each(
        &self,
        contexts: Option<&mut Contexts>,
        means: &[Option<f64>],
        tell: &mut impl FnMut(u64),
        mut take: impl FnMut(Option<u32>),
    ) -> Result<(), CalibrateError> {
        self.each_score(contexts, tell, |score, class| {
            let score = score.and_then(|score| adjusted(score, class, means));
            take(score.map(|score| ordered(self.direction.oriented(score))));
        })
    }

    fn each_score(
        &self,
        mut contexts: Option<&mut Contexts>,
        tell: &mut impl FnMut(u64),
        mut take: impl FnMut(Option<f32>, Option<usize>),
    ) -> Result<(), CalibrateError> {
        for batch in self.plan.rows() {
            let batch = batch?;
            let scores = batch.column(batch.num_columns() - 1).as_primitive::<Float32Type>();
            let classes = match contexts.as_deref_mut() {
                Some(contexts) => classes(contexts, self.plan, &batch)?,
                None => Vec::new(),
            };
            for row in 0..batch.num_rows() {
                let score = scores.is_valid(row).then(|| scores.value(row));
                take(score, classes.get(row).copied().flatten());
            }
            tell(batch.num_rows() as u64);
        }
        Ok(())
    }
}

/// A score less the mean of its class, where there are classes.
pub(super) fn adjusted(score: f32, class: Option<usize>, means: &[Option<f64>]) -> Option<f32> {
    if means.is_empty() {
        return Some(score);
    }
    let mean = means.get(class?).copied().flatten()?;
    Some(to_score(f64::from(score) - mean)).filter(|score| score.is_finite())
}

/// The class of each row of a batch of one contig.
fn classes(
    contexts: &mut Contexts,
    plan: &QueryPlan,
    batch: &RecordBatch,
) -> Result<Vec<Option<usize>>, CalibrateError> {
    let rows = AnswerRows::of(batch);
    let mut classes = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let class = match plan.store().contig_index(rows.contig(row)) {
            Some(contig) => contexts.class(contig, rows.keys.position(row), rows.keys.alleles(row))?,
            None => None,
        };
        classes.push(class);
    }
    Ok(classes)
}

/// The end of the prefixes from `from` on whose scores can be held together; at least one prefix.
fn last_of(counts: &[u64], from: usize, most: u64) -> usize {
    let mut sum = counts[from];
    let mut to = from + 1;
    while to < counts.len() && sum + counts[to] <= most {
        sum += counts[to];
        to += 1;
    }
    to
}
