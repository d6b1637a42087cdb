//! Takes the rows of other stores into this one: of the shards of a plan, of single chromosomes, of other tracks.
//!
//! Everything that can be refused is found out before anything changes. Then each source is one transaction, so that a
//! merge that was cut short is continued by the same command.

mod check;
mod copy;
mod overlap;
mod source;

use std::path::{Path, PathBuf};

use thiserror::Error;
use vestore_schema::{GeneTableRecord, IdTableRecord, Shard, UNRECORDED_RUN, check_name};

use self::check::Checked;
use self::source::Source;
use super::Store;
use super::commit::{Writer, put_track};
use super::error::StoreError;

/// Why stores were not merged.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MergeError {
    /// A store cannot be read, or that which is changed cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something of one source cannot be in the store.
    #[error("cannot merge {}", path.display())]
    Source {
        /// The source.
        path: PathBuf,
        /// Why.
        source: Box<StoreError>,
    },
    /// A source is the store.
    #[error("{} is the store that is merged into; leave it out", path.display())]
    Itself {
        /// The source.
        path: PathBuf,
    },
    /// A source has rows on bases that the reference of the store lacks.
    #[error(
        "{}: contig `{contig}` has rows, and the store's reference has no contig with these bases; expected a store for \
         the same reference, or for some of its contigs",
        path.display()
    )]
    Contig {
        /// The source.
        path: PathBuf,
        /// Its contig.
        contig: String,
    },
    /// Two contigs of a source are one contig of the store.
    #[error(
        "{}: contigs `{first}` and `{second}` have the same bases, and the store has one contig with these; their rows \
         cannot be told apart there",
        path.display()
    )]
    Alike {
        /// The source.
        path: PathBuf,
        /// One contig.
        first: String,
        /// The other.
        second: String,
    },
    /// A store holds a shard and other rows.
    #[error(
        "{} has rows of shard {shard} and others, so that nobody knows whether the shard is complete; score it into a \
         store of its own",
        path.display()
    )]
    Mixed {
        /// The source.
        path: PathBuf,
        /// The shard.
        shard: Shard,
    },
    /// A shard lacks rows.
    #[error(
        "{} is not complete: variants of shard {shard} have no rows yet, or lost them; run its `vestore score --shard` \
         again",
        path.display()
    )]
    Incomplete {
        /// The source.
        path: PathBuf,
        /// Which shard.
        shard: Shard,
    },
    /// Some shards of a plan were not given and not merged before.
    #[error(
        "missing shards of track `{track}`: {}; name them too, or merge the others with --partial",
        list(missing)
    )]
    Missing {
        /// The track.
        track: String,
        /// Those that are missing.
        missing: Vec<Shard>,
    },
    /// Two stores have rows of one variant.
    #[error(
        "{variant} has a row of track `{track}` ({table}) both in {} and in {}; leave one out, or remove its rows with \
         `vestore track remove`",
        first.display(),
        second.display()
    )]
    Twice {
        /// One of the stores.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// The track.
        track: String,
        /// The table.
        table: &'static str,
        /// The variant, as `chr1-5-T-A`.
        variant: String,
    },
}

fn list(shards: &[Shard]) -> String {
    const MOST: usize = 20;
    let mut names: Vec<String> = shards.iter().take(MOST).map(ToString::to_string).collect();
    if shards.len() > MOST {
        names.push(format!("and {} more", shards.len() - MOST));
    }
    names.join(", ")
}

/// What a merge did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Sources whose rows were taken.
    pub sources: u64,
    /// Sources that had been merged before.
    pub known: u64,
    /// Segments that were taken.
    pub segments: u64,
    /// Their rows.
    pub rows: u64,
    /// Rows of scores that came with an ablation and were there before.
    pub present: u64,
    /// Reports, gene tables and the like that stay behind: source and what.
    pub left: Vec<(PathBuf, String)>,
}

impl Writer {
    /// Takes the rows of the stores `sources`, with the models and tracks that are missing. Contigs match by their
    /// bases. A source that was merged before is left out. Without `partial` all shards of a plan must be among the
    /// sources or merged before. `progress` is given the number of sources that are done.
    ///
    /// # Errors
    /// When a source cannot be merged, before anything is changed; when a file of a source is damaged or the system
    /// refuses, after the sources before it were merged.
    pub fn merge(
        &mut self,
        sources: &[PathBuf],
        partial: bool,
        mut progress: impl FnMut(u64),
    ) -> Result<Merged, MergeError> {
        let store = self.store().clone();
        let opened =
            sources.iter().map(|path| Source::open(&store, path)).collect::<Result<Vec<_>, MergeError>>()?;
        let Checked { new, known, there } = check::check(&store, opened, partial)?;
        let mut merged = Merged { known, ..Merged::default() };
        progress(known);
        for (source, there) in new.iter().zip(&there) {
            self.take(source, there, &mut merged)?;
            merged.sources += 1;
            progress(known + merged.sources);
        }
        Ok(merged)
    }

