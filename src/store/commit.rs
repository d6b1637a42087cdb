//! The one place that changes a store.
//!
//! A segment becomes part of a table in this order: written under a temporary name, synced, renamed,
//! its folder synced, named by the catalog in one durable transaction. Whatever stops it before the last
//! step leaves a file that no catalog row names: an orphan, which the next writer removes. A segment leaves a
//! table by another such transaction, after which its file leaves the folder.

use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use vestore_schema::{
    Model, Run, Segment, StoreRecord, TARGETS_KEY, Table, Track, check_name, segment_metadata, segment_path,
};

use super::catalog::CatalogWrite;
use super::error::StoreError;
use super::files::{Files, Written};
use super::medium::{Access, Guard, Lock, Medium};
use super::recovery;
use super::segment::SegmentWriter;
use super::targets::{LastTargets, check_targets};
use super::{PARTIAL, Store};

/// Locked by the one process that writes; holds a note of who that is.
const WRITER_LOCK: &str = "writer.lock";

/// The right to change a store, for one process at a time. Dropping it gives the right back.
#[derive(Debug)]
pub struct Writer {
    store: Store,
    next_segment: u64,
    files: Files,
    poisoned: bool,
    lock: Guard,
    targets: LastTargets,
}

impl Writer {
    /// Takes the writer lock, checks the catalog, removes orphans, deletes what was retired long enough ago.
    pub(crate) fn open(store: &Store, purpose: &str) -> Result<Self, StoreError> {
        store.check_writable()?;
        super::check_contigs(store.assembly())?;
        let guard = take_lock(store, purpose)?;
        // Rows that damage hides would be taken for orphans, and redb may abort when it writes to such a file.
        store.catalog.check()?;
        // A loss of power must not bring back what names files that are removed now.
        store.catalog.sync()?;
        let mut files = Files::new(&store.medium, &store.root)?;
        let next_segment = recovery::clean(store, &mut files)?;
        Ok(Self {
            store: store.clone(),
            next_segment,
            files,
            poisoned: false,
            lock: guard,
            targets: LastTargets::default(),
        })
    }

    /// Takes the number of a new segment.
    pub(super) fn take_number(&mut self) -> u64 {
        self.next_segment += 1;
        self.next_segment - 1
    }

    /// The number of the next segment.
    pub(super) fn next_segment(&self) -> u64 {
        self.next_segment
    }

    /// What it does with files.
    pub(super) fn files(&mut self) -> &mut Files {
        &mut self.files
    }

    /// The store that is written.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Writes one segment from batches in strictly ascending order of position, reference and alternate.
    /// It is part of its table once [`Writer::commit`] named it. Without a row there is no segment.
    ///
    /// # Errors
    /// When the system refuses; nothing more can be written with this writer then.
    pub fn write(
        &mut self,
        table: Table,
        track: &Track,
        model: Option<&Model>,
        contig: u32,
        batches: impl IntoIterator<Item = Result<RecordBatch, StoreError>>,
    ) -> Result<Option<Segment>, StoreError> {
        self.guarded(|writer| {
            let mut batches = batches.into_iter().peekable();
            let schema = match batches.peek() {
                None => return Ok(None),
                Some(Ok(batch)) => batch.schema(),
                Some(Err(_)) => return batches.next().transpose().map(|_| None),
            };
            let (store, number) = (&writer.store, writer.next_segment);
            let contig = store.record.assembly.contig(contig);
            let place = segment_path(table, &track.name, &contig.name, number);
            writer.files.make_folders(&place)?;
            let names = writer.targets.of(store, table, track)?;
            let mut metadata = segment_metadata(table, track, model, contig);
            metadata
                .extend(names.map(|names| (TARGETS_KEY.to_owned(), serde_json::json!(*names).to_string())));
            let mut segment = SegmentWriter::create(store, number, table, track, contig, &schema, metadata)?;
            writer.next_segment += 1;
            for batch in batches {
                segment.write(&batch?)?;
            }
            let (segment, written) = segment.finish()?;
            writer.files.push(written)?;
            Ok(Some(segment))
        })
    }

    /// Makes `segments` durable, names them in the catalog, and records the run that wrote them, in one durable
    /// transaction.
    ///
    /// # Errors
    /// When the system refuses; nothing more can be written with this writer then.
    pub fn commit(&mut self, segments: &[Segment], run: &Run) -> Result<(), StoreError> {
        self.guarded(|writer| {
            writer.settle()?;
            let segments = writer.of_run(segments, run)?;
            writer.store.catalog.write(|catalog| {
                catalog.put_segments(&segments)?;
                catalog.put_next_segment(writer.next_segment)?;
                catalog.put_run(run)
            })
        })
    }

