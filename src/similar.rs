//! Variants whose embeddings are nearest to that of one: an exact scan of a track's embeddings.

mod labels;
mod nearest;

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, FixedSizeListArray, Float32Array, Int32Array, RecordBatch,
    StringArray,
};
use arrow::datatypes::{DataType, Float32Type, Int32Type, SchemaRef};
use rayon::prelude::*;
use thiserror::Error;
use vestore_schema::{EMBEDDING_COLUMNS, KEY_COLUMNS, Segment, Status, Table, Variant};

use self::labels::labels;
use self::nearest::{Nearest, Neighbour};
use crate::import::ImportError;
use crate::narrow::to_score;
use crate::query::{QueryPlan, Request, SegmentReader, similar_schema};
use crate::reference::ReferenceError;
use crate::store::{RowKeys, Store, StoreError};
use crate::variants::RefMismatchError;

/// Most neighbours: they are in memory at once.
pub const MAX_NEIGHBOURS: usize = 100_000;

/// Which embedding of a variant is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compared {
    /// Alternate − reference.
    #[default]
    Delta,
    /// The reference window's.
    Reference,
}

impl Compared {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Delta, Self::Reference];

    /// The name on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delta => "delta",
            Self::Reference => "reference",
        }
    }

    fn column(self) -> &'static str {
        match self {
            Self::Reference => EMBEDDING_COLUMNS[0],
            Self::Delta => EMBEDDING_COLUMNS[1],
        }
    }
}

/// What nearness is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nearness {
    /// The cosine of the angle, −1 to 1; the largest is the nearest. Undefined for an embedding of length 0.
    #[default]
    Cosine,
    /// The Euclidean distance; the smallest is the nearest.
    Euclidean,
}

impl Nearness {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Cosine, Self::Euclidean];

    /// The name on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::Euclidean => "euclidean",
        }
    }

    /// The column of the answer.
    #[must_use]
    pub fn column(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::Euclidean => "distance",
        }
    }
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct SimilarOptions {
    /// The track; without one that which has embeddings, if it is the only one.
    pub track: Option<String>,
    /// Which embeddings are compared.
    pub by: Compared,
    /// By what.
    pub metric: Nearness,
    /// Neighbours, 1 to [`MAX_NEIGHBOURS`].
    pub top: usize,
    /// A file of labelled variants (VCF, TSV, CSV) and its INFO field or column.
    pub labels: Option<(PathBuf, String)>,
}

/// Why there are no neighbours.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SimilarError {
    /// The number of neighbours makes no sense.
    #[error("invalid number of neighbours: {top}; expected 1 to {MAX_NEIGHBOURS}")]
    Top {
        /// As asked.
        top: usize,
    },
    /// Several tracks, or none, have embeddings.
    #[error("{}", of_tracks(tracks))]
    Tracks {
        /// Those with embeddings.
        tracks: Vec<String>,
    },
    /// The track has no embeddings.
    #[error("track {track} has no embeddings; score its variants with --embeddings, or choose another track")]
    NoEmbeddings {
        /// Its name.
        track: String,
    },
    /// The variant has none.
    #[error("{variant} has no embedding in track {track}{}", status_text(*status))]
    NoRow {
        /// As people write it.
        variant: String,
        /// The track.
        track: String,
        /// Why, where it has a row.
        status: Option<Status>,
    },
    /// Its embedding has no direction or is not of numbers.
    #[error(
        "{metric} is undefined for the {by} embedding of {variant}: its length is {length}; expected a number above 0 (of \
         length 0, try --metric euclidean)"
    )]
    Undefined {
        /// As people write it.
        variant: String,
        /// Which embedding.
        by: &'static str,
        /// By what.
        metric: &'static str,
        /// Euclidean length.
        length: f64,
    },
    /// Labels cannot be read.
    #[error(transparent)]
    Labels(#[from] ImportError),
    /// Labels are of another assembly.
    #[error(transparent)]
    RefMismatch(#[from] RefMismatchError),
    /// The reference, which labels are normalized against, cannot be read.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SimilarError {
    /// Whether the question makes no sense.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Top { .. } | Self::Tracks { .. })
    }
}

fn of_tracks(tracks: &[String]) -> String {
    match tracks {
        [] => "no track has embeddings; score variants with --embeddings".to_owned(),
        tracks => format!("several tracks have embeddings: {}; choose one with --track", tracks.join(", ")),
    }
}

fn status_text(status: Option<Status>) -> String {
    status.map_or_else(
        || "; score it with --embeddings".to_owned(),
        |status| format!(": its status is {status}"),
    )
}

/// The nearest variants.
#[derive(Clone, Debug)]
pub struct Similar {
    /// A row per neighbour, the nearest first, those at one distance in the order of the reference: the columns of an
    /// answer to a query, `cosine` or `distance`, and `label` if labels were given.
    pub rows: RecordBatch,
    /// The track.
    pub track: String,
    /// Embeddings that were compared, without that of the variant.
    pub compared: u64,
    /// Rows without an embedding, or whose nearness is undefined.
    pub left_out: u64,
    /// What is worth knowing of the labels.
    pub warnings: Vec<String>,
}

