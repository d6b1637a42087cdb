//! What a query needs, settled from the catalog alone.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::datatypes::SchemaRef;
use vestore_schema::{Calibration, Model, Region, Segment, Table, Targets, Track, Variant};

use super::effects::ChosenTargets;
use super::filter::{BoundFilter, Filter, FilterError};
use super::merge::Rows;
use super::{
    ANSWER_COLUMNS, ablation_answer_schema, answer_schema, effects_answer_schema, embeddings_answer_schema,
    gene_effects_answer_schema, with_answer_columns,
};
use crate::narrow::to_u32;
use crate::store::{RowKeys, Snapshot, Store, StoreError};

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Rows in these regions; with no region and no variant, all rows.
    pub regions: Vec<Region>,
    /// And these variants, normalized.
    pub variants: Arc<[Variant]>,
    /// Of the tracks of these models. With no model and no track, of all tracks.
    pub models: Vec<String>,
    /// And of these tracks.
    pub tracks: Vec<String>,
    /// The table; for embeddings the models of all tracks must be of one width.
    pub table: Table,
}

/// The segments that can hold the answer, and where in them to look.
#[derive(Clone, Debug)]
pub struct QueryPlan {
    /// The tracks, in the order in which their rows stand for one variant.
    pub tracks: Arc<[Track]>,
    /// What to read, by contig in the reference's order.
    pub parts: Vec<Part>,
    store: Store,
    pub(super) schema: SchemaRef,
    /// Sorted, each once.
    variants: Arc<[Variant]>,
    /// Sorted, disjoint.
    regions: Arc<[Region]>,
    pub(super) filter: Option<BoundFilter>,
    /// Whether the schema lacks columns that segments have.
    pub(super) projected: bool,
    /// The targets that lists of effects hold; all without.
    pub(super) targets: Option<ChosenTargets>,
    remark: Option<String>,
}

/// What to read of one contig.
#[derive(Clone, Debug)]
pub struct Part {
    /// Index of the contig.
    pub contig: u32,
    /// 0-based half-open, sorted, disjoint.
    pub ranges: Vec<Range<u32>>,
    /// Index of the track and segment, by first position.
    pub segments: Vec<(usize, Segment)>,
}

impl QueryPlan {
    /// Settles what to read for `request`.
    ///
    /// # Errors
    /// When a model or track is unknown, or the catalog cannot be read.
    pub fn new(store: &Store, request: &Request) -> Result<Self, StoreError> {
        let assembly = store.assembly();
        let everything = request.regions.is_empty() && request.variants.is_empty();
        let regions = if everything {
            (0..to_u32(assembly.contigs.len())).map(|contig| assembly.whole(contig)).collect()
        } else {
            let places =
                request.variants.iter().map(|variant| Region::at(variant.contig, variant.position, 1));
            Region::union(request.regions.iter().copied().chain(places).collect())
        };
        let plan = store.plan(
            |snapshot, segments_of| {
                let mut tracks = select_tracks(snapshot, request)?;
                if request.table != Table::Scores && request.tracks.is_empty() && request.models.is_empty() {
                    let mut kept = Vec::new();
                    for track in tracks {
                        let mut contigs = 0..to_u32(assembly.contigs.len());
                        let has = contigs.try_fold(false, |has, contig| {
                            Ok::<_, StoreError>(
                                has || !segments_of(&track.name, contig, 0, u32::MAX)?.is_empty(),
                            )
                        })?;
                        kept.extend(has.then_some(track));
                    }
                    tracks = kept;
                }
                let schema = match request.table {
                    Table::Scores => answer_schema(&tracks),
                    Table::Embeddings => embeddings_answer_schema(&tracks, common_width(snapshot, &tracks)?),
                    Table::Ablation => ablation_answer_schema(&tracks),
                    Table::GeneEffects => {
                        gene_effects_answer_schema(&tracks, common_targets(&tracks, request.table)?)
                    }
                    Table::Effects => {
                        let targets = common_targets(&tracks, request.table)?;
                        effects_answer_schema(&tracks, targets.unwrap_or(0))
                    }
                };
                let mut parts: Vec<Part> = Vec::new();
                for region in &regions {
                    let range = region.start..region.end;
                    match parts.last_mut() {
                        Some(part) if part.contig == region.contig => {
                            part.ranges.push(range);
                        }
                        _ => parts.push(Part {
                            contig: region.contig,
                            ranges: Vec::from([range]),
                            segments: Vec::new(),
                        }),
                    }
                }
                for part in &mut parts {
                    let (start, end) = (part.ranges[0].start, part.ranges[part.ranges.len() - 1].end);
                    for (index, track) in tracks.iter().enumerate() {
                        let may_hold = |segment: &Segment| {
                            // The first range that ends beyond the segment's first row is the only one
                            // that can reach into it before others do.
                            let next =
                                part.ranges.partition_point(|range| range.end <= segment.first.zero_based());
                            part.ranges
                                .get(next)
                                .is_some_and(|range| range.start <= segment.last.zero_based())
                        };
                        let found = segments_of(&track.name, part.contig, start, end)?;
                        part.segments
                            .extend(found.into_iter().filter(may_hold).map(|segment| (index, segment)));
                    }
                    part.segments.sort_by_key(|(track, segment)| (segment.first, *track, segment.number));
                }
                parts.retain(|part| !part.segments.is_empty());
                Ok(Self {
                    schema,
                    tracks: tracks.into(),
                    parts,
                    store: store.clone(),
                    variants: sorted(&request.variants),
                    regions: Region::union(request.regions.clone()).into(),
                    filter: None,
                    projected: false,
                    targets: None,
                    remark: None,
                })
            },
            request.table,
        )?;
        Ok(if request.table == Table::Scores { plan.without_contexts() } else { plan })
    }

