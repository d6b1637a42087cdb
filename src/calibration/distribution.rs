//! The distribution of the scores of a background: what makes a score a percentile.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use vestore_schema::{Context, Digest, Scale};

use crate::ordered::{ordered, value};

/// Distinct values up to which all are kept.
const WHOLE: usize = 1 << 20;
/// The most extreme distinct values, which are kept however many there are.
const TAIL: usize = 1 << 16;
/// Bins beyond the tail, of equal shares: a percentile is off by at most half of one.
const BINS: u64 = 1 << 20;
/// The most bins that a distribution has: two neighbours hold more than one share.
const MOST_BINS: usize = 2 * (1 << 20) + TAIL + 2;
/// Level of zstd.
const LEVEL: i32 = 9;

/// How often each score occurs in a background, in bins of one or, far from the tail of a large background, of a few
/// neighbouring values. Scores are oriented: larger ones are more extreme.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Distribution {
    /// The least and greatest value of each bin, as [`ordered`], ascending and disjoint.
    bins: Vec<[u32; 2]>,
    /// Scores up to the end of each bin.
    ends: Vec<u64>,
    /// The mean score of each class of the context; missing where the background has no such variant.
    means: Vec<Option<f64>>,
}

/// A distribution as the catalog keeps it.
#[derive(Serialize, Deserialize)]
pub(crate) struct DistributionRecord {
    /// Scores.
    rows: u64,
    /// Bins.
    bins: u64,
    /// Base64 of zstd: of each bin the distance of its least value to the greatest of the one before, of its greatest to
    /// its least value, and its count, as LEB128.
    values: String,
    /// See [`Distribution::means`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    means: Vec<Option<f64>>,
}