    /// As [`Writer::commit`], of all segments of a track that is new, or has no rows: it comes with them, and with the
    /// names of its targets if it has some, or not at all.
    ///
    /// # Errors
    /// As [`Writer::commit`], and when the names are not those of the track's targets.
    pub fn commit_track(
        &mut self,
        track: &Track,
        targets: &[String],
        segments: &[Segment],
        run: &Run,
    ) -> Result<(), StoreError> {
        check_name(&track.name)?;
        check_targets(track, targets)?;
        self.guarded(|writer| {
            writer.settle()?;
            let segments = writer.of_run(segments, run)?;
            writer.store.catalog.write(|catalog| {
                put_track(catalog, track, targets)?;
                catalog.put_segments(&segments)?;
                catalog.put_next_segment(writer.next_segment)?;
                catalog.put_run(run)
            })
        })
    }

    /// Puts `new` segments in the place of `old` ones, with whatever `and` changes beside, in one durable
    /// transaction. The files of the old ones leave the folders of tables, and stay for a grace period, for
    /// readers of older snapshots.
    ///
    /// # Errors
    /// When the system refuses; nothing more can be written with this writer then.
    pub(super) fn replace(
        &mut self,
        new: &[Segment],
        old: &[Segment],
        and: impl FnOnce(&CatalogWrite<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.guarded(|writer| {
            writer.settle()?;
            let placed = |segments: &[Segment]| writer.placed(segments.iter().cloned());
            let (new, retired) = (placed(new)?, placed(old)?);
            let now = writer.store.medium.now();
            writer.store.catalog.write(|catalog| {
                catalog.retire_segments(&retired, now)?;
                catalog.put_segments(&new)?;
                catalog.put_next_segment(writer.next_segment)?;
                and(catalog)
            })?;
            let paths: Vec<String> = old.iter().map(Segment::path).collect();
            writer.files.retire(&paths)
        })
    }

    /// Takes segments out of their table, damaged ones for instance, so that their rows can be computed anew;
    /// gives the number of rows. No run of a shard has finished then.
    ///
    /// # Errors
    /// When the system refuses; nothing more can be written with this writer then.
    pub fn drop_segments(&mut self, segments: &[Segment]) -> Result<u64, StoreError> {
        let runs = self.store.runs()?.into_iter().filter(|run| run.shard.is_some());
        let unfinished: Vec<Run> = runs.map(|run| Run { finished: None, ..run }).collect();
        self.replace(&[], segments, |catalog| unfinished.iter().try_for_each(|run| catalog.put_run(run)))?;
        Ok(segments.iter().map(|segment| segment.rows).sum())
    }

    /// Segments that `run` wrote, with the indices of their contigs.
    fn of_run(&self, segments: &[Segment], run: &Run) -> Result<Vec<(u32, Segment)>, StoreError> {
        self.placed(segments.iter().map(|segment| Segment { runs: vec![run.number], ..segment.clone() }))
    }

    /// Segments with the indices of their contigs.
    pub(super) fn placed(
        &self,
        segments: impl IntoIterator<Item = Segment>,
    ) -> Result<Vec<(u32, Segment)>, StoreError> {
        let of = |segment: Segment| {
            let unknown = || format!("the reference has no contig {}", segment.contig);
            match self.store.contig_index(&segment.contig) {
                Some(contig) => Ok((contig, segment)),
                None => Err(self.store.catalog.broken(&segment.path(), unknown())),
            }
        };
        segments.into_iter().map(of).collect()
    }

    /// Makes a file of these bytes part of the store: durable under its name, then named by what `name` puts into the
    /// catalog.
    ///
    /// # Errors
    /// When the system refuses; nothing more can be written with this writer then.
    pub(super) fn put_file(
        &mut self,
        path: &str,
        bytes: &[u8],
        name: impl FnOnce(&CatalogWrite<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.guarded(|writer| {
            writer.files.make_folders(path)?;
            let root = &writer.store.root;
            let (place, temporary) = (root.join(path), root.join(format!("{path}{PARTIAL}")));
            let file = writer.store.medium.open(&temporary, Access::Create);
            let file = file.map_err(StoreError::io("create", &temporary))?;
            file.write_at(bytes, 0).map_err(StoreError::io("write", &temporary))?;
            writer.files.push(Written { temporary, place, file: Some(file.into()) })?;
            writer.settle()?;
            writer.store.catalog.write(name)
        })
    }

    /// Records where the reference lies from now on. Whether it is the store's is for the caller to check.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn set_reference(&mut self, path: &str) -> Result<(), StoreError> {
        self.guarded(|writer| {
            let reference = path.to_owned();
            let record = StoreRecord { reference, copied: false, ..(*writer.store.record).clone() };
            writer.store.catalog.write(|catalog| catalog.put_store(&record))?;
            writer.store.record = Arc::new(record);
            Ok(())
        })
    }

    /// Records a run.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn put_run(&mut self, run: &Run) -> Result<(), StoreError> {
        self.guarded(|writer| writer.store.catalog.write(|catalog| catalog.put_run(run)))
    }

    /// Adds a track, unless it is there already.
    ///
    /// # Errors
    /// When the name belongs to another track, or the track has another name.
    pub fn put_track(&mut self, track: &Track) -> Result<(), StoreError> {
        self.put_track_with_targets(track, &[])
    }