    /// The same without calibrations by context where the reference, which they need, cannot be read.
    fn without_contexts(self) -> Self {
        let by_context = |calibration: &Calibration| calibration.context.is_some();
        if !self.tracks.iter().flat_map(|track| &track.calibrations).any(by_context) {
            return self;
        }
        let Err(error) = self.store.open_reference() else { return self };
        let mut tracks = self.tracks.to_vec();
        for track in &mut tracks {
            track.calibrations.retain(|calibration| !by_context(calibration));
        }
        let remark = format!("columns of calibrations by context are left out: {error}");
        let schema = answer_schema(&tracks);
        Self { tracks: tracks.into(), schema, remark: Some(remark), ..self }
    }

    /// What people should know of the answer.
    #[must_use]
    pub fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    /// The same with stored scores alone, without what calibrations make of them; without a condition.
    #[must_use]
    pub fn as_stored(self) -> Self {
        let mut tracks = self.tracks.to_vec();
        for track in &mut tracks {
            track.calibrations.clear();
        }
        Self { schema: answer_schema(&tracks), tracks: tracks.into(), ..self }
    }

    /// Reads whole `segments` of one table, track and contig, whatever their columns: those of `schema`, the
    /// schema of their files, stand behind the columns that every answer has.
    #[must_use]
    pub(crate) fn of_segments(
        store: &Store,
        track: &Track,
        contig: u32,
        segments: Vec<Segment>,
        schema: &SchemaRef,
    ) -> Self {
        let values = schema.fields().iter().filter(|field| !ANSWER_COLUMNS.contains(&field.name().as_str()));
        let tracks = vec![track.clone()];
        let schema = with_answer_columns(values.map(|field| field.as_ref().clone()).collect(), &tracks);
        let mut segments: Vec<_> = segments.into_iter().map(|segment| (0, segment)).collect();
        let whole = 0..u32::MAX;
        segments.sort_by_key(|(_, segment)| (segment.first, segment.number));
        Self {
            tracks: tracks.into(),
            parts: vec![Part { contig, ranges: vec![whole], segments }],
            store: store.clone(),
            schema,
            variants: Arc::default(),
            regions: Arc::default(),
            filter: None,
            projected: false,
            targets: None,
            remark: None,
        }
    }

