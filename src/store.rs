//! The store: one folder with a catalog over immutable segments.

mod blocks;
mod calibrations;
mod catalog;
mod commit;
mod compact;
mod copies;
mod digest;
mod disk;
mod effects;
mod error;
mod files;
mod find;
mod folders;
mod genes;
mod groups;
mod ids;
mod keys;
mod medium;
mod merge;
mod models;
mod overlay;
mod publish;
mod published;
mod recovery;
mod reference;
mod remote;
mod remove;
mod reports;
mod row_groups;
mod row_keys;
mod rows;
mod segment;
mod shard;
mod streams;
mod summary;
mod targets;
mod verify;

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vestore_schema::{
    Assembly, Digest, FORMAT_VERSION, Format, Model, Run, Segment, StoreRecord, Table, Track, retired_path,
};

pub use commit::{Writer, check_track};
pub use compact::Compacted;
pub use copies::ModelCopy;
pub use disk::Disk;
pub use effects::{EffectRow, effect_batches};
pub use error::{StoreError, remedy_of};
pub use genes::{CalledGene, CalledGenes};
pub use ids::{AddedIds, IdsError};
pub use medium::{Access, FileSystem, Guard, Held, Lock, Medium, MediumFile};
pub use merge::{MergeError, Merged};
pub use models::check_model;
pub use publish::{PublishOptions, PublishedFiles};
pub(crate) use reports::FIDELITY;
pub use row_keys::RowKeys;
pub use rows::{
    AblationRow, EmbeddingRow, GeneEffectRow, ScoreRow, ablation_batch, embedding_batch, gene_effect_batch,
    score_batch,
};
pub use verify::Damage;

pub(crate) use blocks::Blocks;
pub(crate) use find::find;
pub(crate) use rows::rounding;

pub(crate) use catalog::CATALOG;
use catalog::Catalog;
pub(crate) use recovery::is_segment_file;
use remote::Address;
pub(crate) use segment::PAGE_ROWS;
pub(crate) use {effects::PAGE_NUMBERS, groups::Groups};

/// What the name of a file or folder in the making ends in.
const PARTIAL: &str = ".partial";

/// A variant effect store. Cheap to clone; holds no file open.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    medium: Arc<dyn Medium>,
    catalog: Catalog,
    record: Arc<StoreRecord>,
    /// Where the reference is read from instead of where the record says.
    elsewhere: Option<PathBuf>,
    /// Indices of the contigs by their names.
    contigs: Arc<HashMap<String, u32>>,
    format: Format,
    /// Whether it is a published store, which nobody writes.
    published: bool,
    distributions: calibrations::Distributions,
}

/// What the catalog said at one moment, without the segments.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Models by name.
    pub models: Vec<Model>,
    /// Tracks by name.
    pub tracks: Vec<Track>,
}

impl Store {
    /// Makes a store for one reference at `root`, which must not exist or be an empty folder.
    ///
    /// # Errors
    /// When something is there already or the system refuses.
    pub fn create(root: &Path, medium: Arc<dyn Medium>, record: StoreRecord) -> Result<Self, StoreError> {
        Self::claim(root, medium.as_ref())?;
        Self::finish(root, medium, record)
    }

    /// An error when a store cannot be made at `root` because something is there already.
    ///
    /// # Errors
    /// [`StoreError::Exists`], or the system refuses.
    pub fn check_free(root: &Path, medium: &dyn Medium) -> Result<(), StoreError> {
        let exists = || StoreError::Exists { path: root.to_owned() };
        let there = match medium.list(root) {
            Err(error) if error.kind() == ErrorKind::NotADirectory => return Err(exists()),
            there => there.map_err(StoreError::io("list", root))?,
        };
        // What an `init` that was cut short leaves is not a store and may be used.
        for (path, is_folder) in there {
            let free = if is_folder {
                reference::is_unfinished_copy(&path, medium).map_err(StoreError::io("list", &path))?
            } else {
                catalog::is_unfinished(&path)
            };
            if !free {
                return Err(exists());
            }
        }
        Ok(())
    }

    /// Makes the folder of a new store, without what an `init` that was cut short left.
    fn claim(root: &Path, medium: &dyn Medium) -> Result<(), StoreError> {
        Self::check_free(root, medium)?;
        for (path, is_folder) in medium.list(root).map_err(StoreError::io("list", root))? {
            if is_folder {
                reference::remove_unfinished_copy(&path, medium)?;
            }
        }
        folders::make_root(medium, root)
    }

