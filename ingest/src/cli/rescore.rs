//! `vestore verify --rescore`, which `vestore verify` hands over after its own checks.

mod comparison;
mod stored;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, ensure};
use arrow::array::{Array, AsArray};
use arrow::datatypes::Float32Type;
use vestore::{Reference, RowKeys, SegmentReader, Store};
use vestore_ingest::{CPU_BATCH_TOKENS, Device, Network, Random, Scorer, rows as rows_of};
use vestore_schema::{Digest, STATUS_COLUMN, Segment, Status, Table, Track, Variant};

use self::comparison::Comparison;
use self::stored::{Effects, GeneEffects};
use super::family::{Family, Loading, ModelTask};
use super::reference::ReferenceArguments;
use super::shared::{Usage, plural, say};

/// Rows that are recomputed at once: their windows and effects are in memory.
const ROWS: usize = 256;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store
    store: PathBuf,
    /// Recompute this many rows with their models on the CPU and compare
    #[arg(long, value_name = "N")]
    rescore: u64,
    #[command(flatten)]
    reference: ReferenceArguments,
    /// Print mismatches only
    #[arg(long)]
    quiet: bool,
}

/// A stored row.
struct Stored {
    variant: Variant,
    values: Vec<Option<f32>>,
    status: Status,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    ensure!(arguments.rescore > 0, Usage("--rescore must be at least 1".to_owned()));
    let store = arguments.reference.open(&arguments.store)?;
    let mut reference = store.open_reference()?;
    let tracks = store.snapshot()?.tracks;
    let kept: Vec<Digest> = store.gene_tables()?.into_iter().map(|table| table.digest).collect();
    let (tracks, without_genes): (Vec<Track>, Vec<Track>) = tracks
        .into_iter()
        .filter(|track| track.external.is_none() && track.mean.is_empty())
        .partition(|track| genes_of(track).is_none_or(|digest| kept.contains(&digest)));
    for track in without_genes {
        say(format_args!(
            "track {}: not rescored: the store does not keep its gene table; add it with `vestore genes add`",
            track.name
        ));
    }
    let picked = pick(&store, &tracks, arguments.rescore)?;
    let (mut compared, mut mismatches) = (0, 0);
    for track in &tracks {
        let mut rows = Vec::new();
        for (segment, places) in picked.iter().filter(|(segment, _)| segment.track == track.name) {
            rows.extend(read(&store, track, segment, places)?);
        }
        if !rows.is_empty() {
            let found = rescore(&store, track, &rows, &mut reference)?;
            compared += rows.len();
            mismatches += found;
            if !arguments.quiet {
                say(format_args!(
                    "track {}: {} rows rescored, tolerance {}, {found} values differ",
                    track.name,
                    rows.len(),
                    comparison::tolerance(track, 1.0)
                ));
            }
        }
    }
    if !arguments.quiet {
        say(format_args!(
            "{} rescored, {} differ{}",
            plural(compared as u64, "row"),
            plural(mismatches as u64, "value"),
            if mismatches == 1 { "s" } else { "" }
        ));
    }
    Ok(if mismatches == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Digest of the gene table that a track was scored with, if it was with one.
fn genes_of(track: &Track) -> Option<Digest> {
    let splice = track.recipe.splice.as_ref().and_then(|splice| splice.genes);
    splice.or_else(|| track.recipe.regulatory.as_ref()?.genes)
}

/// `count` rows of these tracks, or all where there are no more: the places of rows in their
/// segments. The same store and count give the same rows.
fn pick(store: &Store, tracks: &[Track], count: u64) -> anyhow::Result<Vec<(Segment, Vec<u64>)>> {
    let scored = |name: &str| tracks.iter().any(|track| track.name == name);
    let mut segments = store.all_segments()?;
    segments.retain(|segment| segment.table == Table::Scores && scored(&segment.track));
    let total: u64 = segments.iter().map(|segment| segment.rows).sum();
    let (mut random, mut wanted) = (Random::new(count), BTreeSet::new());
    while (wanted.len() as u64) < count.min(total) {
        wanted.insert(random.bits() % total);
    }
    let (mut wanted, mut before) = (wanted.into_iter().peekable(), 0);
    let mut picked = Vec::new();
    for segment in segments {
        let mut places = Vec::new();
        while let Some(row) = wanted.next_if(|row| *row < before + segment.rows) {
            places.push(row - before);
        }
        before += segment.rows;
        if !places.is_empty() {
            picked.push((segment, places));
        }
    }
    Ok(picked)
}

/// The rows at `places` of a segment.
fn read(store: &Store, track: &Track, segment: &Segment, places: &[u64]) -> anyhow::Result<Vec<Stored>> {
    let contig = store.contig_index(&segment.contig);
    let contig = contig.with_context(|| format!("{} is of an unknown contig", segment.path()))?;
    let everything = 0..u32::MAX;
    let (mut rows, mut before) = (Vec::with_capacity(places.len()), 0);
    let mut places = places.iter().copied().peekable();
    for batch in SegmentReader::open(store, segment)?.read(std::slice::from_ref(&everything), None)? {
        let batch = batch?;
        let count = batch.num_rows() as u64;
        while let Some(place) = places.next_if(|place| *place < before + count) {
            let row = usize::try_from(place - before)?;
            let statuses = batch.column_by_name(STATUS_COLUMN).and_then(|array| array.as_string_opt::<i32>());
            let statuses = statuses.with_context(|| format!("{} lacks its statuses", segment.path()))?;
            let values = track.columns.iter().map(|column| {
                let scores = batch.column_by_name(column)?.as_primitive_opt::<Float32Type>()?;
                scores.is_valid(row).then(|| scores.value(row))
            });
            let status = Status::parse(statuses.value(row));
            rows.push(Stored {
                variant: RowKeys::of(&batch).variant(contig, row),
                values: values.collect(),
                status: status.with_context(|| format!("{} has an unknown status", segment.path()))?,
            });
        }
        before += count;
    }
    Ok(rows)
}

/// Scores `rows` again and names what differs; returns the number of mismatches.
fn rescore(
    store: &Store,
    track: &Track,
    rows: &[Stored],
    reference: &mut Reference,
) -> anyhow::Result<usize> {
    let snapshot = store.snapshot()?;
    let record =
        snapshot.model(&track.model).with_context(|| format!("track {} has no model", track.name))?;
    let genes = genes_of(track).map(|digest| store.gene_table(digest)).transpose()?;
    let loading = Loading {
        store,
        record,
        recipe: &track.recipe,
        devices: &[Device::Cpu],
        embeddings: false,
        batch_tokens: CPU_BATCH_TOKENS,
        genes: genes.flatten().map(Arc::new),
    };
    Family::of(store, record)?.run(&loading, Rescoring { store, track, rows, reference })
}

/// Rows of a track that are to be computed again.
struct Rescoring<'a> {
    store: &'a Store,
    track: &'a Track,
    rows: &'a [Stored],
    reference: &'a mut Reference,
}

impl ModelTask for Rescoring<'_> {
    type Output = usize;

