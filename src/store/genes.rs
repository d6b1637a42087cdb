//! Gene tables that a store keeps in `genes/`, each named by its digest, so that tracks that were scored with one can be
//! recomputed wherever the store lies.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use vestore_schema::{
    Digest, GENE_NAMES_ENDING, GENES_ENDING, GENES_FOLDER, GeneNamesRecord, GeneTableRecord, Region, nearest,
};

use super::catalog::CatalogWrite;
use super::commit::Writer;
use super::error::StoreError;
use super::medium::Access;
use super::{PARTIAL, Store};
use crate::genes::{GeneTable, NamedGene};
use crate::narrow::to_usize;

/// Longer words are not compared with names.
const LONGEST_NAME: usize = 64;

/// The genes of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CalledGenes {
    /// By table, then place.
    pub genes: Vec<CalledGene>,
    /// Up to three names of genes that look like it, nearest first, if there is none.
    pub near: Vec<String>,
    /// Gene tables of the store.
    pub tables: usize,
    /// Those of them that older programs added: they have ids alone.
    pub bare: usize,
}

/// A gene of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalledGene {
    /// As its table names it.
    pub id: String,
    /// Name of the file of its table.
    pub table: String,
    /// From the first base of its first exon to the last of its last one.
    pub region: Region,
}

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

    /// The genes that are called `name`, in all gene tables.
    ///
    /// # Errors
    /// When the catalog cannot be read or a file is damaged.
    pub fn genes_called(&self, name: &str) -> Result<CalledGenes, StoreError> {
        let mut called = CalledGenes::default();
        let mut near = Vec::new();
        for record in self.gene_tables()? {
            called.tables += 1;
            called.bare += usize::from(record.names.is_none());
            let text = match &record.names {
                Some(names) => self.gene_text(&names.path(), &names.digest, names.bytes)?,
                None => self.kept_gene_table(&record)?.names(self.assembly()),
            };
            let mut names = Vec::new();
            for (number, line) in (1..).zip(text.lines()) {
                let Some(gene) = NamedGene::parse(line) else {
                    let reason = format!("line {number} of its names is not a gene");
                    return Err(self.damaged_genes(&record.path(), reason));
                };
                if gene.is_called(name)
                    && let Some(region) = gene.region(self.assembly())
                {
                    let (id, table) = (gene.id.to_owned(), record.name.clone());
                    called.genes.push(CalledGene { id, table, region });
                }
                let shown = if gene.name.is_empty() { gene.id } else { gene.name };
                names.extend((shown.len() <= LONGEST_NAME).then_some(shown));
            }
            if called.genes.is_empty() && name.len() <= LONGEST_NAME {
                names.sort_unstable();
                names.dedup();
                near.extend(nearest(name, names, |name| name).into_iter().map(str::to_owned));
            }
        }
        near.sort_unstable();
        near.dedup();
        let nearest = nearest(name, near.iter().map(String::as_str), |name| name);
        called.near = nearest.into_iter().map(str::to_owned).collect();
        Ok(called)
    }

    /// The gene table of a record.
    pub(super) fn kept_gene_table(&self, record: &GeneTableRecord) -> Result<GeneTable, StoreError> {
        let text = self.gene_table_text(record)?;
        let damaged = |reason| self.damaged_genes(&record.path(), reason);
        let mut table = GeneTable::parse(&text, self.assembly()).map_err(damaged)?;
        // Lines in another order are another text for the same genes.
        if table.digest() != record.digest || table.genes().len() as u64 != record.genes {
            return Err(damaged("not the genes that the catalog names".to_owned()));
        }
        if let Some(names) = &record.names {
            let text = self.gene_text(&names.path(), &names.digest, names.bytes)?;
            table.set_names(&text).map_err(|reason| self.damaged_genes(&names.path(), reason))?;
        }
        Ok(table)
    }

    fn damaged_genes(&self, path: &str, reason: String) -> StoreError {
        StoreError::Genes { path: self.root.join(path), reason }
    }

    /// What the file of a gene table holds, which is what its digest says.
    fn gene_table_text(&self, record: &GeneTableRecord) -> Result<String, StoreError> {
        self.gene_text(&record.path(), &record.digest, record.bytes)
    }

    /// A file of `bytes` bytes with this digest.
    fn gene_text(&self, path: &str, digest: &Digest, bytes: u64) -> Result<String, StoreError> {
        let damaged = |reason| Err(self.damaged_genes(path, reason));
        let path = self.root.join(path);
        let opened = match self.medium.open(&path, Access::Read) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return damaged("the file is missing".to_owned());
            }
            opened => opened.map_err(StoreError::io("open", &path))?,
        };
        let length = opened.len().map_err(StoreError::io("read", &path))?;
        if length != bytes {
            return damaged(format!("{length} bytes long, not {bytes}"));
        }
        let mut bytes = vec![0; to_usize(length)];
        opened.read_at(&mut bytes, 0).map_err(StoreError::io("read", &path))?;
        let found = Digest::of(&bytes);
        if found != *digest {
            return damaged(format!("checksum {} is not {}", found.short(), digest.short()));
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
        let named: HashSet<PathBuf> = known
            .iter()
            .flat_map(|record| [Some(record.path()), record.names.as_ref().map(GeneNamesRecord::path)])
            .flatten()
            .map(|path| self.root.join(path))
            .collect();
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

/// Whether the names of a known table are these. Names are never taken away by a file that has none.
fn is_named(known: &GeneTableRecord, names: &str, table: &GeneTable) -> bool {
    let same = known.names.as_ref().is_some_and(|known| known.digest == Digest::of(names.as_bytes()));
    same || table.genes().iter().all(|gene| gene.name.is_none())
}

/// Whether a file is named as gene tables and their temporary forms are.
fn is_gene_file(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = name.strip_suffix(PARTIAL).unwrap_or(name);
    let digest = name.strip_suffix(GENE_NAMES_ENDING).or_else(|| name.strip_suffix(GENES_ENDING));
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
        let known = known.filter(|known| store.kept_gene_table(known).is_ok());
        let (text, names) = (table.text(store.assembly()), table.names(store.assembly()));
        if let Some(known) =
            known.as_ref().filter(|known| known.names.is_some() && is_named(known, &names, table))
        {
            return Ok((known.clone(), false));
        }
        let record = GeneTableRecord {
            digest: table.digest(),
            name: name.to_owned(),
            genes: table.genes().len() as u64,
            bytes: text.len() as u64,
            names: Some(GeneNamesRecord { digest: Digest::of(names.as_bytes()), bytes: names.len() as u64 }),
        };
        record.check(&record.digest.to_string()).map_err(|error| StoreError::Conflict {
            kind: "gene table",
            name: name.to_owned(),
            reason: error.to_string(),
        })?;
        let place = record.names.as_ref().map(GeneNamesRecord::path).unwrap_or_default();
        // Until the record names it, it is a file that the next writer removes.
        let put = |catalog: &CatalogWrite<'_>| catalog.put_gene_table(&record);
        if known.is_some() {
            self.put_file(&place, names.as_bytes(), put)?;
        } else {
            self.put_file(&place, names.as_bytes(), |_| Ok(()))?;
            self.put_file(&record.path(), text.as_bytes(), put)?;
        }
        Ok((record, true))
    }
}
