//! Id tables that a store keeps in `ids/`, each named by its digest.

use std::collections::HashSet;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use thiserror::Error;
use vestore_schema::{Digest, IDS_ENDING, IDS_FOLDER, IdTableRecord, Variant};

use super::commit::Writer;
use super::digest::digest;
use super::error::StoreError;
use super::files::Written;
use super::medium::{Access, MediumFile};
use super::{PARTIAL, Store};
use crate::ids::{BlockWriter, IdRows, Index, Tail, read_ids, source_digest};
use crate::variants::PlanError;

/// Bytes that are gathered before a write.
const BUFFER: usize = 1 << 20;

/// Why ids cannot be added.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IdsError {
    /// The file cannot be read, or the reference.
    #[error(transparent)]
    File(#[from] PlanError),
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was added.
#[derive(Clone, Debug)]
pub struct AddedIds {
    /// The table.
    pub record: IdTableRecord,
    /// Whether the store did not have it yet.
    pub new: bool,
    /// Records of the file; 0 if the table was there.
    pub records: u64,
    /// Records without an rsID.
    pub without_id: u64,
    /// Alternate alleles that are not bases, on contigs that the reference lacks, or not of the reference.
    pub left_out: u64,
    /// What is worth knowing of the file.
    pub warnings: Vec<String>,
}

impl Store {
    /// The id tables that the store keeps, by digest.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn id_tables(&self) -> Result<Vec<IdTableRecord>, StoreError> {
        self.catalog.read(|catalog| catalog.id_tables())
    }

    /// The variants of an rsID in all id tables, each once, in order; `None` if the store has no table.
    ///
    /// # Errors
    /// When the catalog cannot be read or a file is damaged.
    pub fn variants_of_id(&self, id: u64) -> Result<Option<Vec<Variant>>, StoreError> {
        let tables = self.id_tables()?;
        let mut found = Vec::new();
        for record in &tables {
            found.extend(self.variants_in(record, id)?);
        }
        found.sort();
        found.dedup();
        Ok((!tables.is_empty()).then_some(found))
    }

    fn variants_in(&self, record: &IdTableRecord, id: u64) -> Result<Vec<Variant>, StoreError> {
        let path = self.root.join(record.path());
        let damaged = |reason: &str| StoreError::Ids { path: path.clone(), reason: reason.to_owned() };
        let file = self.open_ids(record)?;
        let read = |offset: u64, bytes: usize| {
            let mut buffer = vec![0; bytes];
            file.read_at(&mut buffer, offset).map_err(StoreError::io("read", &path)).map(|()| buffer)
        };
        let tail = record.bytes.checked_sub(Tail::BYTES as u64).ok_or_else(|| damaged("it is too short"))?;
        let tail = read(tail, Tail::BYTES)?;
        let tail =
            tail.first_chunk().and_then(Tail::parse).ok_or_else(|| damaged("it is not an id table"))?;
        let (start, bytes) = tail.index(record.bytes).ok_or_else(|| damaged("its index does not fit"))?;
        let index = Index::parse(&read(start, bytes)?, tail, start).map_err(damaged)?;
        let Some(block) = index.block(id) else { return Ok(Vec::new()) };
        if !block.is_possible() {
            return Err(damaged("a block is too long"));
        }
        block.variants(&read(block.offset, block.bytes)?, id, self.assembly()).map_err(damaged)
    }

    fn open_ids(&self, record: &IdTableRecord) -> Result<Box<dyn MediumFile>, StoreError> {
        let path = self.root.join(record.path());
        let damaged = |reason: String| Err(StoreError::Ids { path: path.clone(), reason });
        let file = match self.medium.open(&path, Access::Read) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return damaged("the file is missing".to_owned());
            }
            opened => opened.map_err(StoreError::io("open", &path))?,
        };
        let length = file.len().map_err(StoreError::io("read", &path))?;
        if length != record.bytes {
            return damaged(format!("{length} bytes long, not {}", record.bytes));
        }
        Ok(file)
    }

    /// Reads the whole file of an id table and compares it with the catalog.
    pub(super) fn check_ids(&self, record: &IdTableRecord) -> Result<(), StoreError> {
        let path = self.root.join(record.path());
        let file = self.open_ids(record)?;
        let found = digest(file.as_ref(), |error| StoreError::io("read", &path)(error), |_, _| Ok(()))?;
        if found == record.digest {
            return Ok(());
        }
        let reason = format!("checksum {} is not {}", found.short(), record.digest.short());
        Err(StoreError::Ids { path, reason })
    }

    /// Files of id tables, and their temporary forms.
    pub(super) fn id_files(&self) -> Result<Vec<PathBuf>, StoreError> {
        let folder = self.root.join(IDS_FOLDER);
        let found = self.medium.list(&folder).map_err(StoreError::io("list", &folder))?;
        Ok(found
            .into_iter()
            .filter(|(path, folder)| !folder && is_id_file(path))
            .map(|file| file.0)
            .collect())
    }

    /// Those of `files` that none of `known` names.
    pub(super) fn unnamed_id_files(&self, files: Vec<PathBuf>, known: &[IdTableRecord]) -> Vec<PathBuf> {
        let named: HashSet<PathBuf> = known.iter().map(|record| self.root.join(record.path())).collect();
        files.into_iter().filter(|path| !named.contains(path)).collect()
    }

    /// Removes files of id tables that the catalog does not name. Only the holder of the writer lock may call it.
    pub(super) fn remove_unnamed_id_files(&self) -> Result<(), StoreError> {
        for path in self.unnamed_id_files(self.id_files()?, &self.id_tables()?) {
            self.medium.remove(&path).map_err(StoreError::io("remove", &path))?;
        }
        Ok(())
    }
}