/// The variants whose embeddings are nearest to that of `variant`, which is not among them.
///
/// Products of float32 are exact in float64 and are added in it, in one order whatever the number of threads.
///
/// # Errors
/// When the track or the variant has no embeddings, or a file cannot be read.
pub fn similar(store: &Store, variant: &Variant, options: &SimilarOptions) -> Result<Similar, SimilarError> {
    if !(1..=MAX_NEIGHBOURS).contains(&options.top) {
        return Err(SimilarError::Top { top: options.top });
    }
    let plan = plan(store, options.track.as_deref())?;
    let track = plan.tracks[0].clone();
    let target = Target::find(&plan, variant, options)?;
    let mut nearest = Nearest::new(options.top);
    let (mut compared, mut left_out) = (0_u64, 0_u64);
    let everywhere = 0..u32::MAX;
    for part in &plan.parts {
        for (_, segment) in &part.segments {
            let Scan { reader, columns, list } = scan(store, segment, options.by.column())?;
            for batch in reader.read(std::slice::from_ref(&everywhere), Some(&columns))? {
                let batch = batch?;
                let found = target.nearness(batch.column(list).as_fixed_size_list());
                let keys = RowKeys::of(&batch);
                for (row, distance) in found.into_iter().enumerate() {
                    let Some(distance) = distance else {
                        left_out += 1;
                        continue;
                    };
                    compared += 1;
                    if !nearest.may_take(distance) {
                        continue;
                    }
                    let variant = keys.variant(part.contig, row);
                    if variant != target.variant {
                        nearest.take(Neighbour { distance, variant });
                    }
                }
            }
        }
    }
    let found = nearest.sorted();
    let (labels, warnings) = match &options.labels {
        None => (None, Vec::new()),
        Some((path, column)) => {
            let (labels, warnings) = labels(store, path, column, &found)?;
            (Some(labels), warnings)
        }
    };
    let schema = similar_schema(&plan.tracks, options.metric.column(), labels.is_some());
    let rows = rows(store, &schema, &track.name, &track.model, &found, options.metric, labels)?;
    // One of them is the variant itself.
    Ok(Similar { rows, track: track.name, compared: compared.saturating_sub(1), left_out, warnings })
}

/// All embeddings of a track.
fn plan(store: &Store, track: Option<&str>) -> Result<QueryPlan, SimilarError> {
    let tracks = match track {
        Some(track) => vec![track.to_owned()],
        None => with_embeddings(store)?,
    };
    if tracks.len() != 1 {
        return Err(SimilarError::Tracks { tracks });
    }
    let plan = QueryPlan::new(store, &Request { tracks, table: Table::Embeddings, ..Request::default() })?;
    if plan.parts.is_empty() {
        return Err(SimilarError::NoEmbeddings { track: plan.tracks[0].name.clone() });
    }
    Ok(plan)
}

/// The tracks that have embeddings.
fn with_embeddings(store: &Store) -> Result<Vec<String>, StoreError> {
    let mut tracks: Vec<String> = store
        .all_segments()?
        .into_iter()
        .filter(|segment| segment.table == Table::Embeddings)
        .map(|segment| segment.track)
        .collect();
    tracks.sort_unstable();
    tracks.dedup();
    Ok(tracks)
}

/// A segment and what is read of it.
struct Scan {
    reader: SegmentReader,
    /// The key, and the list.
    columns: Vec<usize>,
    /// Which of `columns` is the list.
    list: usize,
}

fn scan(store: &Store, segment: &Segment, column: &str) -> Result<Scan, StoreError> {
    let reader = SegmentReader::open(store, segment)?;
    let missing = |name: &str| crate::query::damaged(segment, &format!("it has no column `{name}`"));
    let place = |name: &str| reader.column(name).ok_or_else(|| missing(name));
    let mut columns = KEY_COLUMNS.iter().copied().map(place).collect::<Result<Vec<_>, _>>()?;
    let list = place(column)?;
    if !matches!(reader.schema().field(list).data_type(), DataType::FixedSizeList(..)) {
        return Err(crate::query::damaged(segment, &format!("its column `{column}` is not of lists")));
    }
    columns.push(list);
    columns.sort_unstable();
    let list = columns.iter().position(|at| *at == list).unwrap_or_default();
    Ok(Scan { reader, columns, list })
}

/// What is compared with.
struct Target {
    variant: Variant,
    metric: Nearness,
    embedding: Vec<f32>,
    length: f64,
}