impl Distribution {
    /// Scores of the background.
    pub(crate) fn rows(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Distinct values, where all are kept.
    pub(crate) fn is_whole(&self) -> bool {
        self.bins.iter().all(|[low, high]| low == high)
    }

    /// The mean score of each class of the context.
    pub(crate) fn means(&self) -> &[Option<f64>] {
        &self.means
    }

    /// What a scale says of an oriented score. The percentile counts equal scores as SciPy's `percentileofscore` does
    /// (`kind="rank"`). PHRED counts them as at least as extreme, so that equal scores share the worst rank, as CADD's
    /// do; what is more extreme than the whole background counts like one score of it.
    pub(crate) fn at(&self, scale: Scale, score: f32) -> f64 {
        self.at_key(scale, ordered(score))
    }

    fn at_key(&self, scale: Scale, key: u32) -> f64 {
        let rows = self.rows() as f64;
        let at = self.bins.partition_point(|[_, high]| *high < key);
        let before = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        let (less, up_to) = match self.bins.get(at) {
            Some([low, _]) if key < *low => (before as f64, before as f64),
            Some([low, high]) if low == high => (before as f64, self.ends[at] as f64),
            Some(_) => {
                let middle = (before + self.ends[at]) as f64 / 2.0;
                (middle, middle)
            }
            None => (rows, rows),
        };
        match scale {
            Scale::Percentile => {
                let equal = if less < up_to { 1.0 } else { 0.0 };
                (less + up_to + equal) * 50.0 / rows
            }
            Scale::Phred => -10.0 * ((rows - less).max(1.0) / rows).log10() + 0.0,
        }
    }

    /// The least oriented score that reaches `number` on a scale; none where no score does.
    pub(crate) fn least(&self, scale: Scale, number: f64) -> Option<f32> {
        let [first, last] = [f32::MIN, f32::MAX].map(ordered);
        let (mut low, mut high) = (first, last + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.at_key(scale, middle) < number { low = middle + 1 } else { high = middle }
        }
        (low <= last).then(|| value(low))
    }

    /// As the catalog keeps it.
    pub(crate) fn record(&self) -> DistributionRecord {
        let bytes = zstd::bulk::compress(&self.bytes(), LEVEL).expect("compressing in memory; this is a bug");
        DistributionRecord {
            rows: self.rows(),
            bins: self.bins.len() as u64,
            values: STANDARD.encode(bytes),
            means: self.means.clone(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(6 * self.bins.len());
        let (mut last, mut end) = (0, 0);
        for ([low, high], next) in self.bins.iter().zip(&self.ends) {
            for number in [u64::from(low - last), u64::from(high - low), next - end] {
                write_number(number, &mut bytes);
            }
            (last, end) = (*high, *next);
        }
        bytes
    }

    /// What identifies it.
    pub(crate) fn digest(&self) -> Digest {
        Digest::of_json(&serde_json::json!({ "values": Digest::of(&self.bytes()), "means": self.means }))
    }

    /// Reads what the catalog keeps, which must be what `digest` says.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(record: &DistributionRecord, digest: Digest) -> Result<Self, String> {
        let wrong = || "not a distribution".to_owned();
        let count = usize::try_from(record.bins).ok().filter(|bins| (1..=MOST_BINS).contains(bins));
        let count = count.ok_or_else(|| format!("{} bins are not a number of bins", record.bins))?;
        let bytes = STANDARD.decode(&record.values).map_err(|error| error.to_string())?;
        // Three numbers of at most ten bytes.
        let bytes = zstd::bulk::decompress(&bytes, 30 * count).map_err(|error| error.to_string())?;
        let (mut bins, mut ends) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let (mut rest, mut last, mut end) = (bytes.as_slice(), 0_u32, 0_u64);
        for number in 0..count {
            let mut next = || read_number(&mut rest).ok_or_else(wrong);
            let (gap, width, scores) = (next()?, next()?, next()?);
            let key = |from: u32, by: u64| {
                u32::try_from(by).ok().and_then(|by| from.checked_add(by)).ok_or_else(wrong)
            };
            let low = key(last, gap)?;
            let high = key(low, width)?;
            end = end.checked_add(scores).ok_or_else(wrong)?;
            if scores == 0 || (number > 0 && gap == 0) || !(value(low).is_finite() && value(high).is_finite())
            {
                return Err(wrong());
            }
            bins.push([low, high]);
            ends.push(end);
            last = high;
        }
        let finite = record.means.iter().flatten().all(|mean| mean.is_finite());
        let classes = Context::ALL.map(Context::classes);
        let known = record.means.is_empty() || classes.contains(&record.means.len());
        if !rest.is_empty() || end != record.rows || !finite || !known {
            return Err(wrong());
        }
        let distribution = Self { bins, ends, means: record.means.clone() };
        if distribution.digest() == digest {
            Ok(distribution)
        } else {
            Err("not what its digest says".to_owned())
        }
    }
}

/// Builds a distribution from the values of a background in ascending order.
pub(super) struct Builder {
    rows: u64,
    /// All values with their counts, as long as they are few.
    whole: Option<Vec<(u32, u64)>>,
    /// The greatest values so far.
    tail: std::collections::VecDeque<(u32, u64)>,
    bins: Vec<[u32; 2]>,
    ends: Vec<u64>,
    end: u64,
    share: u64,
}

impl Builder {
    /// Of `rows` scores.
    pub(super) fn new(rows: u64) -> Self {
        Self {
            rows,
            whole: Some(Vec::new()),
            tail: std::collections::VecDeque::with_capacity(TAIL + 1),
            bins: Vec::new(),
            ends: Vec::new(),
            end: 0,
            share: (rows / BINS).max(1),
        }
    }

    /// Adds scores, sorted, none less than one before.
    pub(super) fn add(&mut self, sorted: &[u32]) {
        for equal in sorted.chunk_by(|a, b| a == b) {
            self.push(equal[0], equal.len() as u64);
        }
    }

    /// Adds a value that occurs `count` times.
    pub(super) fn push(&mut self, key: u32, count: u64) {
        if let Some(whole) = &mut self.whole {
            match whole.last_mut() {
                Some((last, counted)) if *last == key => *counted += count,
                _ => whole.push((key, count)),
            }
            if whole.len() > WHOLE {
                self.whole = None;
            }
        }
        match self.tail.back_mut() {
            Some((last, counted)) if *last == key => *counted += count,
            _ => self.tail.push_back((key, count)),
        }
        if self.tail.len() > TAIL {
            let (key, count) = self.tail.pop_front().expect("it was just seen to be full; this is a bug");
            self.bin(key, count, true);
        }
    }

    /// Adds a value to the last bin, where that stays within one share, or begins the next.
    fn bin(&mut self, key: u32, count: u64, may_join: bool) {
        let before = self.ends.len().checked_sub(2).map_or(0, |before| self.ends[before]);
        self.end += count;
        match (self.bins.last_mut(), self.ends.last_mut()) {
            (Some(bin), Some(end)) if may_join && self.end - before <= self.share => {
                bin[1] = key;
                *end = self.end;
            }
            _ => {
                self.bins.push([key, key]);
                self.ends.push(self.end);
            }
        }
    }

    /// The distribution, with the means that were subtracted.
    pub(super) fn finish(mut self, means: Vec<Option<f64>>) -> Distribution {
        let singles = match self.whole.take() {
            Some(whole) => {
                (self.bins, self.ends, self.end) = (Vec::new(), Vec::new(), 0);
                whole
            }
            None => self.tail.drain(..).collect(),
        };
        for (key, count) in singles {
            self.bin(key, count, false);
        }
        assert_eq!(self.end, self.rows, "as many scores as were counted; this is a bug");
        Distribution { bins: self.bins, ends: self.ends, means }
    }
}

fn write_number(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push((number & 0x7f) as u8);
}

fn read_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        let part = u64::from(byte & 0x7f);
        if part << shift >> shift != part {
            return None;
        }
        number |= part << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}
