//! The catalog file as readers see it: what redb writes while it opens, repairs or closes a file stays
//! in memory. So a reader needs no right to write, and a catalog that a killed writer left unclean is
//! repaired for this reader alone; the next writer repairs it on disk.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

use super::medium::MediumFile;
use crate::narrow::to_usize;

/// Memory is kept in blocks of this many bytes, which is what redb reads and writes in.
const BLOCK: u64 = 4096;

/// A file whose changes are kept in memory.
#[derive(Debug)]
pub(crate) struct Overlay {
    file: Box<dyn MediumFile>,
    changes: Mutex<Changes>,
    /// Set when nothing more is to be read.
    sealed: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Changes {
    /// Length as redb sees it.
    length: u64,
    /// Bytes of the file that still count; what lies beyond was cut off and reads as zeros.
    kept: u64,
    /// Changed blocks by number.
    blocks: BTreeMap<u64, Vec<u8>>,
}

impl Overlay {
    /// The file as it is, until `sealed` is set: then every read is refused.
    pub(crate) fn new(file: Box<dyn MediumFile>, sealed: Arc<AtomicBool>) -> io::Result<Self> {
        let length = file.len()?;
        let changes = Mutex::new(Changes { length, kept: length, blocks: BTreeMap::new() });
        Ok(Self { file, changes, sealed })
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        // A panicking reader leaves whole blocks behind, never half ones.
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads from the file below, zeros where it no longer counts.
    fn read_file(&self, kept: u64, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let available = to_usize(kept.saturating_sub(offset)).min(out.len());
        let (below, beyond) = out.split_at_mut(available);
        beyond.fill(0);
        if below.is_empty() { Ok(()) } else { self.file.read_at(below, offset) }
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.changes().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.sealed.load(Ordering::Relaxed) {
            return Err(io::Error::other("the snapshot has ended"));
        }
        let changes = self.changes();
        let end = offset + out.len() as u64;
        if end > changes.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read_file(changes.kept, offset, out)?;
        for (number, block) in changes.blocks.range(offset / BLOCK..=end.saturating_sub(1) / BLOCK) {
            let start = number * BLOCK;
            let from = start.max(offset);
            let to = (start + BLOCK).min(end);
            out[to_usize(from - offset)..to_usize(to - offset)]
                .copy_from_slice(&block[to_usize(from - start)..to_usize(to - start)]);
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut changes = self.changes();
        if length < changes.length {
            changes.kept = changes.kept.min(length);
            changes.blocks.split_off(&length.div_ceil(BLOCK));
            if let Some(block) = changes.blocks.get_mut(&(length / BLOCK)) {
                block[to_usize(length % BLOCK)..].fill(0);
            }
        }
        changes.length = length;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut changes = self.changes();
        let end = offset + data.len() as u64;
        if end > changes.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for number in offset / BLOCK..end.div_ceil(BLOCK) {
            let start = number * BLOCK;
            if !changes.blocks.contains_key(&number) {
                let mut block = vec![0; to_usize(BLOCK)];
                self.read_file(changes.kept, start, &mut block)?;
                changes.blocks.insert(number, block);
            }
            let block = changes.blocks.get_mut(&number).expect("just inserted; this is a bug");
            let from = start.max(offset);
            let to = (start + BLOCK).min(end);
            block[to_usize(from - start)..to_usize(to - start)]
                .copy_from_slice(&data[to_usize(from - offset)..to_usize(to - offset)]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::Disk;
    use crate::store::medium::{Access, Medium};

    /// The overlay behaves as a vector of bytes does, and the file below never changes.
    #[test]
    fn it_equals_a_plain_vector_and_leaves_the_file_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let original: Vec<u8> = (0..20_000_u32).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &original).unwrap();
        let overlay =
            Overlay::new(Disk::new(folder.path()).open(&path, Access::Read).unwrap(), Arc::default())
                .unwrap();
        let mut model = original.clone();
        let mut state = 7_u64;
        let mut random = |limit: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % limit
        };
        for step in 0..2_000 {
            let length = model.len() as u64;
            match random(10) {
                0 => {
                    let new = random(40_000);
                    overlay.set_len(new).unwrap();
                    model.resize(new as usize, 0);
                }
                1..5 if length > 0 => {
                    let offset = random(length);
                    let data = vec![step as u8; random((length - offset).min(9_000) + 1) as usize];
                    overlay.write(offset, &data).unwrap();
                    model[offset as usize..offset as usize + data.len()].copy_from_slice(&data);
                }
                _ if length > 0 => {
                    let offset = random(length);
                    let mut out = vec![1; random((length - offset).min(9_000) + 1) as usize];
                    overlay.read(offset, &mut out).unwrap();
                    assert_eq!(out, model[offset as usize..offset as usize + out.len()], "step {step}");
                }
                _ => {}
            }
            assert_eq!(overlay.len().unwrap(), model.len() as u64);
        }
        assert_eq!(std::fs::read(&path).unwrap(), original);
    }
}