impl Target {
    fn find(plan: &QueryPlan, variant: &Variant, options: &SimilarOptions) -> Result<Self, SimilarError> {
        let (store, track) = (plan.store(), &plan.tracks[0].name);
        let request = Request {
            variants: [variant.clone()].into(),
            tracks: vec![track.clone()],
            table: Table::Embeddings,
            ..Request::default()
        };
        let name = || variant.display(store.assembly()).to_string();
        let mut status = None;
        for batch in QueryPlan::new(store, &request)?.rows() {
            let batch = batch?;
            let rows = crate::query::AnswerRows::of(&batch);
            let Some(list) = batch.column_by_name(options.by.column()) else { continue };
            let list = list.as_fixed_size_list();
            for row in (0..batch.num_rows()).filter(|row| rows.variant(store, *row).as_ref() == Some(variant))
            {
                status = Status::parse(rows.status(row));
                if list.is_null(row) {
                    continue;
                }
                let embedding = list.value(row).as_primitive::<Float32Type>().values().to_vec();
                let length = dot(&embedding, &embedding).sqrt();
                let by = options.by.as_str();
                let has_direction = length > 0.0 || options.metric == Nearness::Euclidean;
                if !length.is_finite() || !has_direction {
                    let metric = options.metric.as_str();
                    return Err(SimilarError::Undefined { variant: name(), by, metric, length });
                }
                return Ok(Self { variant: variant.clone(), metric: options.metric, embedding, length });
            }
        }
        Err(SimilarError::NoRow { variant: name(), track: track.clone(), status })
    }

    /// How far each list is, less being nearer: the distance, or the negative cosine. Nothing where that is undefined.
    fn nearness(&self, lists: &FixedSizeListArray) -> Vec<Option<f64>> {
        let width = self.embedding.len();
        if usize::try_from(lists.value_length()) != Ok(width) {
            return vec![None; lists.len()];
        }
        let values = lists.values().as_primitive::<Float32Type>();
        // From the list's first number on, also of a slice.
        let numbers = &values.values()[lists.value_offset_at(0)..];
        (0..lists.len())
            .into_par_iter()
            .map(|row| {
                if lists.is_null(row) {
                    return None;
                }
                let list = &numbers[row * width..(row + 1) * width];
                let distance = match self.metric {
                    Nearness::Euclidean => squared_distance(list, &self.embedding).sqrt(),
                    Nearness::Cosine => {
                        let (product, length) = (dot(list, &self.embedding), dot(list, list).sqrt());
                        if length == 0.0 {
                            return None;
                        }
                        -(product / (length * self.length)).clamp(-1.0, 1.0)
                    }
                };
                distance.is_finite().then_some(distance)
            })
            .collect()
    }
}

/// Sums that are kept apart, so that several are made at once; added in one order at the end.
const LANES: usize = 8;

/// The dot product of float32 numbers in float64, where their products are exact.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    sum(a, b, |a, b| a * b)
}

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    sum(a, b, |a, b| (a - b) * (a - b))
}

#[inline]
fn sum(a: &[f32], b: &[f32], of: impl Fn(f64, f64) -> f64) -> f64 {
    let mut lanes = [0.0_f64; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            lanes[lane] += of(f64::from(a[lane]), f64::from(b[lane]));
        }
    }
    for ((lane, a), b) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
        *lane += of(f64::from(*a), f64::from(*b));
    }
    lanes.iter().sum()
}

fn rows(
    store: &Store,
    schema: &SchemaRef,
    track: &str,
    model: &str,
    found: &[Neighbour],
    metric: Nearness,
    labels: Option<Vec<Option<String>>>,
) -> Result<RecordBatch, StoreError> {
    let assembly = store.assembly();
    let texts = |of: &dyn Fn(&Neighbour) -> String| -> ArrayRef {
        Arc::new(found.iter().map(|neighbour| Some(of(neighbour))).collect::<StringArray>())
    };
    let repeated = |text: &str| -> ArrayRef {
        Arc::new(found.iter().map(|_| text).collect::<DictionaryArray<Int32Type>>())
    };
    let contigs = found.iter().map(|neighbour| assembly.contig(neighbour.variant.contig).name.as_str());
    let contigs: DictionaryArray<Int32Type> = contigs.collect();
    let positions: Int32Array =
        found.iter().map(|neighbour| Some(neighbour.variant.position.to_column())).collect();
    let score = |neighbour: &Neighbour| match metric {
        // `0.0 -` has no negative zero.
        Nearness::Cosine => to_score(0.0 - neighbour.distance),
        Nearness::Euclidean => to_score(neighbour.distance),
    };
    let scores: Float32Array = found.iter().map(|neighbour| Some(score(neighbour))).collect();
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(contigs),
        Arc::new(positions),
        texts(&|neighbour| neighbour.variant.reference.to_string()),
        texts(&|neighbour| neighbour.variant.alternate.to_string()),
        repeated(model),
        repeated(track),
        texts(&|_| Status::Scored.as_str().to_owned()),
        Arc::new(scores),
    ];
    columns.extend(labels.map(|labels| Arc::new(labels.into_iter().collect::<StringArray>()) as ArrayRef));
    Ok(RecordBatch::try_new(SchemaRef::clone(schema), columns)?)
}

#[cfg(test)]
mod tests;
