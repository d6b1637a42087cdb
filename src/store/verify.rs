//! Checks that the files of a store are what the catalog says.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;

use vestore_schema::{GeneTableRecord, RETIRED_FOLDER, Segment, Table, Track, retired_path};

use super::digest::digest;
use super::error::StoreError;
use super::recovery::segment_files;
use super::row_keys::RowKeys;
use super::{Snapshot, Store};
use crate::query::SegmentReader;

/// Something in a store that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// A segment does not hold what the catalog says: rows are lost.
    Segment {
        /// As the catalog has it.
        segment: Segment,
        /// What is wrong with the file.
        reason: String,
    },
    /// The copy of a model is not what the catalog says: it can no longer score.
    Model {
        /// Name of the model.
        name: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A gene table is not what the catalog says: what was scored with it cannot be recomputed.
    Genes {
        /// As the catalog has it.
        table: GeneTableRecord,
        /// What is wrong with its file.
        reason: String,
    },
    /// The catalog itself: what it says is in doubt.
    Catalog {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file, or copy of a model, that no catalog row names; the next writer removes it. Nothing is lost.
    Orphan {
        /// The file.
        path: PathBuf,
    },
    /// A retired file that a killed writer left where other programs read; the next writer moves it. Nothing is
    /// lost.
    Unmoved {
        /// The file.
        path: PathBuf,
    },
}

impl Damage {
    /// Whether rows, the copy of a model or a gene table are lost.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        !matches!(self, Self::Orphan { .. } | Self::Unmoved { .. })
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment { segment, reason } => write!(
                f,
                "{}: {reason}; {} rows of track {} on {}:{}-{}",
                segment.path(),
                segment.rows,
                segment.track,
                segment.contig,
                segment.first.one_based(),
                segment.last.one_based()
            ),
            Self::Model { name, path, reason } => write!(
                f,
                "{}: {reason}; the copy of model `{name}` is damaged: add it again from its checkpoint with --copy",
                path.display()
            ),
            Self::Genes { table, reason } => write!(
                f,
                "{}: {reason}; the gene table `{}` is damaged: add it again with `vestore genes add`",
                table.path(),
                table.name
            ),
            Self::Catalog { path, reason } => {
                write!(f, "{}: {reason}; restore it from a backup, or score into a new store", path.display())
            }
            Self::Orphan { path } => {
                write!(f, "{}: no catalog row names it; the next writer removes it", path.display())
            }
            Self::Unmoved { path } => write!(
                f,
                "{}: retired, and still in the folder of its table; the next writer moves it",
                path.display()
            ),
        }
    }
}

