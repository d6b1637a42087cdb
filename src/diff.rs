//! Compares one score of two tracks, or one kind of their effects on targets.

mod effects;
mod ranks;
mod scatter;

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use arrow::array::RecordBatch;
use serde::Serialize;
use vestore_schema::Region;

pub use self::effects::EffectDiffs;
use self::ranks::{Ranked, check_pairs};
pub use self::scatter::scatter;
use crate::narrow::{to_score, to_usize};
use crate::ordered::{ordered, value};
use crate::query::{Numbers, QueryPlan, Request};
use crate::store::{RowKeys, Store, StoreError, find};

/// Variants listed as biggest movers.
const MOVERS: usize = 10;
/// Cells of a scatter plot along each side.
const CELLS: usize = 160;

/// How one score of two tracks compares. Differences are second minus first.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Diff {
    /// Names of the tracks.
    pub tracks: [String; 2],
    /// The score column, or the kind of effect.
    pub column: String,
    /// The target of effects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Variants with a row in both tracks.
    pub in_both: u64,
    /// Variants with a row in the first or second track alone.
    pub only: [u64; 2],
    /// Variants with the score in both tracks; what follows is about them.
    pub compared: u64,
    /// Pearson's correlation; missing when a side does not vary.
    pub pearson: Option<f64>,
    /// Spearman's correlation, exact; ties share their mean rank.
    pub spearman: Option<f64>,
    /// Mean difference.
    pub mean_difference: f64,
    /// Mean absolute difference.
    pub mean_absolute_difference: f64,
    /// Largest absolute difference.
    pub largest_difference: f32,
    /// 99.9th percentile of the absolute differences, interpolated between two of them.
    pub percentile_99_9_difference: f64,
    /// Standard deviation of the scores of each track.
    pub standard_deviations: [f64; 2],
    /// Variants whose score is above 0 in one track and below 0 in the other.
    pub sign_changes: u64,
    /// Of the 1 % of variants with the largest absolute scores in one track, the share that is among those of
    /// the other; values tied with the last of them count too.
    pub top_1_percent_overlap: Option<f64>,
    /// The same of 5 %.
    pub top_5_percent_overlap: Option<f64>,
    /// The variants whose scores differ most, largest difference first.
    pub movers: Vec<Mover>,
    /// How often scores fall into the cells of a scatter plot.
    #[serde(skip)]
    pub cells: Cells,
}

/// A variant whose scores differ much.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mover {
    /// Name of the contig.
    pub contig: String,
    /// As VCF counts.
    #[serde(rename = "position")]
    pub one_based: u64,
    /// Reference allele.
    pub reference: String,
    /// Alternate allele.
    pub alternate: String,
    /// The score in each track.
    pub scores: [f32; 2],
}

/// Counts by first and second score, over the range of each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cells {
    /// Least and greatest score of each track.
    pub ranges: [(f32, f32); 2],
    /// Cells along each side.
    pub side: usize,
    /// Row by row of the second score, from its least.
    pub counts: Vec<u64>,
}

/// Compares `column` of two tracks in `regions`, or everywhere without any. Takes 8 bytes of memory for each
/// variant compared.
///
/// # Errors
/// When a track is unknown or lacks the column, or the store cannot be read.
pub fn diff(store: &Store, tracks: [&str; 2], column: &str, regions: &[Region]) -> Result<Diff, StoreError> {
    let request = Request {
        tracks: tracks.map(str::to_owned).to_vec(),
        regions: regions.to_vec(),
        ..Request::default()
    };
    let plan = QueryPlan::new(store, &request)?;
    for track in plan.tracks.iter() {
        find("score column", column, &track.columns, |known| known)?;
    }
    let plan = plan.with_columns(&[column])?;
    let of = Diff { tracks: tracks.map(str::to_owned), column: column.to_owned(), ..Diff::default() };
    let mut joined = join(&plan, 1)?;
    let pairs = joined.pairs.remove(0);
    Ok(pairs.finish(joined.count(of)))
}

/// Most pairs that [`join`] can find for a column, as the catalog says.
fn most_pairs(plan: &QueryPlan) -> u64 {
    let rows = |track: usize| -> u64 {
        let segments = plan.parts.iter().flat_map(|part| &part.segments);
        segments.filter(|(of, _)| *of == track).map(|(_, segment)| segment.rows).sum()
    };
    rows(0).min(rows(plan.tracks.len() - 1))
}