    fn run<S, N>(self, scorer: &S, networks: Vec<N>) -> anyhow::Result<usize>
    where
        S: Scorer,
        N: Network<Pass = S::Pass, Output = S::Output>,
    {
        let Self { store, track, rows, reference } = self;
        for (stored, made) in [
            (&track.columns, scorer.columns()),
            (&track.gene_columns, scorer.gene_columns()),
            (&track.effect_columns, scorer.effect_columns()),
            (&store.target_names(track)?, scorer.targets()),
        ] {
            ensure!(
                *stored == made,
                "track {} has {}, and its recipe makes {}: the store was changed by hand",
                track.name,
                stored.join(", "),
                made.join(", ")
            );
        }
        let mut comparison = Comparison::new(store, track)?;
        let scored: Vec<&Stored> = rows.iter().filter(|row| row.status == Status::Scored).collect();
        for rows in scored.chunks(ROWS) {
            let (mut windows, mut cut) = (Vec::new(), Vec::new());
            for row in rows {
                match scorer.cut(&row.variant, reference, store.assembly())? {
                    Ok(window) => {
                        windows.push(window);
                        cut.push(*row);
                    }
                    Err(status) => comparison.status(&row.variant, status)?,
                }
            }
            let variants: Vec<Variant> = cut.iter().map(|row| row.variant.clone()).collect();
            let mut effects = Effects::read(store, track, &variants)?;
            let mut genes = GeneEffects::read(store, track, &variants)?;
            for (row, computed) in cut.into_iter().zip(rows_of(scorer, &networks[0], &windows)?) {
                comparison.scores(&row.variant, &row.values, &computed.values)?;
                if !track.effect_columns.is_empty() {
                    comparison.effects(&row.variant, effects.of(&row.variant), &computed.effects)?;
                }
                if !track.gene_columns.is_empty() {
                    comparison.genes(&row.variant, &genes.of(&row.variant), &computed.genes)?;
                }
            }
        }
        Ok(comparison.mismatches)
    }
}
