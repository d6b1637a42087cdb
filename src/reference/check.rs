//! Whether the bases of a FASTA are those that a store was made with: each contig is digested before its first
//! base is used, once in a run, and not at all where that was done before and the file has not changed since.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use vestore_schema::{Assembly, Contig};

use super::cache::DigestCache;
use super::stamp::Stamps;

/// The contigs that are wanted, and which of them were found to be right. Handles on one FASTA share it.
pub(super) struct Check {
    wanted: Vec<Contig>,
    right: Vec<AtomicBool>,
    /// Held while a contig is digested, so that threads do not all do the same.
    digesting: Mutex<()>,
    /// How often indexes were found wrong and renewed; older handles must read theirs anew.
    generation: AtomicU32,
    cache: Option<DigestCache>,
    /// Where digests were computed: the file as it was then.
    learnt: Mutex<Option<Stamps>>,
}

impl Check {
    /// What is known of the FASTA at `path` from earlier runs.
    pub(super) fn new(assembly: &Assembly, path: &Path, stamps: &Stamps) -> Self {
        let wanted = assembly.contigs.clone();
        let cache = DigestCache::of(path);
        let known = cache.as_ref().map(|cache| cache.read(stamps)).unwrap_or_default();
        // A digest that differs is computed anew: the cache can save work, not find fault.
        let is_right = |contig: &Contig| known.get(&contig.name).is_some_and(|found| *found == contig.digest);
        let right = wanted.iter().map(|contig| AtomicBool::new(is_right(contig))).collect();
        Self {
            wanted,
            right,
            digesting: Mutex::new(()),
            generation: AtomicU32::new(0),
            cache,
            learnt: Mutex::new(None),
        }
    }

    pub(super) fn is_right(&self, contig: u32) -> bool {
        self.right.get(contig as usize).is_some_and(|right| right.load(Ordering::Acquire))
    }

    pub(super) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// Says that the indexes of other handles are wrong; gives the new generation.
    pub(super) fn renew(&self) -> u32 {
        self.generation.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The right to digest a contig.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.digesting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The digest that a contig must have.
    pub(super) fn wanted(&self, contig: u32) -> Option<&Contig> {
        self.wanted.get(contig as usize)
    }

    /// Remembers that a contig of the file with these stamps is right.
    pub(super) fn found_right(&self, contig: u32, stamps: &Stamps) {
        if let Some(right) = self.right.get(contig as usize) {
            right.store(true, Ordering::Release);
            *self.learnt.lock().unwrap_or_else(PoisonError::into_inner) = Some(*stamps);
        }
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        let learnt = self.learnt.get_mut().unwrap_or_else(PoisonError::into_inner);
        let (Some(stamps), Some(cache)) = (learnt, &self.cache) else { return };
        // Another process may have read other contigs meanwhile.
        let mut digests: BTreeMap<String, String> = cache.read(stamps);
        let right = self.wanted.iter().zip(&self.right).filter(|(_, right)| right.load(Ordering::Acquire));
        digests.extend(right.map(|(contig, _)| (contig.name.clone(), contig.digest.clone())));
        // Without it the next run digests again.
        drop(cache.write(stamps, digests));
    }
}