    /// The same, of the rows that fulfil `filter` alone.
    ///
    /// # Errors
    /// When the answer has no such column, or the reference no such contig.
    pub fn with_filter(mut self, filter: &Filter) -> Result<Self, FilterError> {
        self.filter = Some(filter.bind(&self.schema, self.store.assembly())?);
        Ok(self)
    }

    /// The same without status and without score columns other than `columns`; pages of what is left out
    /// are not read.
    ///
    /// # Errors
    /// When the answer has no such column.
    pub(crate) fn with_columns(mut self, columns: &[&str]) -> Result<Self, StoreError> {
        let mut indices: Vec<usize> = (0..ANSWER_COLUMNS.len() - 1).collect();
        for column in columns {
            indices.push(self.schema.index_of(column)?);
        }
        self.schema = SchemaRef::new(self.schema.project(&indices)?);
        self.projected = true;
        Ok(self)
    }

    /// What one track answers of one of its parts.
    #[must_use]
    pub(crate) fn of(&self, track: usize, part: &Part) -> Self {
        let mut part = part.clone();
        part.segments.retain(|(of, _)| *of == track);
        Self {
            tracks: Arc::clone(&self.tracks),
            parts: if part.segments.is_empty() { Vec::new() } else { vec![part] },
            store: self.store.clone(),
            schema: SchemaRef::clone(&self.schema),
            variants: Arc::clone(&self.variants),
            regions: Arc::clone(&self.regions),
            filter: self.filter.clone(),
            projected: self.projected,
            targets: self.targets.clone(),
            remark: None,
        }
    }

    /// What each track answers, with its own score columns. All have the parts of this plan, so that their rows number
    /// contigs alike.
    #[must_use]
    pub fn by_track(&self) -> Vec<Self> {
        let of = |(index, track): (usize, &Track)| {
            let mut of_track = self.clone();
            for part in &mut of_track.parts {
                part.segments.retain(|(of, _)| *of == index);
            }
            // A condition knows the columns of all tracks by their numbers.
            if self.filter.is_none() {
                of_track.schema = answer_schema(std::slice::from_ref(track));
            }
            of_track
        };
        self.tracks.iter().enumerate().map(of).collect()
    }

    /// What one track answers on one contig.
    #[must_use]
    pub(crate) fn of_contig(&self, track: usize, contig: u32) -> Self {
        match self.parts.iter().find(|part| part.contig == contig) {
            Some(part) => self.of(track, part),
            None => self.of(track, &Part { contig, ranges: Vec::new(), segments: Vec::new() }),
        }
    }

