//! Gene tables that a store keeps in `genes/`, each named by its digest, so that tracks that were scored with one can be
//! recomputed wherever the store lies.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use vestore_schema::{Digest, GENES_ENDING, GENES_FOLDER, GeneTableRecord};

use super::commit::Writer;
use super::error::StoreError;
use super::medium::Access;
use super::{PARTIAL, Store};
use crate::genes::GeneTable;
use crate::narrow::to_usize;

impl Store {
    /// The gene tables that the store keeps, by digest.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn gene_tables(&self) -> Result<Vec<GeneTableRecord>, StoreError> {
        self.catalog.read(|catalog| catalog.gene_tables())
    }

    /// The gene table of a digest; none where the store does not keep it.
    ///
    /// # Errors
    /// When the catalog cannot be read or the file is damaged.
    pub fn gene_table(&self, digest: Digest) -> Result<Option<GeneTable>, StoreError> {
        let known = self.gene_tables()?;
        let record = known.iter().find(|record| record.digest == digest);
        record.map(|record| self.kept_gene_table(record)).transpose()
    }

    /// The gene table of a record.
    pub(super) fn kept_gene_table(&self, record: &GeneTableRecord) -> Result<GeneTable, StoreError> {
        let text = self.gene_table_text(record)?;
        let table = GeneTable::parse(&text, self.assembly());
        let table = table.map_err(|reason| self.damaged_genes(record, reason))?;
        // Lines in another order are another text for the same genes.
        if table.digest() != record.digest || table.genes().len() as u64 != record.genes {
            return Err(self.damaged_genes(record, "not the genes that the catalog names".to_owned()));
        }
        Ok(table)
    }

    fn damaged_genes(&self, record: &GeneTableRecord, reason: String) -> StoreError {
        StoreError::Genes { path: self.root.join(record.path()), reason }
    }

    /// What the file of a gene table holds, which is what its digest says.
    pub(super) fn gene_table_text(&self, record: &GeneTableRecord) -> Result<String, StoreError> {
        let path = self.root.join(record.path());
        let damaged = |reason| Err(self.damaged_genes(record, reason));
        let opened = match self.medium.open(&path, Access::Read) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return damaged("the file is missing".to_owned());
            }
            opened => opened.map_err(StoreError::io("open", &path))?,
        };
        let length = opened.len().map_err(StoreError::io("read", &path))?;
        if length != record.bytes {
            return damaged(format!("{length} bytes long, not {}", record.bytes));
        }
        let mut bytes = vec![0; to_usize(length)];
        opened.read_at(&mut bytes, 0).map_err(StoreError::io("read", &path))?;
        let found = Digest::of(&bytes);
        if found != record.digest {
            return damaged(format!("checksum {} is not {}", found.short(), record.digest.short()));
        }
        String::from_utf8(bytes).or_else(|_| damaged("not UTF-8".to_owned()))
    }

    /// Files of gene tables.
    pub(super) fn gene_files(&self) -> Result<Vec<PathBuf>, StoreError> {
        let folder = self.root.join(GENES_FOLDER);
        let found = self.medium.list(&folder).map_err(StoreError::io("list", &folder))?;
        Ok(found
            .into_iter()
            .filter(|(path, folder)| !folder && is_gene_file(path))
            .map(|file| file.0)
            .collect())
    }

    /// Those of `files` that none of `known` names.
    pub(super) fn unnamed_gene_files(&self, files: Vec<PathBuf>, known: &[GeneTableRecord]) -> Vec<PathBuf> {
        let named: HashSet<PathBuf> = known.iter().map(|record| self.root.join(record.path())).collect();
        files.into_iter().filter(|path| !named.contains(path)).collect()
    }

    /// Removes files of gene tables that the catalog does not name. Only the holder of the writer lock may call it.
    pub(super) fn remove_unnamed_gene_files(&self) -> Result<(), StoreError> {
        for path in self.unnamed_gene_files(self.gene_files()?, &self.gene_tables()?) {
            self.medium.remove(&path).map_err(StoreError::io("remove", &path))?;
        }
        Ok(())
    }
}

/// Whether a file is named as gene tables and their temporary forms are.
fn is_gene_file(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let digest = name.strip_suffix(PARTIAL).unwrap_or(name).strip_suffix(GENES_ENDING);
    digest.is_some_and(|digest| digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

impl Writer {
    /// Keeps a gene table that was read from a file called `name`; returns its record, and whether it is new. A damaged
    /// file of the same table is replaced.
    ///
    /// # Errors
    /// When the name has control characters, the table is too large or the system refuses.
    pub fn put_gene_table(
        &mut self,
        name: &str,
        table: &GeneTable,
    ) -> Result<(GeneTableRecord, bool), StoreError> {
        let store = self.store().clone();
        let known = store.gene_tables()?.into_iter().find(|record| record.digest == table.digest());
        if let Some(known) = known.filter(|known| store.gene_table_text(known).is_ok()) {
            return Ok((known, false));
        }
        let text = table.text(store.assembly());
        let record = GeneTableRecord {
            digest: table.digest(),
            name: name.to_owned(),
            genes: table.genes().len() as u64,
            bytes: text.len() as u64,
        };
        record.check(&record.digest.to_string()).map_err(|error| StoreError::Conflict {
            kind: "gene table",
            name: name.to_owned(),
            reason: error.to_string(),
        })?;
        self.put_file(&record.path(), text.as_bytes(), |catalog| catalog.put_gene_table(&record))?;
        Ok((record, true))
    }
}
