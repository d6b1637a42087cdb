//! The catalog: a redb file that says what the store holds. It is open only for the milliseconds of one
//! snapshot or one commit, so that many processes can share a store.
//!
//! Readers share a lock, a writer has it alone, and both pass a turnstile first: a writer that waits
//! holds the turnstile, so readers that come in a loop cannot keep it out for ever.

mod calibrations;
mod genes;
mod published;
mod reports;
mod targets;

use std::io::ErrorKind::{self, InvalidData, UnexpectedEof};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use redb::{
    Builder, Database, ReadTransaction, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition,
    WriteTransaction,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use vestore_schema::catalog::{FORMAT, META, MODELS, NEXT_SEGMENT, REPORTS, RETIRED, RUNS, SEGMENTS, STORE};
use vestore_schema::{
    Assembly, FORMAT_VERSION, Format, Model, RecordError, Run, Segment, StoreRecord, Table, Track,
};

use super::commit::lock_holder;
use super::error::StoreError;
use super::medium::{Access, Guard, Lock, Medium, MediumFile};
use super::overlay::Overlay;

/// The catalog's file in a store.
pub(crate) const CATALOG: &str = "catalog.redb";
/// The catalog of a store in the making.
const UNFINISHED: &str = "catalog.redb.partial";
/// Locked shared by readers of the catalog, exclusively by a commit.
const CATALOG_LOCK: &str = "catalog.lock";
/// Passed by everybody on the way to the catalog's lock.
const TURNSTILE: &str = "catalog.turnstile";

/// Whether a file is one that making a store leaves when it is cut short.
pub(crate) fn is_unfinished(path: &Path) -> bool {
    path.file_name().is_some_and(|name| [CATALOG_LOCK, TURNSTILE, UNFINISHED].iter().any(|own| name == *own))
}

/// Opens the catalog of one store for one snapshot or one commit at a time.
#[derive(Clone, Debug)]
pub(crate) struct Catalog {
    store: PathBuf,
    /// Name of its file.
    name: String,
    medium: Arc<dyn Medium>,
    /// Whether readers wait for a commit to end.
    waits: bool,
    /// The contigs that segments lie on, read once.
    assembly: Arc<OnceLock<Assembly>>,
}

/// The catalog as one reader has it open.
struct Opened {
    file: Database,
    sealed: Arc<AtomicBool>,
}

impl Drop for Opened {
    /// When redb closes a file it commits once more, and on a damaged one it may panic within a panic, which
    /// ends the program. A check that finds the file unreadable makes it close without.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.sealed.store(true, Ordering::Relaxed);
            drop(self.file.check_integrity());
        }
    }
}

impl Catalog {
    pub(crate) fn new(store: &Path, medium: Arc<dyn Medium>) -> Self {
        let (store, name) = (store.to_owned(), CATALOG.to_owned());
        Self { store, name, medium, waits: true, assembly: Arc::default() }
    }

    /// The same, read without waiting for a commit to end: as the last one that did left it.
    pub(crate) fn without_waiting(self) -> Self {
        Self { waits: false, ..self }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.store.join(&self.name)
    }

    /// Makes the catalog of a new store.
    pub(crate) fn create(&self, record: &StoreRecord) -> Result<(), StoreError> {
        let _guard = self.lock(Lock::Exclusive)?;
        let path = self.path();
        if self.medium.open(&path, Access::Read).is_ok() {
            return Err(StoreError::Exists { path: self.store.clone() });
        }
        let unfinished = self.store.join(UNFINISHED);
        let file =
            self.medium.open(&unfinished, Access::Create).map_err(StoreError::io("create", &unfinished))?;
        self.transact(file, |write| {
            write.put(META, FORMAT, &Format::default())?;
            write.put(META, STORE, record)?;
            write.put(META, NEXT_SEGMENT, &1_u64)?;
            write.make_tables()
        })?;
        // redb marks the file as closed without waiting for the medium.
        let file =
            self.medium.open(&unfinished, Access::Update).map_err(StoreError::io("open", &unfinished))?;
        file.sync().map_err(StoreError::io("sync", &unfinished))?;
        self.medium.rename(&unfinished, &path).map_err(StoreError::io("rename", &unfinished))?;
        self.medium.sync_folder(&self.store).map_err(StoreError::io("sync the folder", &self.store))
    }