/// Joins the rows of two tracks, whose last column holds a score or the effects on so many targets.
fn join(plan: &QueryPlan, numbers: usize) -> Result<Joined, StoreError> {
    let second = plan.tracks.len() - 1; // a track may be compared with itself
    let mut joined = Joined::new(numbers, most_pairs(plan));
    for part in &plan.parts {
        let contig = &plan.store().assembly().contig(part.contig).name;
        let plans = [plan.of(0, part), plan.of(second, part)];
        // Each track is read by a thread of its own.
        thread::scope(|scope| {
            let [first, second] = plans.each_ref().map(|plan| {
                let (sender, batches) = sync_channel(4);
                scope.spawn(move || plan.rows().try_for_each(|batch| sender.send(batch).map_err(drop)));
                Side { batches, batch: None, row: 0 }
            });
            joined.join(contig, first, second)
        })?;
    }
    Ok(joined)
}

/// The rows of one track on one contig.
struct Side {
    batches: Receiver<Result<RecordBatch, StoreError>>,
    batch: Option<RecordBatch>,
    row: usize,
}

impl Side {
    /// Makes sure that there is a row in hand; `false` at the end.
    fn fill(&mut self) -> Result<bool, StoreError> {
        while self.batch.as_ref().is_none_or(|batch| self.row == batch.num_rows()) {
            let Ok(batch) = self.batches.recv() else { return Ok(false) };
            (self.batch, self.row) = (Some(batch?), 0);
        }
        Ok(true)
    }

    /// How many rows are left in hand and to come.
    fn count(mut self) -> Result<u64, StoreError> {
        let mut count = 0;
        while self.fill()? {
            count += self.batch.as_ref().map_or(0, |batch| batch.num_rows() - self.row) as u64;
            self.batch = None;
        }
        Ok(count)
    }
}

/// What is known of the variants joined so far.
struct Joined {
    in_both: u64,
    only: [u64; 2],
    /// By number of a row.
    pairs: Vec<Pairs>,
}

/// The scores of the variants that have one in both tracks.
struct Pairs {
    /// As numbers that order as they do.
    scores: Vec<[u32; 2]>,
    means: [f64; 2],
    squares: [f64; 2],
    products: f64,
    differences: f64,
    absolute: f64,
    sign_changes: u64,
    ranges: [(f32, f32); 2],
    movers: BinaryHeap<Ranking>,
}

impl Joined {
    /// Of so many numbers a row, with at most `most` pairs each.
    fn new(numbers: usize, most: u64) -> Self {
        let pairs = (0..numbers).map(|_| Pairs::new(most)).collect();
        Self { in_both: 0, only: [0; 2], pairs }
    }

    /// `of` with the numbers of rows.
    fn count(&self, of: Diff) -> Diff {
        Diff { in_both: self.in_both, only: self.only, ..of }
    }

    fn join(&mut self, contig: &str, mut a: Side, mut b: Side) -> Result<(), StoreError> {
        while a.fill()? && b.fill()? {
            let (Some(first), Some(second)) = (&a.batch, &b.batch) else { break };
            let (left, right) = (RowKeys::of(first), RowKeys::of(second));
            let [left_scores, right_scores] =
                [first, second].map(|batch| Numbers::of(batch.column(batch.num_columns() - 1)));
            let (mut i, mut j) = (a.row, b.row);
            while i < first.num_rows() && j < second.num_rows() {
                let order = left
                    .position(i)
                    .cmp(&right.position(j))
                    .then_with(|| left.alleles(i).cmp(&right.alleles(j)));
                match order {
                    Ordering::Less => {
                        self.only[0] += 1;
                        i += 1;
                    }
                    Ordering::Greater => {
                        self.only[1] += 1;
                        j += 1;
                    }
                    Ordering::Equal => {
                        self.in_both += 1;
                        for (number, pairs) in self.pairs.iter_mut().enumerate() {
                            let scores = left_scores.get(i, number).zip(right_scores.get(j, number));
                            if let Some((first, second)) = scores {
                                check_pairs(pairs.scores.len() + 1)?;
                                pairs.add(contig, &left, i, [first, second]);
                            }
                        }
                        i += 1;
                        j += 1;
                    }
                }
            }
            (a.row, b.row) = (i, j);
        }
        self.only[0] += a.count()?;
        self.only[1] += b.count()?;
        Ok(())
    }
}

impl Pairs {
    /// At most `most`.
    fn new(most: u64) -> Self {
        let mut scores = Vec::new();
        // At once: a vector that grows is there twice for a while, and pages that are not touched cost nothing. Where
        // the system refuses, it grows.
        let _ = scores.try_reserve_exact(to_usize(most));
        Self {
            scores,
            means: [0.0; 2],
            squares: [0.0; 2],
            products: 0.0,
            differences: 0.0,
            absolute: 0.0,
            sign_changes: 0,
            ranges: [(f32::INFINITY, f32::NEG_INFINITY); 2],
            movers: BinaryHeap::with_capacity(MOVERS + 1),
        }
    }