impl Store {
    /// Reads the catalog with all checksums of its pages, and every record; then every segment: length, checksum, footer, order,
    /// count and range of its rows; then the copies of models and the gene tables; then looks for files without a row. `progress` is told the bytes read so far.
    ///
    /// # Errors
    /// When the catalog cannot be read; damage to segments is not an error but part of the answer.
    pub fn verify(&self, mut progress: impl FnMut(u64)) -> Result<Vec<Damage>, StoreError> {
        let mut damage = Vec::new();
        match self.catalog.check() {
            Err(StoreError::Catalog { path, source }) => {
                damage.push(Damage::Catalog { path, reason: source.to_string() });
            }
            checked => checked?,
        }
        if let Some(reason) = self.published_damage()? {
            damage.push(Damage::Catalog { path: self.catalog.path(), reason });
        }
        // Records that nothing below looks at.
        let Snapshot { models, tracks } = self.snapshot()?;
        for model in &models {
            self.ancestors(model, &models)?;
        }
        for track in &tracks {
            self.target_names(track)?;
            for calibration in &track.calibrations {
                self.distribution(calibration)?;
            }
        }
        self.runs()?;
        self.catalog.read(|catalog| catalog.next_segment())?;
        self.all_reports()?;
        self.check_studies()?;
        self.fidelities()?;
        let segments = self.all_segments()?;
        let mut read = 0;
        for segment in &segments {
            let checked = match tracks.iter().find(|track| track.name == segment.track) {
                Some(track) => self.verify_segment(segment, track),
                None => Err("the catalog has no such track".to_owned()),
            };
            if let Err(reason) = checked {
                damage.push(Damage::Segment { segment: segment.clone(), reason });
            }
            read += segment.bytes;
            progress(read);
        }
        for model in models.iter().filter(|model| model.copied) {
            if let Some((path, reason)) = self.copy_damage(model) {
                damage.push(Damage::Model { name: model.name.clone(), path, reason });
            }
        }
        // Before the catalog is asked, so that what a writer commits meanwhile is known.
        let gene_files = if self.published { Vec::new() } else { self.gene_files()? };
        let tables = self.gene_tables()?;
        damage.extend(
            self.unnamed_gene_files(gene_files, &tables).into_iter().map(|path| Damage::Orphan { path }),
        );
        for table in tables {
            match self.kept_gene_table(&table) {
                Ok(_) => {}
                Err(StoreError::Genes { reason, .. }) => damage.push(Damage::Genes { table, reason }),
                Err(error) => damage.push(Damage::Genes { table, reason: error.to_string() }),
            }
        }
        // Files of a published store that its catalog does not name are of earlier states.
        if self.published {
            return Ok(damage);
        }
        damage.extend(self.unnamed_copies(&models)?.into_iter().map(|path| Damage::Orphan { path }));
        let mut files = Vec::new();
        for table in Table::ALL {
            files.extend(segment_files(self, &self.root().join(table.as_str()))?);
        }
        let put_aside = segment_files(self, &self.root().join(RETIRED_FOLDER))?;
        // Asked after the folders, so that what a writer commits meanwhile is known.
        let (later, retired) =
            self.catalog.read(|catalog| Ok((catalog.all_segments()?, catalog.retired()?)))?;
        let named: HashSet<PathBuf> =
            segments.iter().chain(&later).map(|segment| self.root().join(segment.path())).collect();
        let [retired, moved] = [|path: &str| path.to_owned(), retired_path].map(|place| {
            retired.iter().map(|(path, _)| self.root().join(place(path))).collect::<HashSet<PathBuf>>()
        });
        for path in files {
            if retired.contains(&path) {
                damage.push(Damage::Unmoved { path });
            } else if !named.contains(&path) {
                damage.push(Damage::Orphan { path });
            }
        }
        let strays = put_aside.into_iter().filter(|path| !moved.contains(path));
        damage.extend(strays.map(|path| Damage::Orphan { path }));
        Ok(damage)
    }

    /// Retired segments whose files wait to be deleted.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn retired(&self) -> Result<u64, StoreError> {
        self.catalog.read(|catalog| Ok(catalog.retired()?.len() as u64))
    }

    fn verify_segment(&self, segment: &Segment, track: &Track) -> Result<(), String> {
        let file = self.open_segment(segment).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => "the file is missing".to_owned(),
            _ => error.to_string(),
        })?;
        let length = file.len().map_err(|error| error.to_string())?;
        if length != segment.bytes {
            return Err(format!("{length} bytes long, not {}", segment.bytes));
        }
        let found = digest(file.as_ref(), |error| error.to_string(), |_, _| Ok(()))?;
        if found != segment.checksum {
            return Err(format!("checksum {} is not {}", found.short(), segment.checksum.short()));
        }
        let reader = SegmentReader::open(self, segment)
            .and_then(|reader| reader.of_track(track))
            .and_then(|reader| reader.names_targets(track));
        let reader = reader.map_err(|error| error.to_string())?;
        let batches =
            reader.read(std::slice::from_ref(&(0..u32::MAX)), None).map_err(|error| error.to_string())?;
        let (mut rows, mut previous, mut first) = (0, None, None);
        for batch in batches {
            let batch = batch.map_err(|error| error.to_string())?;
            let keys = RowKeys::of(&batch);
            for row in 0..batch.num_rows() {
                let (position, reference, alternate, layer, gene) = keys.key(row);
                let key = (position, reference.to_owned(), alternate.to_owned(), layer, gene.to_owned());
                if previous.as_ref().is_some_and(|previous| *previous >= key) {
                    return Err(format!("rows out of order at position {}", position.one_based()));
                }
                first.get_or_insert(key.0);
                previous = Some(key);
            }
            rows += batch.num_rows() as u64;
        }
        let last = previous.map(|key| key.0);
        if rows != segment.rows || (first, last) != (Some(segment.first), Some(segment.last)) {
            return Err(format!(
                "{rows} rows, not {}, or not at the positions that the catalog names",
                segment.rows
            ));
        }
        Ok(())
    }
}