    /// Runs `read` on one consistent state.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&CatalogRead<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let _guard = self.lock(Lock::Shared)?;
        self.caught(|| {
            let database = self.open_to_read()?;
            let transaction = database.file.begin_read().map_err(|error| self.failed(error))?;
            let reader = CatalogRead { transaction, catalog: self };
            reader.format()?;
            read(&reader)
        })
    }

    /// Runs `work` on the file; redb panics where a damaged file leads it astray.
    fn caught<T>(&self, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
            Err(self.failed(redb::Error::Corrupted(format!("its reader gave up ({text})"))))
        })
    }

    /// Reads the whole file; damage anywhere is an error.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let _guard = self.lock(Lock::Shared)?;
        let damaged = || redb::Error::Corrupted("its pages are not what their checksums say".to_owned());
        self.caught(|| {
            let whole = self.open_to_read()?.file.check_integrity().map_err(|error| self.failed(error))?;
            if whole { Ok(()) } else { Err(self.failed(damaged())) }
        })
    }

    /// Makes durable what the file says now, which a writer that failed may have left unsynced.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        let path = self.path();
        let file = self.medium.open(&path, Access::Update).map_err(StoreError::io("open", &path))?;
        file.sync().map_err(StoreError::io("sync", &path))
    }

    fn open_to_read(&self) -> Result<Opened, StoreError> {
        let path = self.path();
        let file = match self.medium.open(&path, Access::Read) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(self.missing()),
            file => file.map_err(StoreError::io("open", &path))?,
        };
        let sealed = Arc::new(AtomicBool::new(false));
        let overlay = Overlay::new(file, Arc::clone(&sealed)).map_err(StoreError::io("read", &path))?;
        Ok(Opened { file: self.database(overlay)?, sealed })
    }

    /// Runs `write` in one transaction, durable when this returns, or without any effect.
    pub(crate) fn write<T>(
        &self,
        write: impl FnOnce(&CatalogWrite<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let _guard = self.lock(Lock::Exclusive)?;
        let path = self.path();
        let file = self.medium.open(&path, Access::Update).map_err(StoreError::io("open", &path))?;
        self.caught(|| {
            self.transact(file, |catalog| {
                catalog.raise_format()?;
                write(catalog)
            })
        })
    }

    fn transact<T>(
        &self,
        file: Box<dyn MediumFile>,
        write: impl FnOnce(&CatalogWrite<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let database = self.database(CatalogFile(file))?;
        let transaction = database.begin_write().map_err(|error| self.failed(error))?;
        let writer = CatalogWrite { transaction, catalog: self };
        let result = write(&writer)?;
        writer.transaction.commit().map_err(|error| self.failed(error))?;
        Ok(result)
    }

    fn database(&self, backend: impl StorageBackend) -> Result<Database, StoreError> {
        // The cache lives as long as one snapshot; a small one holds all that is read in that time.
        let mut builder = Builder::new();
        builder.set_cache_size(16 << 20);
        builder.create_with_backend(backend).map_err(|error| self.failed(error))
    }

    fn lock(&self, lock: Lock) -> Result<Option<Guard>, StoreError> {
        let _passing = self.pass(lock)?;
        self.take(CATALOG_LOCK, lock)
    }

    /// Locks the turnstile.
    pub(super) fn pass(&self, lock: Lock) -> Result<Option<Guard>, StoreError> {
        self.take(TURNSTILE, lock)
    }

    fn take(&self, name: &str, lock: Lock) -> Result<Option<Guard>, StoreError> {
        if lock == Lock::Shared && !self.waits {
            return Ok(None);
        }
        let path = self.store.join(name);
        match self.medium.lock(&path, lock) {
            Err(error) if lock == Lock::Shared && error.kind() == ErrorKind::TimedOut => {
                let holder = lock_holder(&self.medium, &self.store);
                Err(StoreError::Busy { path: self.store.clone(), holder })
            }
            // A lock file that is missing and cannot be made: nobody can write the catalog either.
            Err(error) if lock == Lock::Shared && error.kind() == ErrorKind::NotFound => Ok(None),
            guard => guard.map_err(StoreError::io("lock", &path)),
        }
    }

    fn failed(&self, source: impl Into<redb::Error>) -> StoreError {
        match source.into() {
            // What redb itself finds wrong with a file is not a refusal of the system.
            redb::Error::Io(reason) if !matches!(reason.kind(), InvalidData | UnexpectedEof) => {
                StoreError::io("use the catalog", &self.path())(reason)
            }
            source => StoreError::Catalog { path: self.path(), source: Box::new(source) },
        }
    }

    /// A record, which must be what was written under its key.
    fn decode<T: DeserializeOwned>(&self, key: &str, bytes: &[u8]) -> Result<T, StoreError> {
        let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
        let json = parts.next().unwrap_or_default();
        let sum = parts.next().ok_or_else(|| self.broken(key, "it has no checksum".to_owned()))?;
        if sum != record_sum(key, json).as_bytes() {
            return Err(self.broken(key, "it is not what its checksum says".to_owned()));
        }
        serde_json::from_slice(json).map_err(|error| self.broken(key, error.to_string()))
    }

    fn check_format(&self, format: &Format) -> Result<(), StoreError> {
        Ok(format.check(&format!("the store {}", self.store.display()))?)
    }

    /// The error of a record that is not what it should be.
    pub(super) fn broken(&self, key: &str, reason: String) -> StoreError {
        StoreError::Record { path: self.path(), key: key.to_owned(), reason }
    }
}

/// One consistent state of the catalog.
pub(crate) struct CatalogRead<'a> {
    transaction: ReadTransaction,
    catalog: &'a Catalog,
}

