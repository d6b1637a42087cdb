//! One value per position, for formats that know no alleles.

use std::collections::HashMap;
use std::io::Write;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use vestore_schema::{Assembly, Position, Track};

use super::ExportError;
use super::cell::{visible, write_score};
use crate::narrow::to_score;
use crate::query::{AnswerRows, Numbers};
use crate::store::StoreError;

/// How the alleles of one position become one value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PositionValue {
    /// The value of largest absolute size; of two such, the first.
    #[default]
    Extreme,
    /// The mean.
    Mean,
}

impl PositionValue {
    /// Both rules.
    pub const ALL: [Self; 2] = [Self::Extreme, Self::Mean];

    /// The name on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Extreme => "extreme",
            Self::Mean => "mean",
        }
    }
}

/// The value of one position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) contig: u32,
    pub(super) position: Position,
    pub(super) value: f32,
}

/// Gives `take` the value of each position of `rows` that has a score, in order. The score is the last column, or the
/// effect on the one target in it.
pub(super) fn each(
    assembly: &Assembly,
    value: PositionValue,
    rows: impl Iterator<Item = Result<RecordBatch, StoreError>>,
    mut take: impl FnMut(Place) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    let mut open: Option<(u32, Position, Gathered)> = None;
    let mut give = |open: Option<(u32, Position, Gathered)>| match open {
        Some((contig, position, gathered)) => take(Place { contig, position, value: gathered.value(value) }),
        None => Ok(()),
    };
    let index: HashMap<&str, u32> =
        assembly.contigs.iter().map(|contig| contig.name.as_str()).zip(0..).collect();
    for batch in rows {
        let batch = batch?;
        let rows = AnswerRows::of(&batch);
        let last = batch.column(batch.num_columns() - 1);
        // Percentiles, which these formats have less digits for.
        let single = matches!(last.data_type(), DataType::Float64).then(|| cast(last, &DataType::Float32));
        let single = single.transpose().map_err(StoreError::from)?;
        let scores = Numbers::of(single.as_ref().unwrap_or(last));
        for row in 0..batch.num_rows() {
            let Some(score) = scores.get(row, 0) else { continue };
            let Some(contig) = index.get(rows.contig(row)).copied() else { continue };
            let position = rows.keys.position(row);
            match &mut open {
                Some((of, at, gathered)) if (*of, *at) == (contig, position) => gathered.add(score),
                other => give(other.replace((contig, position, Gathered::new(score))))?,
            }
        }
    }
    give(open)
}

struct Gathered {
    extreme: f32,
    sum: f64,
    count: u32,
}

impl Gathered {
    fn new(score: f32) -> Self {
        Self { extreme: score, sum: f64::from(score), count: 1 }
    }

    fn add(&mut self, score: f32) {
        if score.abs() > self.extreme.abs() {
            self.extreme = score;
        }
        self.sum += f64::from(score);
        self.count += 1;
    }

    fn value(&self, value: PositionValue) -> f32 {
        match value {
            PositionValue::Extreme => self.extreme,
            PositionValue::Mean => to_score(self.sum / f64::from(self.count)),
        }
    }
}

/// Writes bedGraph: 0-based half-open lines, after comment lines that name track and model.
pub(super) fn write_bedgraph(
    assembly: &Assembly,
    track: &Track,
    of: &str,
    value: PositionValue,
    rows: impl Iterator<Item = Result<RecordBatch, StoreError>>,
    out: &mut impl Write,
) -> Result<(), ExportError> {
    let what = match value {
        PositionValue::Extreme => "value of largest absolute size",
        PositionValue::Mean => "mean",
    };
    writeln!(out, "# {what} of {} per position", visible(of))?;
    writeln!(out, "# {}", serde_json::json!(track))?;
    let mut line = Vec::new();
    each(assembly, value, rows, |place| {
        line.clear();
        let name = visible(&assembly.contig(place.contig).name);
        let start = place.position.zero_based();
        write!(line, "{name}\t{start}\t{}\t", start + 1)?;
        write_score(place.value, &mut line);
        line.push(b'\n');
        Ok(out.write_all(&line)?)
    })
}
