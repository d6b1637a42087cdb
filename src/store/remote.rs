//! A published store on a web server or in an object store, read by range requests.
//!
//! The head and the catalog are fetched whole, the catalog once per user and digest. Of segments, the tail is one
//! request and kept; pages are fetched together, before they are decoded. Every byte is checked as those of local files
//! are, so a server can fail but not lie.

mod address;
mod cache;
mod client;
mod error;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use vestore_schema::{PUBLISHED_FILE, Published, Segment};

use super::Store;
use super::disk::DiskFile;
use super::error::StoreError;
use super::medium::{Access, FileSystem, Guard, Lock, Medium, MediumFile};
use super::published::MOST_HEAD;
use crate::narrow::to_usize;
pub(super) use address::Address;
use client::{Client, Part};
use error::RemoteError;

/// Ranges with fewer bytes between them are fetched as one: a request costs more.
const GAP: u64 = 16 << 10;
/// Requests of one prefetch that run at once.
const AT_ONCE: usize = 6;
/// Most bytes that are fetched ahead at once; what is larger is fetched page by page.
const MOST_AHEAD: u64 = 256 << 20;
/// Most bytes of one read, whatever the catalog says.
const MOST_READ: usize = 1 << 30;
/// Bytes of tails that are kept.
const MOST_TAILS: usize = 64 << 20;

/// One published store on a server.
#[derive(Debug)]
struct Remote {
    root: PathBuf,
    address: Address,
    client: Client,
    /// The catalog's path and its copy here.
    catalog: (PathBuf, File),
    known: Mutex<Known>,
}

/// What was learnt of the files.
#[derive(Debug, Default)]
struct Known {
    /// Length and `ETag` by address.
    files: HashMap<String, (u64, Option<String>)>,
    /// Last bytes of files, with where they begin.
    tails: HashMap<String, (u64, Bytes)>,
    /// Bytes of these.
    kept: usize,
}

impl Store {
    /// Opens the published store at an address.
    pub(super) fn open_address(address: &Address) -> Result<Self, StoreError> {
        let root = PathBuf::from(address.as_str());
        let client = Client::new(address)?;
        let path = root.join(PUBLISHED_FILE);
        let mut moved = None;
        loop {
            let text = match client.whole(&address.url(PUBLISHED_FILE), MOST_HEAD) {
                Err(RemoteError::Missing) => return Err(StoreError::NotPublished { path: root }),
                text => text.map_err(|error| StoreError::io("read", &path)(error.into()))?,
            };
            let head = Published::parse(&text)
                .map_err(|reason| StoreError::DamagedCopy { path: path.clone(), reason })?;
            let catalog = root.join(&head.catalog);
            let file = match cache::catalog(&client, &address.url(&head.catalog), &head) {
                // Published again, and pruned, since the head was read.
                Err(RemoteError::Missing) if moved.as_ref() != Some(&head) => {
                    moved = Some(head);
                    continue;
                }
                Err(RemoteError::Missing) => return Err(StoreError::Incomplete { path: catalog }),
                Err(RemoteError::Differs { reason }) => {
                    return Err(StoreError::DamagedCopy { path: catalog, reason });
                }
                file => file.map_err(|error| StoreError::io("read", &catalog)(error.into()))?,
            };
            let (address, known) = (address.clone(), Mutex::default());
            let remote = Remote { root: root.clone(), address, client, catalog: (catalog, file), known };
            return Self::open_published(&root, Arc::new(RemoteMedium(Arc::new(remote))), &head);
        }
    }
}

impl Store {
    /// Whether it lies on a server.
    pub(super) fn is_away(&self) -> bool {
        matches!(Address::of(&self.root), Ok(Some(_)))
    }

    /// Fetches the tails of the first of these segments together where the store lies on a server. What fails is asked
    /// for again, and reported, when it is needed.
    pub(crate) fn fetch_tails(&self, segments: &[(usize, Segment)]) {
        if segments.len() < 2 || !self.is_away() {
            return;
        }
        thread::scope(|scope| {
            for (_, segment) in segments.iter().take(AT_ONCE) {
                scope.spawn(|| {
                    let length = to_usize(segment.bytes.checked_sub(segment.tail.start)?);
                    let file = self.open_segment(segment).ok().filter(|_| length < MOST_TAILS)?;
                    file.read_at(&mut vec![0; length], segment.tail.start).ok()
                });
            }
        });
    }
}

impl Remote {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches a range of a file; shorter than asked where the file ends.
    fn fetch(&self, url: &str, range: Range<u64>) -> Result<Bytes, RemoteError> {
        let Part { bytes, total, tag } = self.client.part(url, &range)?;
        let mut known = self.known();
        match known.files.get(url) {
            Some((length, before)) if *length != total || before.is_some() && *before != tag => {
                return Err(RemoteError::Changed);
            }
            Some(_) => {}
            None => drop(known.files.insert(url.to_owned(), (total, tag))),
        }
        let bytes = Bytes::from(bytes);
        if range.end == total && range.start > 0 && bytes.len() < MOST_TAILS {
            if known.kept + bytes.len() > MOST_TAILS {
                known.tails.clear();
                known.kept = 0;
            }
            known.kept += bytes.len();
            let before = known.tails.insert(url.to_owned(), (range.start, bytes.clone()));
            known.kept -= before.map_or(0, |(_, bytes)| bytes.len());
        }
        Ok(bytes)
    }