    /// As [`Writer::put_track`], of a track with effects on targets of these names.
    ///
    /// # Errors
    /// As [`Writer::put_track`], and when the names are not those of the track's targets.
    pub fn put_track_with_targets(&mut self, track: &Track, names: &[String]) -> Result<(), StoreError> {
        check_name(&track.name)?;
        if check_track(track, &self.store.snapshot()?.tracks)? {
            return Ok(());
        }
        check_targets(track, names)?;
        self.guarded(|writer| writer.store.catalog.write(|catalog| put_track(catalog, track, names)))
    }

    /// Runs `change` unless an earlier one failed: after a failed write or sync nobody knows what is on
    /// disk, and going on could name a file that is not.
    pub(super) fn guarded<T>(
        &mut self,
        change: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.poisoned {
            return Err(StoreError::Poisoned { path: self.store.root.clone() });
        }
        self.poisoned = true;
        self.check_lock()?;
        let result = change(self)?;
        self.poisoned = false;
        Ok(result)
    }
}

impl Writer {
    /// Makes what was written durable under its names. That may take long, so the lock is checked again.
    pub(super) fn settle(&mut self) -> Result<(), StoreError> {
        self.files.settle()?;
        self.check_lock()
    }

    /// Refuses to write when the lock no longer keeps others out.
    fn check_lock(&self) -> Result<(), StoreError> {
        let path = self.store.root.join(WRITER_LOCK);
        let is_named = self.lock.is_named().map_err(StoreError::io("check the lock", &path))?;
        if is_named { Ok(()) } else { Err(StoreError::LockLost { path }) }
    }
}

/// Puts a track into the catalog, and the names of its targets.
pub(super) fn put_track(
    catalog: &CatalogWrite<'_>,
    track: &Track,
    names: &[String],
) -> Result<(), StoreError> {
    if track.targets.is_some() {
        catalog.put_targets(names)?;
    }
    catalog.put_track(track)
}

/// Whether `track` is among `known`; name and identity are one-to-one.
///
/// # Errors
/// When only one of the two is there, or the track is not one that a store can have.
pub fn check_track(track: &Track, known: &[Track]) -> Result<bool, StoreError> {
    let conflict = |reason| Err(StoreError::Conflict { kind: "track", name: track.name.clone(), reason });
    if let Err(error) = track.check(&track.name) {
        return conflict(error.to_string());
    }
    for other in known {
        match (other.name == track.name, other.id == track.id) {
            (true, true)
                if (&other.effect_columns, other.targets) != (&track.effect_columns, track.targets) =>
            {
                return conflict(
                    "it has effects of other kinds, or on other targets; choose another store".to_owned(),
                );
            }
            (true, true) if other.columns != track.columns => {
                return conflict(format!(
                    "it has columns {}, this program makes {}; choose another store",
                    other.columns.join(", "),
                    track.columns.join(", ")
                ));
            }
            (true, true) => return Ok(true),
            (true, false) => {
                return conflict(format!(
                    "the name belongs to another model or recipe (track id {}, this one has {}); choose another \
                     name with --track",
                    other.id.short(),
                    track.id.short()
                ));
            }
            (false, true) => {
                return conflict(format!(
                    "the same model and recipe are in the store as track `{}`; use --track {}",
                    other.name, other.name
                ));
            }
            (false, false) => {}
        }
    }
    Ok(false)
}

/// Takes the writer lock and leaves a note of who has it.
fn take_lock(store: &Store, purpose: &str) -> Result<Guard, StoreError> {
    // Whoever is refused reads the note of the holder, not of one who died before: both pass the turnstile.
    let _passing = store.catalog.pass(Lock::Exclusive)?;
    let path = store.root.join(WRITER_LOCK);
    let medium = &store.medium;
    let Some(guard) = medium.lock(&path, Lock::TryExclusive).map_err(StoreError::io("lock", &path))? else {
        let holder = lock_holder(medium, &store.root);
        return Err(StoreError::Locked { path: store.root.clone(), holder });
    };
    let note = format!("`{purpose}`, process {}{}", std::process::id(), host());
    let file = medium.open(&path, Access::Create).map_err(StoreError::io("write", &path))?;
    file.write_at(note.as_bytes(), 0).map_err(StoreError::io("write", &path))?;
    Ok(guard)
}

impl Store {
    /// Returns once nobody has the right to write. Somebody else may take it before the caller does.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn wait_for_writer(&self) -> Result<(), StoreError> {
        // Without the turnstile, where readers would wait too.
        let path = self.root.join(WRITER_LOCK);
        self.medium.lock(&path, Lock::Exclusive).map(drop).map_err(StoreError::io("lock", &path))
    }
}

/// Who holds the writer's lock of the store at `root`, as its note says.
pub(super) fn lock_holder(medium: &Arc<dyn Medium>, root: &Path) -> String {
    let note = || {
        let file = medium.open(&root.join(WRITER_LOCK), Access::Read).ok()?;
        let mut note = vec![0; file.len().ok()?.min(1024) as usize];
        file.read_at(&mut note, 0).ok()?;
        String::from_utf8(note).ok().filter(|note| !note.is_empty())
    };
    note().unwrap_or_else(|| "another process".to_owned())
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { String::new() } else { format!(" on {}", name.trim()) }
}