    /// The schema of its rows.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The store that it reads.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The rows, sorted by contig, position, reference, alternate and track (and layer), each once.
    #[must_use]
    pub fn rows(&self) -> Rows<'_> {
        Rows::new(self)
    }

    /// The number of rows. Of segments that lie in the answer as a whole it is in the catalog; others are read.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn count(&self) -> Result<u64, StoreError> {
        let mut read = self.clone();
        let mut count = 0_u64;
        if self.filter.is_none() && !self.is_selective() {
            for part in &mut read.parts {
                let ranges = &part.ranges;
                let whole = |segment: &Segment| {
                    let next = ranges.partition_point(|range| range.end <= segment.first.zero_based());
                    ranges.get(next).is_some_and(|range| {
                        range.contains(&segment.first.zero_based())
                            && range.contains(&segment.last.zero_based())
                    })
                };
                part.segments.retain(|(_, segment)| {
                    let is_whole = whole(segment);
                    count = count.saturating_add(if is_whole { segment.rows } else { 0 });
                    !is_whole
                });
            }
            read.parts.retain(|part| !part.segments.is_empty());
        }
        for batch in read.rows() {
            count = count.saturating_add(batch?.num_rows() as u64);
        }
        Ok(count)
    }

    /// Whether single variants were asked for, so that not every row at their positions is wanted.
    pub(super) fn is_selective(&self) -> bool {
        !self.variants.is_empty()
    }

    /// The single variants that were asked for: sorted, each once.
    pub(super) fn variants(&self) -> &Arc<[Variant]> {
        &self.variants
    }

    /// Which of the rows read from the wanted positions of the contig of this index belong to the answer.
    pub(super) fn wanted(&self, contig: u32, keys: &RowKeys<'_>) -> BooleanArray {
        let positions = keys.one_based().len();
        let Some(first) = positions.checked_sub(1).map(|_| keys.position(0)) else {
            return BooleanArray::from(Vec::<bool>::new());
        };
        let start =
            self.variants.partition_point(|variant| (variant.contig, variant.position) < (contig, first));
        let mut variants =
            self.variants[start..].iter().take_while(|variant| variant.contig == contig).peekable();
        let start = self
            .regions
            .partition_point(|region| (region.contig, region.end) <= (contig, first.zero_based()));
        let mut regions =
            self.regions[start..].iter().take_while(|region| region.contig == contig).peekable();
        let wanted = (0..positions).map(|row| {
            let (position, (reference, alternate)) = (keys.position(row), keys.alleles(row));
            let key = (position, reference, alternate);
            let of = |variant: &&Variant| (variant.position, &*variant.reference, &*variant.alternate) < key;
            while variants.next_if(|variant| of(variant)).is_some() {}
            while regions.next_if(|region| region.end <= position.zero_based()).is_some() {}
            let is_asked = variants
                .peek()
                .is_some_and(|variant| (variant.position, &*variant.reference, &*variant.alternate) == key);
            is_asked || regions.peek().is_some_and(|region| region.contains(position))
        });
        BooleanArray::from(wanted.collect::<Vec<bool>>())
    }
}

/// Variants in order, each once.
fn sorted(variants: &Arc<[Variant]>) -> Arc<[Variant]> {
    if variants.is_sorted_by(|a, b| a < b) {
        return Arc::clone(variants);
    }
    let mut sorted = variants.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.into()
}

/// The width of the hidden states of all tracks' models.
fn common_width(snapshot: &Snapshot, tracks: &[Track]) -> Result<u32, StoreError> {
    let width = |track: &Track| {
        let model = snapshot.models.iter().find(|model| model.name == track.model);
        model.map_or(0, Model::embedding_width)
    };
    let Some(first) = tracks.first() else { return Ok(0) };
    match tracks.iter().find(|track| width(track) != width(first)) {
        None => Ok(width(first)),
        Some(other) => Err(StoreError::MixedWidths {
            first: first.name.clone(),
            first_width: width(first),
            other: other.name.clone(),
            other_width: width(other),
        }),
    }
}

/// How many targets the rows of `table` of `tracks` are of, which must be the same ones; none where they have none.
fn common_targets(tracks: &[Track], table: Table) -> Result<Option<u32>, StoreError> {
    let mut first: Option<(&Track, Option<Targets>)> = None;
    for track in tracks.iter().filter(|track| !track.columns_of(table).is_empty()) {
        let targets = track.targets;
        match first {
            Some((first, found)) if found != targets => {
                return Err(StoreError::MixedTargets {
                    first: first.name.clone(),
                    other: track.name.clone(),
                });
            }
            Some(_) => {}
            None => first = Some((track, targets)),
        }
    }
    Ok(first.and_then(|(_, targets)| targets).map(|targets| targets.count))
}

fn select_tracks(snapshot: &Snapshot, request: &Request) -> Result<Vec<Track>, StoreError> {
    let all = &snapshot.tracks;
    if request.tracks.is_empty() && request.models.is_empty() {
        return Ok(all.clone());
    }
    for name in &request.models {
        snapshot.model(name)?;
    }
    let mut chosen: Vec<Track> = Vec::new();
    for name in &request.tracks {
        let track = snapshot.track(name)?;
        if !chosen.contains(track) {
            chosen.push(track.clone());
        }
    }
    for track in all.iter().filter(|track| request.models.contains(&track.model)) {
        if !chosen.contains(track) {
            chosen.push(track.clone());
        }
    }
    Ok(chosen)
}
