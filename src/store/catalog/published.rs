//! The catalog of a published store: a new file of the same rows, which is the same whenever they are.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;
use vestore_schema::catalog::{FORMAT, META};
use vestore_schema::{Format, Model, Published, Segment, StoreRecord};

use super::{CATALOG, Catalog, CatalogRead, CatalogWrite};
use crate::narrow::to_usize;
use crate::store::error::StoreError;
use crate::store::medium::Medium;

impl Catalog {
    /// The catalog of a published store, which is never written, so that nobody waits.
    pub(crate) fn of_published(store: &Path, medium: Arc<dyn Medium>, head: &Published) -> Self {
        Self { name: head.catalog.clone(), waits: false, ..Self::new(store, medium) }
    }

    /// The error of a catalog that is not there.
    pub(super) fn missing(&self) -> StoreError {
        if self.name == CATALOG {
            StoreError::NotAStore { path: self.store.clone() }
        } else {
            StoreError::Incomplete { path: self.path() }
        }
    }
}

impl CatalogRead<'_> {
    /// The bytes of a catalog with these records and all else that this one says, but of what was retired.
    pub(crate) fn published(&self, record: &StoreRecord, models: &[Model]) -> Result<Vec<u8>, StoreError> {
        let memory = Memory::default();
        let mut database = self.catalog.database(memory.clone())?;
        let transaction = database.begin_write().map_err(|error| self.catalog.failed(error))?;
        let write = CatalogWrite { transaction, catalog: self.catalog };
        self.fill(&write, record, models)?;
        write.transaction.commit().map_err(|error| self.catalog.failed(error))?;
        database.compact().map_err(|error| self.catalog.failed(error))?;
        drop(database);
        Ok(std::mem::take(&mut memory.bytes()))
    }

    fn fill(
        &self,
        write: &CatalogWrite<'_>,
        record: &StoreRecord,
        models: &[Model],
    ) -> Result<(), StoreError> {
        let format: Format = self.format()?;
        write.put(META, FORMAT, &format)?;
        write.put_store(record)?;
        write.put_next_segment(self.next_segment()?)?;
        write.make_tables()?;
        models.iter().try_for_each(|model| write.put_model(model))?;
        for track in self.tracks()? {
            if let Some(targets) = &track.targets {
                write.put_targets(&self.target_names(targets)?)?;
            }
            write.put_track(&track)?;
            for calibration in &track.calibrations {
                write.put_calibration(calibration, &self.distribution(calibration.distribution)?)?;
            }
        }
        let contigs: HashMap<&str, u32> =
            record.assembly.contigs.iter().map(|contig| contig.name.as_str()).zip(0..).collect();
        let segments = self.all_segments()?.into_iter();
        // Reading a segment checked that its contig is one of the store's.
        let segments: Vec<(u32, Segment)> =
            segments.map(|segment| (contigs[segment.contig.as_str()], segment)).collect();
        write.put_segments(&segments)?;
        self.runs()?.iter().try_for_each(|run| write.put_run(run))?;
        self.gene_tables()?.iter().try_for_each(|table| write.put_gene_table(table))?;
        self.reports()?.iter().try_for_each(|report| write.put_report(report))
    }
}

/// A file in memory.
#[derive(Clone, Debug, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StorageBackend for Memory {
    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let from = to_usize(offset);
        let bytes = self.bytes();
        out.copy_from_slice(bytes.get(from..from + out.len()).ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.bytes().resize(to_usize(length), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let from = to_usize(offset);
        let mut bytes = self.bytes();
        bytes.get_mut(from..from + data.len()).ok_or(ErrorKind::UnexpectedEof)?.copy_from_slice(data);
        Ok(())
    }
}