    /// Makes the catalog, with which a store begins to be one.
    fn finish(root: &Path, medium: Arc<dyn Medium>, record: StoreRecord) -> Result<Self, StoreError> {
        check_contigs(&record.assembly)?;
        let catalog = Catalog::new(root, Arc::clone(&medium));
        catalog.create(&record)?;
        Ok(Self::new(root, medium, catalog, record, Format::default()))
    }

    /// Opens the store at `root` to read its last committed state, also while another process is stopped in the middle
    /// of a commit. Where it goes on meanwhile, a read may fail, and succeed when it is tried again.
    ///
    /// # Errors
    /// When there is none, or its format is unknown.
    pub fn open_last_committed(root: &Path) -> Result<Self, StoreError> {
        if let Some(address) = Address::of(root)? {
            return Self::open_address(&address);
        }
        Self::open_catalog(root, Arc::new(Disk::new(root)), Catalog::without_waiting)
    }

    /// Opens the store at `root` on this machine's disk, or the published one at an address (`https://…`).
    ///
    /// # Errors
    /// When there is none, or its format is unknown.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        if let Some(address) = Address::of(root)? {
            return Self::open_address(&address);
        }
        Self::open_on(root, Arc::new(Disk::new(root)))
    }

    /// Opens the store at `root` of a medium.
    ///
    /// # Errors
    /// When there is none, or its format is unknown.
    pub fn open_on(root: &Path, medium: Arc<dyn Medium>) -> Result<Self, StoreError> {
        Self::open_catalog(root, medium, |catalog| catalog)
    }

    fn open_catalog(
        root: &Path,
        medium: Arc<dyn Medium>,
        reading: impl FnOnce(Catalog) -> Catalog,
    ) -> Result<Self, StoreError> {
        // Asked before any lock is taken, so that a mistyped path leaves no lock file behind.
        let path = root.join(CATALOG);
        match medium.open(&path, Access::Read) {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                let head = published::head(root, medium.as_ref())?;
                let head = head.ok_or_else(|| StoreError::NotAStore { path: root.to_owned() })?;
                return Self::open_published(root, medium, &head);
            }
            Err(error) => return Err(StoreError::io("open", &path)(error)),
        }
        let catalog = reading(Catalog::new(root, Arc::clone(&medium)));
        let (record, format) = catalog.read(|catalog| Ok((catalog.store()?, catalog.format()?)))?;
        Ok(Self::new(root, medium, catalog, record, format))
    }

    fn new(
        root: &Path,
        medium: Arc<dyn Medium>,
        catalog: Catalog,
        record: StoreRecord,
        format: Format,
    ) -> Self {
        let names = record.assembly.contigs.iter().map(|contig| contig.name.clone());
        let contigs = Arc::new(names.zip(0..).collect());
        Self {
            root: root.to_owned(),
            medium,
            catalog,
            record: Arc::new(record),
            elsewhere: None,
            contigs,
            format,
            published: false,
            distributions: Arc::default(),
        }
    }

    /// Its folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether it is a published store, which is read-only.
    #[must_use]
    pub fn is_published(&self) -> bool {
        self.published
    }

    /// An error when it is a published store: said before work that only a writer has a use for.
    ///
    /// # Errors
    /// [`StoreError::Published`].
    pub fn check_writable(&self) -> Result<(), StoreError> {
        if self.published { Err(StoreError::Published { path: self.root.clone() }) } else { Ok(()) }
    }

    /// Its format when it was opened.
    #[must_use]
    pub fn format(&self) -> &Format {
        &self.format
    }

    /// What people should know before the store is changed: that older programs cannot read it any more.
    #[must_use]
    pub fn format_notice(&self) -> Option<String> {
        let (found, store) = (self.format.version, self.root.display());
        (found < FORMAT_VERSION).then(|| {
            format!(
                "{store} has format version {found}; the first change raises it to {FORMAT_VERSION}, which older \
                 versions of vestore cannot read"
            )
        })
    }

    /// The contigs of its reference.
    #[must_use]
    pub fn assembly(&self) -> &Assembly {
        &self.record.assembly
    }

    /// The index of the contig that the reference spells `name`.
    #[must_use]
    pub fn contig_index(&self, name: &str) -> Option<u32> {
        self.contigs.get(name).copied()
    }

    /// The models that `model` was derived from among `models`, its parent first.
    ///
    /// # Errors
    /// When the catalog makes a model its own ancestor.
    pub fn ancestors<'a>(&self, model: &'a Model, models: &'a [Model]) -> Result<Vec<&'a Model>, StoreError> {
        vestore_schema::ancestors(model, models)
            .map_err(|error| self.catalog.broken(&model.name, error.to_string()))
    }

    /// Where a model's checkpoint or adapter lies.
    #[must_use]
    pub fn model_path(&self, model: &Model, path: &str) -> PathBuf {
        if model.copied { self.root.join(path) } else { PathBuf::from(path) }
    }

    /// Models and tracks as they are now.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.catalog.read(|catalog| Ok(Snapshot { models: catalog.models()?, tracks: catalog.tracks()? }))
    }

    /// Segments of one table, track and contig that may hold rows at 0-based `start..end`, by position.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn segments(
        &self,
        table: Table,
        track: &str,
        contig: u32,
        start: u32,
        end: u32,
    ) -> Result<Vec<Segment>, StoreError> {
        self.catalog.read(|catalog| catalog.segments(table, track, contig, start, end))
    }

    /// Every segment.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn all_segments(&self) -> Result<Vec<Segment>, StoreError> {
        self.catalog.read(|catalog| catalog.all_segments())
    }

    /// Every run, oldest first.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn runs(&self) -> Result<Vec<Run>, StoreError> {
        self.catalog.read(|catalog| catalog.runs())
    }

    /// The time now, in seconds since 1970, by the clock of its medium.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.medium.now()
    }

    /// The next run, for a track whose scores no model of this machine computed: `rows` written in one transaction from
    /// `plan`, the digest of what they were made of, by what `device` names.
    pub(crate) fn run_of_one_commit(
        &self,
        track: &Track,
        plan: Digest,
        device: &str,
        started: u64,
        rows: u64,
    ) -> Result<Run, StoreError> {
        Ok(Run {
            number: self.runs()?.last().map_or(1, |run| run.number + 1),
            track: track.name.clone(),
            table: Table::Scores,
            plan,
            shard: None,
            embeddings: false,
            variants: None,
            merged: None,
            program: format!("vestore {}", env!("CARGO_PKG_VERSION")),
            device: device.to_owned(),
            threads: 1,
            batch_tokens: None,
            started,
            finished: Some(self.now()),
            units: 1,
            committed: 1,
            rows,
            remarks: Vec::new(),
            layers: Vec::new(),
        })
    }

    /// Takes the right to write, for `purpose` (the command, for whoever else wants to write).
    ///
    /// # Errors
    /// When another process has it, or the system refuses.
    pub fn writer(&self, purpose: &str) -> Result<Writer, StoreError> {
        Writer::open(self, purpose)
    }

    /// Opens the file of a segment of this snapshot of the catalog or an older one: what was retired since lies
    /// elsewhere.
    pub(crate) fn open_segment(&self, segment: &Segment) -> io::Result<Box<dyn MediumFile>> {
        let path = segment.path();
        match self.medium.open(&self.root.join(&path), Access::Read) {
            Err(error) if error.kind() == ErrorKind::NotFound && !self.published => {
                self.medium.open(&self.root.join(retired_path(&path)), Access::Read)
            }
            file => file,
        }
    }

    /// Models, tracks, and the segments that `wanted` asks for, of one and the same moment.
    pub(crate) fn plan<T>(
        &self,
        plan: impl FnOnce(
            &Snapshot,
            &dyn Fn(&str, u32, u32, u32) -> Result<Vec<Segment>, StoreError>,
        ) -> Result<T, StoreError>,
        table: Table,
    ) -> Result<T, StoreError> {
        self.catalog.read(|catalog| {
            let snapshot = Snapshot { models: catalog.models()?, tracks: catalog.tracks()? };
            plan(&snapshot, &|track, contig, start, end| catalog.segments(table, track, contig, start, end))
        })
    }
}

/// Longest contig, in bases: positions are signed 32-bit integers.
const LONGEST_CONTIG: u32 = i32::MAX.cast_unsigned();

fn check_contigs(assembly: &Assembly) -> Result<(), StoreError> {
    match assembly.contigs.iter().find(|contig| contig.length > LONGEST_CONTIG) {
        None => Ok(()),
        Some(contig) => Err(StoreError::ContigTooLong { contig: contig.name.clone(), length: contig.length }),
    }
}