/// Table, track, contig index, 0-based first position, number.
type SegmentKey<'a> = (&'a str, &'a str, u32, u32, u64);

fn key_of(contig: u32, segment: &Segment) -> SegmentKey<'_> {
    let first = segment.first.zero_based();
    (segment.table.as_str(), &segment.track, contig, first, segment.number)
}

impl CatalogRead<'_> {
    /// The format of the catalog, which this program knows.
    pub(crate) fn format(&self) -> Result<Format, StoreError> {
        let format: Format = self.meta(FORMAT)?;
        self.catalog.check_format(&format)?;
        Ok(format)
    }

    /// One of the records that every catalog has.
    fn meta<T: DeserializeOwned>(&self, key: &str) -> Result<T, StoreError> {
        let table = self.transaction.open_table(META).map_err(|error| self.catalog.failed(error))?;
        let value = table.get(key).map_err(|error| self.catalog.failed(error))?;
        let value = value.ok_or_else(|| self.catalog.broken(key, "it is missing".to_owned()))?;
        self.catalog.decode(key, value.value())
    }

    fn all<T: DeserializeOwned>(
        &self,
        table: TableDefinition<'_, &'static str, &'static [u8]>,
        check: impl Fn(&T, &str) -> Result<(), RecordError>,
    ) -> Result<Vec<T>, StoreError> {
        let table = self.transaction.open_table(table).map_err(|error| self.catalog.failed(error))?;
        let entries = table.iter().map_err(|error| self.catalog.failed(error))?;
        entries
            .map(|entry| {
                let (key, value) = entry.map_err(|error| self.catalog.failed(error))?;
                let record = self.catalog.decode(key.value(), value.value())?;
                check(&record, key.value()).map_err(|error| self.broken(key.value(), &error))?;
                Ok(record)
            })
            .collect()
    }

    /// The error of a record that no store can have.
    fn broken(&self, key: &str, error: &RecordError) -> StoreError {
        self.catalog.broken(key, error.to_string())
    }

    pub(crate) fn store(&self) -> Result<StoreRecord, StoreError> {
        let record: StoreRecord = self.meta(STORE)?;
        record.check().map_err(|error| self.broken(STORE, &error))?;
        Ok(record)
    }

    /// The contigs of the store.
    fn assembly(&self) -> Result<&Assembly, StoreError> {
        if let Some(assembly) = self.catalog.assembly.get() {
            return Ok(assembly);
        }
        let assembly = self.store()?.assembly;
        Ok(self.catalog.assembly.get_or_init(|| assembly))
    }

    pub(crate) fn models(&self) -> Result<Vec<Model>, StoreError> {
        self.all(MODELS, Model::check)
    }

    pub(crate) fn tracks(&self) -> Result<Vec<Track>, StoreError> {
        let mut tracks = self.all(vestore_schema::catalog::TRACKS, Track::check)?;
        self.calibrate(&mut tracks)?;
        Ok(tracks)
    }

    /// Segments of one table, track and contig that may hold rows at 0-based `start..end`, by position.
    pub(crate) fn segments(
        &self,
        table: Table,
        track: &str,
        contig: u32,
        start: u32,
        end: u32,
    ) -> Result<Vec<Segment>, StoreError> {
        let rows = self.transaction.open_table(SEGMENTS).map_err(|error| self.catalog.failed(error))?;
        let from = (table.as_str(), track, contig, 0, 0);
        let to = (table.as_str(), track, contig, end, 0);
        let entries = rows.range(from..to).map_err(|error| self.catalog.failed(error))?;
        let mut found = Vec::new();
        for entry in entries {
            let (key, value) = entry.map_err(|error| self.catalog.failed(error))?;
            let segment = self.segment(key.value(), value.value())?;
            if segment.last.zero_based() >= start {
                found.push(segment);
            }
        }
        Ok(found)
    }

    /// Every segment of the store.
    pub(crate) fn all_segments(&self) -> Result<Vec<Segment>, StoreError> {
        let rows = self.transaction.open_table(SEGMENTS).map_err(|error| self.catalog.failed(error))?;
        let entries = rows.iter().map_err(|error| self.catalog.failed(error))?;
        entries
            .map(|entry| {
                let (key, value) = entry.map_err(|error| self.catalog.failed(error))?;
                self.segment(key.value(), value.value())
            })
            .collect()
    }

    /// A segment's record, which must agree with its key.
    fn segment(&self, key: SegmentKey<'_>, bytes: &[u8]) -> Result<Segment, StoreError> {
        let name = segment_key(key);
        let segment: Segment = self.catalog.decode(&name, bytes)?;
        if key_of(key.2, &segment) != key {
            return Err(self.catalog.broken(&name, "it belongs under another key".to_owned()));
        }
        segment.check(self.assembly()?, key.2).map_err(|error| self.broken(&name, &error))?;
        Ok(segment)
    }

    pub(crate) fn runs(&self) -> Result<Vec<Run>, StoreError> {
        let rows = self.transaction.open_table(RUNS).map_err(|error| self.catalog.failed(error))?;
        let entries = rows.iter().map_err(|error| self.catalog.failed(error))?;
        entries
            .map(|entry| {
                let (key, value) = entry.map_err(|error| self.catalog.failed(error))?;
                let (number, name) = (key.value(), key.value().to_string());
                let run: Run = self.catalog.decode(&name, value.value())?;
                run.check(number).map_err(|error| self.broken(&name, &error))?;
                Ok(run)
            })
            .collect()
    }

    /// Retired segments and the Unix second in which each was retired.
    pub(crate) fn retired(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let rows = self.transaction.open_table(RETIRED).map_err(|error| self.catalog.failed(error))?;
        let entries = rows.iter().map_err(|error| self.catalog.failed(error))?;
        entries
            .map(|entry| {
                let (key, value) = entry.map_err(|error| self.catalog.failed(error))?;
                Ok((key.value().to_owned(), value.value()))
            })
            .collect()
    }

    /// The number that the next segment gets: greater than that of every segment and retired file, which it would
    /// overwrite otherwise.
    pub(crate) fn next_segment(&self) -> Result<u64, StoreError> {
        let next: u64 = self.meta(NEXT_SEGMENT)?;
        let retired = self.retired()?;
        let retired = retired.iter().filter_map(|(path, _)| {
            Path::new(path)
                .file_stem()
                .and_then(|number| number.to_str())
                .and_then(|number| number.parse().ok())
        });
        let greatest = self.all_segments()?.iter().map(|segment| segment.number).chain(retired).max();
        if greatest.is_none_or(|greatest| next > greatest) && next < 1 << 48 {
            return Ok(next);
        }
        Err(self.catalog.broken(NEXT_SEGMENT, format!("{next} is not greater than the numbers in use")))
    }
}