    fn add(&mut self, contig: &str, keys: &RowKeys<'_>, row: usize, scores: [f32; 2]) {
        self.scores.push(scores.map(ordered));
        let count = self.scores.len() as f64;
        let [x, y] = scores.map(f64::from);
        // Welford's way: sums of squares of large numbers would lose their digits.
        let (from_x, from_y) = (x - self.means[0], y - self.means[1]);
        self.means[0] += from_x / count;
        self.means[1] += from_y / count;
        self.squares[0] += from_x * (x - self.means[0]);
        self.squares[1] += from_y * (y - self.means[1]);
        self.products += from_x * (y - self.means[1]);
        self.differences += y - x;
        self.absolute += (y - x).abs();
        self.sign_changes += u64::from(x.min(y) < 0.0 && x.max(y) > 0.0);
        for (range, score) in self.ranges.iter_mut().zip(scores) {
            *range = (range.0.min(score), range.1.max(score));
        }
        let size = (y - x).abs();
        if self.movers.len() < MOVERS || self.movers.peek().is_some_and(|least| size > least.size) {
            let (reference, alternate) = keys.alleles(row);
            let mover = Mover {
                contig: contig.to_owned(),
                one_based: keys.position(row).one_based(),
                reference: reference.to_owned(),
                alternate: alternate.to_owned(),
                scores,
            };
            self.movers.push(Ranking { size, mover });
            if self.movers.len() > MOVERS {
                self.movers.pop();
            }
        }
    }

    /// `of` with what is known of the pairs.
    fn finish(mut self, of: Diff) -> Diff {
        let count = self.scores.len();
        let mean = |sum: f64| if count == 0 { 0.0 } else { sum / count as f64 };
        let spread = (self.squares[0] * self.squares[1]).sqrt();
        let mut movers = self.movers.into_vec();
        movers.sort_by(|a, b| b.size.total_cmp(&a.size));
        let cells = Cells::of(&self.scores, self.ranges);
        let percentile_99_9_difference = percentile(&mut self.scores, 999);
        let ranked = Ranked::of(self.scores);
        Diff {
            compared: count as u64,
            pearson: (spread > 0.0).then(|| self.products / spread),
            spearman: ranked.correlation,
            mean_difference: mean(self.differences),
            mean_absolute_difference: mean(self.absolute),
            largest_difference: movers.first().map_or(0.0, |first| to_score(first.size)),
            percentile_99_9_difference,
            standard_deviations: self.squares.map(|sum| mean(sum).sqrt()),
            sign_changes: self.sign_changes,
            top_1_percent_overlap: ranked.overlaps[0],
            top_5_percent_overlap: ranked.overlaps[1],
            movers: movers.into_iter().map(|ranking| ranking.mover).collect(),
            cells,
            ..of
        }
    }
}

/// The absolute difference below which `thousandths` of all lie, interpolated linearly; 0 without any. Reorders the
/// pairs instead of copying their differences.
fn percentile(pairs: &mut [[u32; 2]], thousandths: usize) -> f64 {
    let difference = |pair: &[u32; 2]| (f64::from(value(pair[1])) - f64::from(value(pair[0]))).abs();
    let Some(last) = pairs.len().checked_sub(1) else { return 0.0 };
    let (place, rest) = (last * thousandths / 1000, last * thousandths % 1000);
    let (_, here, above) =
        pairs.select_nth_unstable_by(place, |a, b| difference(a).total_cmp(&difference(b)));
    let here = difference(here);
    let next = above.iter().map(difference).min_by(f64::total_cmp).unwrap_or(here);
    here + (next - here) * (rest as f64 / 1000.0)
}

/// A mover by the size of its difference, the least greatest, so that a heap gives up the least.
struct Ranking {
    size: f64,
    mover: Mover,
}

impl Ord for Ranking {
    fn cmp(&self, other: &Self) -> Ordering {
        other.size.total_cmp(&self.size)
    }
}

impl PartialOrd for Ranking {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranking {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranking {}

impl Cells {
    fn of(pairs: &[[u32; 2]], ranges: [(f32, f32); 2]) -> Self {
        let mut counts = vec![0; CELLS * CELLS];
        let cell = |score: u32, (low, high): (f32, f32)| {
            let (low, high) = (f64::from(low), f64::from(high));
            let share = (f64::from(value(score)) - low) / (high - low).max(f64::MIN_POSITIVE);
            whole(share * CELLS as f64).min(CELLS - 1)
        };
        for [x, y] in pairs {
            counts[cell(*y, ranges[1]) * CELLS + cell(*x, ranges[0])] += 1;
        }
        Self { ranges, side: CELLS, counts }
    }
}

/// How many whole ones are in `number`, which is not negative.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what does not fit is the nearest size"
)]
fn whole(number: f64) -> usize {
    number as usize
}
