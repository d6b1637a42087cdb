//! Publishing: one moment of a store as a folder that can be copied to any server, and read there.
//!
//! Segments, then the catalog, whose name is its digest, then the head that names it. So whatever stops the
//! publishing, or the copying of the folder in the order of names, leaves the old state or the new one.

mod folder;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vestore_schema::{
    Architecture, GeneTableRecord, IdTableRecord, Model, PUBLISHED_FILE, Published, Segment, StoreRecord,
};

use super::Store;
use super::disk::Disk;
use super::error::StoreError;
use super::medium::{Access, Medium, MediumFile};
use super::reference::{COPY, ENDINGS, write_copy};
use folder::{Folder, Wanted};

/// What is published, and what becomes of what was published before.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublishOptions {
    /// Publish the reference too, as a copy.
    pub reference: bool,
    /// Publish the copies of models too.
    pub models: bool,
    /// Remove the files that only earlier states have.
    pub prune: bool,
}

/// What publishing did.
#[derive(Clone, Debug, Default)]
pub struct PublishedFiles {
    /// Files of the published store.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files among them that were not there before.
    pub new_files: u64,
    /// Their bytes.
    pub new_bytes: u64,
    /// Files that only earlier states have, relative to the folder: left, or removed if that was asked for.
    pub earlier: Vec<PathBuf>,
    /// Models that were asked for and of which the store has no copy.
    pub missing_models: Vec<String>,
}

/// What a store says at one moment, as it is published.
struct Moment {
    models: Vec<Model>,
    missing_models: Vec<String>,
    segments: Vec<Segment>,
    genes: Vec<GeneTableRecord>,
    ids: Vec<IdTableRecord>,
    catalog: Vec<u8>,
}

impl Store {
    /// Publishes the store into `folder`: new, empty, or published before from the same store. `progress` is told the
    /// bytes that are done.
    ///
    /// # Errors
    /// When the folder is something else, a file is missing or damaged, or the system refuses.
    pub fn publish(
        &self,
        folder: &Path,
        options: PublishOptions,
        progress: impl FnMut(u64),
    ) -> Result<PublishedFiles, StoreError> {
        self.publish_on(folder, Arc::new(Disk::new(folder)), options, progress)
    }

    /// As [`Store::publish`], into a folder of a medium.
    ///
    /// # Errors
    /// As for [`Store::publish`].
    pub fn publish_on(
        &self,
        root: &Path,
        medium: Arc<dyn Medium>,
        options: PublishOptions,
        mut progress: impl FnMut(u64),
    ) -> Result<PublishedFiles, StoreError> {
        let mut folder = Folder::claim(root, medium, self)?;
        let moment = self.moment(options)?;
        let mut files: BTreeSet<PathBuf> = BTreeSet::new();
        let mut put = |wanted: Wanted, open: &dyn Fn() -> Result<Box<dyn MediumFile>, StoreError>| {
            // Models that were derived from a copied one have its files.
            if files.insert(wanted.path.clone().into()) {
                folder.put(&wanted, open)?;
                progress(folder.done.bytes);
            }
            Ok::<_, StoreError>(())
        };
        for segment in &moment.segments {
            let wanted =
                Wanted { path: segment.path(), bytes: segment.bytes, checksum: Some(segment.checksum) };
            put(wanted, &|| {
                let path = self.root.join(segment.path());
                self.open_segment(segment).map_err(StoreError::io("open", &path))
            })?;
        }
        for table in &moment.genes {
            let wanted = Wanted { path: table.path(), bytes: table.bytes, checksum: Some(table.digest) };
            put(wanted, &|| self.open_file(&table.path()))?;
            if let Some(names) = &table.names {
                let wanted = Wanted { path: names.path(), bytes: names.bytes, checksum: Some(names.digest) };
                put(wanted, &|| self.open_file(&names.path()))?;
            }
        }
        for table in &moment.ids {
            let wanted = Wanted { path: table.path(), bytes: table.bytes, checksum: Some(table.digest) };
            put(wanted, &|| self.open_file(&table.path()))?;
        }
        for file in moment.models.iter().flat_map(|model| &model.files) {
            let wanted = Wanted { path: file.path.clone(), bytes: file.bytes, checksum: Some(file.sha256) };
            put(wanted, &|| self.open_file(&file.path))?;
        }
        if options.reference && self.record.copied {
            for ending in ENDINGS {
                let path = format!("{}{ending}", self.record.reference);
                let file = self.open_file(&path)?;
                let bytes = file.len().map_err(StoreError::io("read", &self.root.join(&path)))?;
                put(Wanted { path: path.clone(), bytes, checksum: None }, &|| self.open_file(&path))?;
            }
        } else if options.reference {
            let copy = ENDINGS.map(|ending| PathBuf::from(format!("{COPY}{ending}")));
            folder.put_copy(&copy, |medium| write_copy(root, medium, &mut self.open_reference()?))?;
            files.extend(copy);
        }
        let head = Published::of(&moment.catalog);
        files.extend([PathBuf::from(&head.catalog), PathBuf::from(PUBLISHED_FILE)]);
        folder.finish(&head, &moment.catalog)?;
        let earlier = folder.clean(&files, options.prune)?;
        let done = folder.release()?;
        Ok(PublishedFiles { earlier, missing_models: moment.missing_models, ..done })
    }

    /// Opens a file of the store by its path below it.
    fn open_file(&self, path: &str) -> Result<Box<dyn MediumFile>, StoreError> {
        let path = self.root.join(path);
        self.medium.open(&path, Access::Read).map_err(StoreError::io("open", &path))
    }

    /// What the store says now, without places of this machine.
    fn moment(&self, options: PublishOptions) -> Result<Moment, StoreError> {
        self.catalog.read(|catalog| {
            let stored = catalog.store()?;
            let reference = match (options.reference, stored.copied) {
                (true, true) => stored.reference,
                (true, false) => COPY.to_owned(),
                (false, _) => String::new(),
            };
            let record = StoreRecord { reference, copied: options.reference, ..stored };
            let has_files = |model: &Model| model.copied && !model.files.is_empty();
            let stored = catalog.models()?;
            let missing = stored.iter().filter(|model| options.models && !has_files(model));
            let missing_models = missing.map(|model| model.name.clone()).collect();
            let models: Vec<Model> = stored
                .into_iter()
                .map(|model| if options.models && has_files(&model) { model } else { without_files(model) })
                .collect();
            let catalog_bytes = catalog.published(&record, &models)?;
            Ok(Moment {
                segments: catalog.all_segments()?,
                genes: catalog.gene_tables()?,
                ids: catalog.id_tables()?,
                models,
                missing_models,
                catalog: catalog_bytes,
            })
        })
    }
}

/// A model whose files are elsewhere.
fn without_files(mut model: Model) -> Model {
    model.checkpoint = String::new();
    model.adapter = model.adapter.map(|_| String::new());
    (model.copied, model.files) = (false, Vec::new());
    if let Architecture::Regulatory(record) = &mut model.architecture {
        record.targets_file = record.targets_file.take().map(|_| String::new());
    }
    model
}