/// One transaction on the catalog.
pub(crate) struct CatalogWrite<'a> {
    transaction: WriteTransaction,
    catalog: &'a Catalog,
}

impl CatalogWrite<'_> {
    fn put<T: Serialize>(
        &self,
        table: TableDefinition<'_, &'static str, &'static [u8]>,
        key: &str,
        value: &T,
    ) -> Result<(), StoreError> {
        let bytes = encode(key, value);
        let mut table = self.transaction.open_table(table).map_err(|error| self.catalog.failed(error))?;
        table.insert(key, bytes.as_slice()).map_err(|error| self.catalog.failed(error))?;
        Ok(())
    }

    /// Makes the format that of this program, which every commit may use. Segments keep their own.
    fn raise_format(&self) -> Result<(), StoreError> {
        let format: Format = {
            let table = self.transaction.open_table(META).map_err(|error| self.catalog.failed(error))?;
            let value = table.get(FORMAT).map_err(|error| self.catalog.failed(error))?;
            let value = value.ok_or_else(|| self.catalog.broken(FORMAT, "it is missing".to_owned()))?;
            self.catalog.decode(FORMAT, value.value())?
        };
        self.catalog.check_format(&format)?;
        if format.version < FORMAT_VERSION {
            self.put(META, FORMAT, &Format { version: FORMAT_VERSION, ..format })?;
        }
        Ok(())
    }

    /// Reading a table that was never made is an error in redb, so all are made at once.
    fn make_tables(&self) -> Result<(), StoreError> {
        let failed = |error| self.catalog.failed(error);
        self.transaction.open_table(MODELS).map_err(failed)?;
        self.transaction.open_table(vestore_schema::catalog::TRACKS).map_err(failed)?;
        self.transaction.open_table(SEGMENTS).map_err(failed)?;
        self.transaction.open_table(RUNS).map_err(failed)?;
        self.transaction.open_table(RETIRED).map_err(failed)?;
        self.transaction.open_table(REPORTS).map_err(failed)?;
        Ok(())
    }

    pub(crate) fn put_store(&self, record: &StoreRecord) -> Result<(), StoreError> {
        self.put(META, STORE, record)
    }

    pub(crate) fn put_model(&self, model: &Model) -> Result<(), StoreError> {
        self.put(MODELS, &model.name, model)
    }

    /// Forgets a model.
    pub(crate) fn remove_model(&self, name: &str) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(MODELS).map_err(|error| self.catalog.failed(error))?;
        table.remove(name).map_err(|error| self.catalog.failed(error))?;
        Ok(())
    }

    pub(crate) fn put_track(&self, track: &Track) -> Result<(), StoreError> {
        self.put(vestore_schema::catalog::TRACKS, &track.name, track)
    }

    pub(crate) fn put_next_segment(&self, number: u64) -> Result<(), StoreError> {
        self.put(META, NEXT_SEGMENT, &number)
    }

    pub(crate) fn put_run(&self, run: &Run) -> Result<(), StoreError> {
        let bytes = encode(&run.number.to_string(), run);
        let mut table = self.transaction.open_table(RUNS).map_err(|error| self.catalog.failed(error))?;
        table.insert(run.number, bytes.as_slice()).map_err(|error| self.catalog.failed(error))?;
        Ok(())
    }

    /// Names segments, each with the index of its contig; from the commit on they are part of their tables.
    pub(crate) fn put_segments(&self, segments: &[(u32, Segment)]) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(SEGMENTS).map_err(|error| self.catalog.failed(error))?;
        for (contig, segment) in segments {
            let key = key_of(*contig, segment);
            let bytes = encode(&segment_key(key), segment);
            table.insert(key, bytes.as_slice()).map_err(|error| self.catalog.failed(error))?;
        }
        Ok(())
    }

    /// Takes segments out of their tables; their files stay until the grace period from `now` on is over.
    pub(crate) fn retire_segments(&self, segments: &[(u32, Segment)], now: u64) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(SEGMENTS).map_err(|error| self.catalog.failed(error))?;
        let mut retired = self.transaction.open_table(RETIRED).map_err(|error| self.catalog.failed(error))?;
        for (contig, segment) in segments {
            let key = key_of(*contig, segment);
            table.remove(key).map_err(|error| self.catalog.failed(error))?;
            retired.insert(segment.path().as_str(), now).map_err(|error| self.catalog.failed(error))?;
        }
        Ok(())
    }

    /// Forgets a track.
    pub(crate) fn remove_track(&self, name: &str) -> Result<(), StoreError> {
        let tracks = vestore_schema::catalog::TRACKS;
        let mut table = self.transaction.open_table(tracks).map_err(|error| self.catalog.failed(error))?;
        table.remove(name).map_err(|error| self.catalog.failed(error))?;
        drop(table);
        self.remove_calibrations(name, None)
    }

    /// Forgets retired files that were deleted.
    pub(crate) fn forget_retired(&self, paths: &[String]) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(RETIRED).map_err(|error| self.catalog.failed(error))?;
        for path in paths {
            table.remove(path.as_str()).map_err(|error| self.catalog.failed(error))?;
        }
        Ok(())
    }
}

/// JSON, a line feed, and the checksum.
fn encode<T: Serialize>(key: &str, value: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(value).expect("a catalog record has string keys only; this is a bug");
    let sum = record_sum(key, &bytes);
    bytes.push(b'\n');
    bytes.extend_from_slice(sum.as_bytes());
    bytes
}

/// Checksum of a record and its key: redb checks its pages only when it repairs a file.
fn record_sum(key: &str, json: &[u8]) -> String {
    let mut sum = crc32fast::Hasher::new();
    sum.update(key.as_bytes());
    sum.update(b"\n");
    sum.update(json);
    format!("{:08x}", sum.finalize())
}

/// The key of a segment as text.
fn segment_key((table, track, contig, first, number): SegmentKey<'_>) -> String {
    format!("{table}/{track}/{contig}/{first}/{number}")
}

/// The catalog's file as its one writer sees it.
#[derive(Debug)]
struct CatalogFile(Box<dyn MediumFile>);

impl StorageBackend for CatalogFile {
    fn len(&self) -> std::io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.0.read_at(out, offset)
    }

    fn set_len(&self, length: u64) -> std::io::Result<()> {
        self.0.set_len(length)
    }

    fn sync_data(&self) -> std::io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.0.write_at(data, offset)
    }
}