    /// Takes one source in one transaction.
    fn take(
        &mut self,
        source: &Source,
        there: &overlap::There,
        merged: &mut Merged,
    ) -> Result<(), MergeError> {
        let store = self.store().clone();
        let snapshot = store.snapshot()?;
        let mut models = Vec::new();
        for model in source.models.iter().filter(|model| snapshot.model(&model.name).is_err()) {
            models.push(self.copy_of(&source.store, model)?);
        }
        self.take_genes(source, merged)?;
        let mut tracks = Vec::new();
        for track in source.tracks.iter().filter(|track| snapshot.track(&track.name).is_err()) {
            check_name(&track.name).map_err(StoreError::from)?;
            tracks.push((track, source.store.target_names(track)?));
        }
        let next = store.runs()?.last().map_or(1, |run| run.number + 1);
        let mut runs = source.runs.clone();
        for (run, number) in runs.iter_mut().zip(next..) {
            run.number = number;
            run.merged = run.merged.or(Some(source.digest));
        }
        let number_of = |old: &u64| {
            let known = source.runs.iter().position(|run| run.number == *old);
            known.map_or(UNRECORDED_RUN, |place| runs[place].number)
        };
        let mut segments = Vec::new();
        for found in &source.segments {
            let left_out = there.get(&found.segment.number);
            let taken = self.take_segment(source, found, left_out)?;
            merged.present += left_out.map_or(0, |variants| variants.len() as u64);
            let Some(mut segment) = taken else { continue };
            segment.runs = found.segment.runs.iter().map(number_of).collect();
            segment.runs.sort_unstable();
            segment.runs.dedup();
            merged.rows += segment.rows;
            merged.segments += 1;
            segments.push(segment);
        }
        self.guarded(|writer| {
            writer.settle()?;
            let segments = writer.placed(segments)?;
            writer.store().catalog.write(|catalog| {
                models.iter().try_for_each(|model| catalog.put_model(model))?;
                tracks.iter().try_for_each(|(track, names)| put_track(catalog, track, names))?;
                catalog.put_segments(&segments)?;
                catalog.put_next_segment(writer.next_segment())?;
                runs.iter().try_for_each(|run| catalog.put_run(run))
            })
        })?;
        Ok(())
    }

    /// Takes the gene tables of a source with the same contigs.
    fn take_genes(&mut self, source: &Source, merged: &mut Merged) -> Result<(), MergeError> {
        let store = self.store().clone();
        let known = store.gene_tables()?;
        let tables = source.store.gene_tables()?;
        for record in tables.into_iter().filter(|record| {
            // An older program kept the table without names.
            let lacks = |known: &GeneTableRecord| known.names.is_none() && record.names.is_some();
            known.iter().all(|known| known.digest != record.digest || lacks(known))
        }) {
            let same = source.store.assembly().contigs == store.assembly().contigs;
            match source.store.gene_table(record.digest)?.filter(|_| same) {
                Some(table) => drop(self.put_gene_table(&record.name, &table)?),
                None => merged.left.push((source.path.clone(), format!("gene table `{}`", record.name))),
            }
        }
        let ids = store.id_tables()?;
        let lacks = |record: &IdTableRecord| ids.iter().all(|known| known.digest != record.digest);
        for record in source.store.id_tables()?.into_iter().filter(lacks) {
            merged.left.push((source.path.clone(), format!("id table `{}`", record.name)));
        }
        for calibration in source.tracks.iter().flat_map(|track| &track.calibrations) {
            let name = format!("calibration of `{}.{}`", calibration.track, calibration.column);
            merged.left.push((source.path.clone(), name));
        }
        let reports = source.store.all_reports()?;
        merged.left.extend(
            reports
                .iter()
                .filter(|report| report.part.is_empty())
                .map(|report| (source.path.clone(), format!("{} `{}`", report.kind, report.name))),
        );
        Ok(())
    }
}

fn in_source<T>(path: &Path, result: Result<T, StoreError>) -> Result<T, MergeError> {
    result.map_err(|source| MergeError::Source { path: path.to_owned(), source: Box::new(source) })
}

/// Whether both are one folder.
fn is_same(store: &Store, path: &Path) -> bool {
    matches!((store.root().canonicalize(), path.canonicalize()), (Ok(one), Ok(other)) if one == other)
}