/// Name of a file that is being written, whose digest is not known yet.
const UNFINISHED: &str = "new";

/// Whether a file is named as id tables and their temporary forms are.
fn is_id_file(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let Some(stem) = name.strip_suffix(PARTIAL).unwrap_or(name).strip_suffix(IDS_ENDING) else {
        return false;
    };
    stem == UNFINISHED || (stem.len() == 64 && stem.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl Writer {
    /// Keeps the rsIDs of a VCF. A damaged file of the same table is replaced.
    ///
    /// # Errors
    /// When the file cannot be read, is of another assembly or has no rsID, or the system refuses.
    pub fn add_ids(&mut self, file: &Path) -> Result<AddedIds, IdsError> {
        let store = self.store().clone();
        let source = source_digest(file)?;
        let known = store.id_tables()?.into_iter().find(|record| record.source == source);
        let none = (0, 0, 0, Vec::new());
        if let Some(record) = known.filter(|known| store.check_ids(known).is_ok()) {
            let (records, without_id, left_out, warnings) = none;
            return Ok(AddedIds { record, new: false, records, without_id, left_out, warnings });
        }
        let name = file.file_name().map_or_else(|| "-".into(), |name| name.to_string_lossy()).into_owned();
        let mut reference = store.open_reference().map_err(PlanError::from)?;
        let mut rows = read_ids(file, store.assembly(), &mut reference)?;
        let (record, written) = self.guarded(|writer| Ok(writer.write_ids(name, source, &mut rows)))??;
        self.guarded(|writer| {
            writer.files().push(written)?;
            writer.settle()?;
            writer.store().catalog.write(|catalog| catalog.put_id_table(&record))
        })?;
        let IdRows { records, without_id, left_out, warnings, .. } = rows;
        Ok(AddedIds { record, new: true, records, without_id, left_out, warnings })
    }

    fn write_ids(
        &mut self,
        name: String,
        source: Digest,
        rows: &mut IdRows,
    ) -> Result<(IdTableRecord, Written), IdsError> {
        let unfinished = format!("{IDS_FOLDER}/{UNFINISHED}{IDS_ENDING}{PARTIAL}");
        self.files().make_folders(&unfinished)?;
        let store = self.store().clone();
        let temporary = store.root.join(unfinished);
        let file =
            store.medium.open(&temporary, Access::Create).map_err(StoreError::io("create", &temporary))?;
        let failed = |error| StoreError::io("write", &temporary)(error);
        let hashed = Hashed { file: Arc::from(file), written: 0, hash: Sha256::new() };
        let out = io::BufWriter::with_capacity(BUFFER, hashed);
        let mut blocks = BlockWriter::new(out, store.assembly());
        for row in rows {
            blocks.push(&row?).map_err(failed)?;
        }
        let (ids, variants) = (blocks.ids, blocks.rows);
        let out = blocks.finish().map_err(failed)?;
        let Hashed { file, written, hash } = out.into_inner().map_err(|error| failed(error.into_error()))?;
        let digest = <[u8; 32]>::from(hash.finalize()).into();
        let record = IdTableRecord { digest, name, source, ids, variants, bytes: written };
        record.check(&digest.to_string()).map_err(|error| StoreError::Conflict {
            kind: "id table",
            name: record.name.clone(),
            reason: error.to_string(),
        })?;
        let place = store.root.join(record.path());
        Ok((record, Written { temporary, place, file: Some(file) }))
    }
}

/// A file written from its start to its end, digested on the way.
struct Hashed {
    file: Arc<dyn MediumFile>,
    written: u64,
    hash: Sha256,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(bytes, self.written)?;
        self.hash.update(bytes);
        self.written += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