    /// A range of a file's tail, if that was read before.
    fn tail(&self, url: &str, range: &Range<u64>) -> Option<Bytes> {
        let known = self.known();
        let (start, bytes) = known.tails.get(url)?;
        piece(*start, bytes, range)
    }
}

/// The bytes at `range` of `bytes`, which begin at `start`, if all are among them.
fn piece(start: u64, bytes: &Bytes, range: &Range<u64>) -> Option<Bytes> {
    let from = range.start.checked_sub(start)?;
    let to = range.end.checked_sub(start)?;
    (to <= bytes.len() as u64).then(|| bytes.slice(to_usize(from)..to_usize(to)))
}

/// A published store on a server, as a store sees it.
#[derive(Clone, Debug)]
struct RemoteMedium(Arc<Remote>);

/// A file of it. Nothing is asked of the server before a read.
#[derive(Clone, Debug)]
struct RemoteFile {
    remote: Arc<Remote>,
    url: String,
    /// What was fetched ahead: first byte and bytes, ascending.
    ahead: Vec<(u64, Bytes)>,
}

impl MediumFile for RemoteFile {
    fn len(&self) -> io::Result<u64> {
        let length = || self.remote.known().files.get(&self.url).map(|(length, _)| *length);
        if length().is_none() {
            self.remote.fetch(&self.url, 0..1)?;
        }
        Ok(length().unwrap_or(0))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let range = offset..offset.saturating_add(buffer.len() as u64);
        if buffer.is_empty() {
            return Ok(());
        }
        if buffer.len() > MOST_READ {
            return Err(io::Error::new(ErrorKind::InvalidData, "a read of more than 1 GiB"));
        }
        let next = self.ahead.partition_point(|(start, _)| *start <= offset);
        let ahead = next.checked_sub(1).and_then(|at| piece(self.ahead[at].0, &self.ahead[at].1, &range));
        let bytes = match ahead.or_else(|| self.remote.tail(&self.url, &range)) {
            Some(bytes) => bytes,
            None => self.remote.fetch(&self.url, range)?,
        };
        if bytes.len() < buffer.len() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        buffer.copy_from_slice(&bytes);
        Ok(())
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(read_only())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(read_only())
    }

    fn sync(&self) -> io::Result<()> {
        Err(read_only())
    }

    fn fetched(&self, ranges: &[Range<u64>]) -> io::Result<Option<Box<dyn MediumFile>>> {
        let ranges = joined(ranges);
        if ranges.iter().map(|range| range.end - range.start).sum::<u64>() > MOST_AHEAD {
            return Ok(None);
        }
        let next = AtomicUsize::new(0);
        let work = || {
            let mut fetched = Vec::new();
            while let Some(range) = ranges.get(next.fetch_add(1, Ordering::Relaxed)) {
                fetched.push((range.start, self.remote.fetch(&self.url, range.clone())?));
            }
            Ok::<_, RemoteError>(fetched)
        };
        let mut ahead = thread::scope(|scope| {
            let others: Vec<_> = (1..ranges.len().min(AT_ONCE)).map(|_| scope.spawn(work)).collect();
            let mut ahead = work()?;
            for other in others {
                ahead.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            Ok::<_, RemoteError>(ahead)
        })?;
        ahead.sort_unstable_by_key(|(start, _)| *start);
        Ok(Some(Box::new(Self { ahead, ..self.clone() })))
    }
}

/// Ranges as they are fetched: sorted, near ones joined.
fn joined(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut sorted: Vec<Range<u64>> = ranges.iter().filter(|range| !range.is_empty()).cloned().collect();
    sorted.sort_unstable_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match joined.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(GAP) => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

fn read_only() -> io::Error {
    io::Error::new(ErrorKind::Unsupported, "files on a server are read-only")
}

impl Medium for RemoteMedium {
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn MediumFile>> {
        if access != Access::Read {
            return Err(read_only());
        }
        let remote = Arc::clone(&self.0);
        if *path == remote.catalog.0 {
            return Ok(Box::new(DiskFile(remote.catalog.1.try_clone()?)));
        }
        let below = path.strip_prefix(&remote.root).ok().and_then(Path::to_str);
        let url = remote.address.url(below.ok_or(ErrorKind::InvalidInput)?);
        Ok(Box::new(RemoteFile { remote, url, ahead: Vec::new() }))
    }

    fn lock(&self, _: &Path, _: Lock) -> io::Result<Option<Guard>> {
        Err(read_only())
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(read_only())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Err(read_only())
    }

    fn create_folder(&self, _: &Path) -> io::Result<()> {
        Err(read_only())
    }

    fn remove_folder(&self, _: &Path) -> io::Result<()> {
        Err(read_only())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Err(read_only())
    }

    fn watch(&self, _: &Path) -> io::Result<Option<Box<dyn FileSystem>>> {
        Ok(None)
    }

    fn list(&self, _: &Path) -> io::Result<Vec<(PathBuf, bool)>> {
        Err(io::Error::new(ErrorKind::Unsupported, "folders on a server cannot be listed"))
    }

    fn now(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_ranges_are_fetched_as_one() {
        let far = GAP + 1;
        let ranges = [40..50, 0..10, 10..20, 30..45, 5..5, 50 + far..60 + far];
        assert_eq!(joined(&ranges), [0..50, 50 + far..60 + far]);
        assert_eq!(joined(&[]), []);
        let bytes = Bytes::from_static(b"0123456789");
        assert_eq!(piece(100, &bytes, &(102..104)), Some(Bytes::from_static(b"23")));
        assert_eq!([99..101, 109..111].map(|range| piece(100, &bytes, &range)), [None, None]);
    }
}
