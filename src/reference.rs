//! The reference: an indexed FASTA, plain or BGZF.

use crate::narrow::{to_u32, to_usize};

mod beside;
pub(crate) mod bgzf;
mod bytes;
mod cache;
mod check;
mod copy;
mod error;
mod index;
mod scan;
mod stamp;
mod stream;

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use md5::{Digest as _, Md5};
use vestore_schema::{Assembly, Contig, Position, Region, hexadecimal};

use self::beside::{blocks, read_index, write_beside};
use self::bgzf::{Blocks, Compression};
use self::bytes::Bytes;
pub use self::cache::cache_folder;
use self::check::Check;
pub(crate) use self::copy::copy_reference;
pub use self::error::ReferenceError;
use self::index::Entry;
use self::scan::{Scan, SequenceDigest};
use self::stamp::{Stamp, Stamps};
pub use self::stream::{FastaPiece, read_fasta};
use crate::variants::Foreign;

/// Bases of one cached block.
const BLOCK: u32 = 256 << 10;

/// Number of cached blocks: what windows around sorted variants touch, and some to spare.
const BLOCKS: usize = 8;

/// An open FASTA with its indexes. Bases are read in blocks and cached, so memory is bounded
/// (2 MiB) and access along a contig is fast. Positions are 0-based.
pub struct Reference {
    path: PathBuf,
    entries: Arc<[Entry]>,
    bytes: Bytes,
    /// Blocks of upper-case bases by contig and number, the one used last first.
    cache: VecDeque<((u32, u32), Vec<u8>)>,
    /// The contigs with their digests, once a pass has computed them.
    assembly: Option<Assembly>,
    /// Indexes that were built and not written yet: the end of each file's name, and its bytes.
    unsaved: Vec<(&'static str, Vec<u8>)>,
    unsaved_indexes: bool,
    stamps: Stamps,
    /// Of a reference that must be a store's: what its bases must be.
    check: Option<Arc<Check>>,
    /// How often indexes had been renewed when those of this handle were read.
    generation: u32,
    /// Blocks that were read from the file.
    #[cfg(test)]
    blocks_read: u64,
}

impl Reference {
    /// Opens a FASTA. Indexes (`.fai`, and `.gzi` for BGZF) that are missing, older than the FASTA
    /// or do not fit it are built and written beside it; where that folder cannot be written they
    /// stay in memory. Bases are taken as they are; see [`Reference::open_checked`].
    ///
    /// # Errors
    /// The file cannot be read, is truncated, is gzip but not BGZF, or is not a FASTA that can be
    /// indexed: a name twice, an empty contig, uneven lines, letters that are no bases.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, ReferenceError> {
        let mut reference = Self::open_only(path.into())?;
        reference.save_indexes();
        Ok(reference)
    }

    /// As [`Reference::open`]; indexes that were built wait for [`Reference::save_indexes`].
    fn open_only(path: PathBuf) -> Result<Self, ReferenceError> {
        let cannot_open = |source| ReferenceError::Open { path: path.clone(), source };
        // Asked before it is opened, which would wait for the other end of a pipe.
        if !path.metadata().map_err(cannot_open)?.is_file() {
            return Err(ReferenceError::NoFile { path });
        }
        let mut file = File::open(&path).map_err(cannot_open)?;
        let fasta = Stamp::of(&file.metadata().map_err(cannot_open)?);
        let mut stamps = Stamps { fasta, fai: None, gzi: None };
        let mut unsaved = Vec::new();
        let bytes = match probe(&path, &mut file)? {
            Compression::Gzip => return Err(ReferenceError::PlainGzip { path }),
            Compression::None => Bytes::plain(file).map_err(|source| ReferenceError::read(&path, source))?,
            Compression::Bgzf => {
                let (blocks, stamp) = blocks(&path, &mut file)?;
                if stamp.is_none() {
                    unsaved.push((".gzi", blocks.to_bytes()));
                }
                stamps.gzi = stamp;
                Bytes::bgzf(file, Arc::new(blocks))
            }
        };
        let mut reference = Self {
            entries: Arc::new([]),
            bytes,
            cache: VecDeque::with_capacity(BLOCKS),
            assembly: None,
            unsaved,
            unsaved_indexes: false,
            stamps,
            check: None,
            generation: 0,
            #[cfg(test)]
            blocks_read: 0,
            path,
        };
        if let Some((entries, stamp)) = reference.fitting_index() {
            reference.entries = entries.into();
            reference.stamps.fai = Some(stamp);
        } else {
            reference.renew_indexes()?;
        }
        Ok(reference)
    }

    /// Opens a FASTA that must hold the contigs of `assembly`, in its order. Names and lengths are compared at
    /// once, and each contig's digest before its first base is used: once for all handles that come of this one,
    /// and not at all where an earlier run of the same user did so and neither the FASTA nor its indexes have
    /// changed since, as far as size, times and inode tell.
    ///
    /// # Errors
    /// As for [`Reference::open`]; [`ReferenceError::OtherAssembly`] for other names or lengths. Every later call
    /// that reads bases fails with [`ReferenceError::OtherBases`] where a digest differs.
    pub fn open_checked(path: impl Into<PathBuf>, assembly: &Assembly) -> Result<Self, ReferenceError> {
        let mut reference = Self::open_only(path.into())?;
        reference.check(assembly)?;
        // Not before it is known to be the FASTA that is asked for: a store may name any file.
        reference.save_indexes();
        let check = Check::new(assembly, &reference.path, &reference.stamps);
        // An index that had to be built took a pass over all bases.
        for (number, contig) in (0..).zip(reference.assembly.iter().flat_map(|found| &found.contigs)) {
            if check.wanted(number) == Some(contig) {
                check.found_right(number, &reference.stamps);
            }
        }
        reference.check = Some(Arc::new(check));
        Ok(reference)
    }

    /// Digests the whole FASTA, whatever earlier runs found, and compares it with `assembly`. A user's later runs
    /// need not do so again.
    ///
    /// # Errors
    /// As for [`Reference::open_checked`], of which the first contig that differs is named.
    pub fn check_whole(&mut self, assembly: &Assembly) -> Result<(), ReferenceError> {
        self.check(assembly)?;
        let found = self.survey()?;
        for (wanted, found) in assembly.contigs.iter().zip(&found.contigs) {
            if wanted.digest != found.digest {
                return Err(self.other_bases(wanted, &found.digest));
            }
        }
        let check = Check::new(assembly, &self.path, &self.stamps);
        (0..to_u32(assembly.contigs.len())).for_each(|contig| check.found_right(contig, &self.stamps));
        self.check = Some(Arc::new(check));
        Ok(())
    }

    /// Another handle on the same FASTA, for another thread or a second place of reading.
    ///
    /// # Errors
    /// The file cannot be opened again, or is another one by now.
    pub fn reopen(&self) -> Result<Self, ReferenceError> {
        let file = self.open_again()?;
        let bytes = match &self.bytes {
            Bytes::Plain { .. } => {
                Bytes::plain(file).map_err(|source| ReferenceError::read(&self.path, source))?
            }
            Bytes::Bgzf { blocks, .. } => Bytes::bgzf(file, Arc::clone(blocks)),
        };
        Ok(Self {
            path: self.path.clone(),
            entries: Arc::clone(&self.entries),
            bytes,
            cache: VecDeque::with_capacity(BLOCKS),
            assembly: self.assembly.clone(),
            unsaved: Vec::new(),
            unsaved_indexes: self.unsaved_indexes,
            stamps: self.stamps,
            check: self.check.clone(),
            generation: self.generation,
            #[cfg(test)]
            blocks_read: 0,
        })
    }

    /// The FASTA once more, which must still be the one that was opened.
    fn open_again(&self) -> Result<File, ReferenceError> {
        let failed = |source| ReferenceError::Open { path: self.path.clone(), source };
        let file = File::open(&self.path).map_err(failed)?;
        if !Stamp::of(&file.metadata().map_err(failed)?).same_content(&self.stamps.fasta) {
            return Err(ReferenceError::Changed { path: self.path.clone() });
        }
        Ok(file)
    }

    /// The FASTA.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether an index had to be built and could not be written beside the FASTA, so that every
    /// open builds it again.
    #[must_use]
    pub fn has_unsaved_indexes(&self) -> bool {
        self.unsaved_indexes
    }

    /// Name and length (in bases) of each contig, in FASTA order.
    #[must_use]
    pub fn contigs(&self) -> impl ExactSizeIterator<Item = (&str, u32)> {
        self.entries.iter().map(|entry| (entry.name.as_str(), entry.length))
    }

    /// Length in bases of the contig at index `contig`.
    #[must_use]
    pub fn length(&self, contig: u32) -> Option<u32> {
        self.entries.get(contig as usize).map(|entry| entry.length)
    }

    /// The contigs with their refget digests, from one pass over the whole FASTA in bounded memory
    /// (none when opening it took that pass already). The assembly has no name.
    ///
    /// # Errors
    /// As for [`Reference::open`].
    pub fn survey(&mut self) -> Result<Assembly, ReferenceError> {
        if self.assembly.is_none() {
            self.renew_indexes()?;
            self.save_indexes();
        }
        Ok(self.assembly.clone().unwrap_or_default())
    }

    /// The bases of `region` in upper case; IUPAC letters stay as they are.
    ///
    /// # Errors
    /// The region reaches beyond its contig, or the file cannot be read or has changed.
    pub fn fetch(&mut self, region: Region) -> Result<Vec<u8>, ReferenceError> {
        let mut bases = Vec::with_capacity(region.len() as usize);
        self.fetch_into(region, &mut bases)?;
        Ok(bases)
    }

    /// The base at `position`, as [`Reference::fetch`] reads it.
    ///
    /// # Errors
    /// As for [`Reference::fetch`].
    pub(crate) fn base(&mut self, contig: u32, position: Position) -> Result<u8, ReferenceError> {
        let at = position.zero_based();
        if at < self.entry(contig)?.length {
            self.ensure_right(contig)?;
            Ok(self.block(contig, at / BLOCK)?[(at % BLOCK) as usize])
        } else {
            Err(self.outside(Region::at(contig, position, 1))?)
        }
    }

    /// The error of a region that reaches beyond its contig.
    fn outside(&self, region: Region) -> Result<ReferenceError, ReferenceError> {
        let entry = self.entry(region.contig)?;
        Ok(ReferenceError::OutsideContig {
            path: self.path.clone(),
            contig: entry.name.clone(),
            start: region.start,
            end: region.end,
            length: entry.length,
        })
    }

    /// As [`Reference::fetch`], into a buffer that is cleared first.
    ///
    /// # Errors
    /// As for [`Reference::fetch`].
    pub fn fetch_into(&mut self, region: Region, bases: &mut Vec<u8>) -> Result<(), ReferenceError> {
        bases.clear();
        let length = self.entry(region.contig)?.length;
        if region.start > region.end || region.end > length {
            return Err(self.outside(region)?);
        }
        if region.start < region.end {
            self.ensure_right(region.contig)?;
        }
        let mut at = region.start;
        while at < region.end {
            let start = at / BLOCK * BLOCK;
            let end = region.end.min(start.saturating_add(BLOCK));
            let block = self.block(region.contig, at / BLOCK)?;
            bases.extend_from_slice(&block[(at - start) as usize..(end - start) as usize]);
            at = end;
        }
        Ok(())
    }

    /// Whether the contigs have the names and lengths of `assembly`, in its order. The bases are
    /// not compared; see [`Reference::digest`].
    ///
    /// # Errors
    /// [`ReferenceError::OtherAssembly`] with the first difference.
    pub fn check(&self, assembly: &Assembly) -> Result<(), ReferenceError> {
        let mut wanted = assembly.contigs.iter().map(|contig| (contig.name.as_str(), contig.length));
        let mut found = self.contigs();
        let place = |contig: Option<(&str, u32)>| match contig {
            Some((name, length)) => format!("contig `{name}` of {length} bases"),
            None => "no more contigs".to_owned(),
        };
        loop {
            match (found.next(), wanted.next()) {
                (None, None) => return Ok(()),
                (found, wanted) if found == wanted => {}
                (found, wanted) => {
                    return Err(ReferenceError::OtherAssembly {
                        path: self.path.clone(),
                        found: place(found),
                        wanted: place(wanted),
                    });
                }
            }
        }
    }

    /// The refget digest of one contig, computed from its bases.
    ///
    /// # Errors
    /// As for [`Reference::fetch`].
    pub fn digest(&mut self, contig: u32) -> Result<String, ReferenceError> {
        let length = self.entry(contig)?.length;
        let mut digest = SequenceDigest::default();
        for block in 0..length.div_ceil(BLOCK) {
            digest.add(self.block(contig, block)?);
        }
        Ok(digest.finish())
    }

    /// MD5 of a contig's upper-case bases, as hexadecimal digits: what VCF and SAM headers identify contigs by.
    pub(crate) fn md5(&mut self, contig: u32) -> Result<String, ReferenceError> {
        self.ensure_right(contig)?;
        let length = self.entry(contig)?.length;
        let mut digest = Md5::new();
        for block in 0..length.div_ceil(BLOCK) {
            digest.update(self.block(contig, block)?);
        }
        Ok(hexadecimal(&digest.finalize()))
    }

    /// Of a checked reference: digests a contig that no handle has read yet.
    fn ensure_right(&mut self, contig: u32) -> Result<(), ReferenceError> {
        let Some(check) = self.check.clone() else { return Ok(()) };
        if self.generation == check.generation() && check.is_right(contig) {
            return Ok(());
        }
        let _turn = check.turn();
        if self.generation != check.generation() {
            // Another handle found the indexes wrong, and wrote them.
            self.renew_indexes()?;
            self.save_indexes();
            self.generation = check.generation();
        }
        let Some(wanted) = check.wanted(contig).filter(|_| !check.is_right(contig)) else { return Ok(()) };
        let mut found = self.digest(contig);
        // An index may be wrong and fit all the same.
        if !matches!(&found, Ok(found) if *found == wanted.digest) && self.renew_indexes()? {
            self.save_indexes();
            self.generation = check.renew();
            found = self.digest(contig);
        }
        let found = found?;
        if found != wanted.digest {
            return Err(self.other_bases(wanted, &found));
        }
        check.found_right(contig, &self.stamps);
        Ok(())
    }

    fn other_bases(&self, wanted: &Contig, found: &str) -> ReferenceError {
        ReferenceError::OtherBases {
            path: self.path.clone(),
            contig: wanted.name.clone(),
            found: found.to_owned(),
            wanted: wanted.digest.clone(),
        }
    }

    #[cfg(test)]
    pub(crate) fn blocks_read(&self) -> u64 {
        self.blocks_read
    }

    fn entry(&self, contig: u32) -> Result<&Entry, ReferenceError> {
        self.entries.get(contig as usize).ok_or_else(|| ReferenceError::NoSuchContig {
            path: self.path.clone(),
            contig,
            contigs: self.entries.len(),
        })
    }

    /// Block number `number` of a contig, from the cache or the file.
    fn block(&mut self, contig: u32, number: u32) -> Result<&[u8], ReferenceError> {
        let key = (contig, number);
        if let Some(at) = self.cache.iter().position(|(cached, _)| *cached == key) {
            self.cache.swap(0, at);
        } else {
            let block = self.read_block(contig, number)?;
            #[cfg(test)]
            {
                self.blocks_read += 1;
            }
            self.cache.truncate(BLOCKS - 1);
            self.cache.push_front((key, block));
        }
        Ok(&self.cache[0].1)
    }

    fn read_block(&mut self, contig: u32, number: u32) -> Result<Vec<u8>, ReferenceError> {
        let entry = self.entry(contig)?;
        let start = number * BLOCK;
        let bases = BLOCK.min(entry.length - start);
        let (from, to) = (entry.byte_of(start), entry.byte_of(start + bases - 1) + 1);
        let mut block = self
            .bytes
            .read(from, to_usize(to - from))
            .map_err(|source| ReferenceError::read(&self.path, source))?;
        block.retain(|byte| !matches!(byte, b'\n' | b'\r'));
        for base in &mut block {
            *base = upper_iupac(*base);
        }
        let now = self.bytes.file().metadata().map_err(|source| ReferenceError::read(&self.path, source))?;
        let same = Stamp::of(&now).same_content(&self.stamps.fasta);
        if !same || block.len() != bases as usize || block.contains(&0) {
            return Err(ReferenceError::Changed { path: self.path.clone() });
        }
        Ok(block)
    }

    /// The index beside the FASTA, when there is one that is not older and fits.
    fn fitting_index(&mut self) -> Option<(Vec<Entry>, Stamp)> {
        // A FASTA has two bytes for each contig at the least, and a line of the index is bounded by its header.
        let limit = self.bytes.size().saturating_mul(64);
        let (bytes, stamp) = read_index(&self.path, ".fai", limit).ok()??;
        let entries = index::parse(std::str::from_utf8(&bytes).ok()?)?;
        let size = self.bytes.size();
        let fits = index::fits(&entries, size, |offset, bytes| self.bytes.read(offset, bytes));
        fits.unwrap_or(false).then_some((entries, stamp))
    }

    /// Builds the indexes from the FASTA; whether any differs from the one in use and has to be saved. The pass also
    /// yields all digests.
    fn renew_indexes(&mut self) -> Result<bool, ReferenceError> {
        let mut renewed = false;
        if let Bytes::Bgzf { blocks, .. } = &self.bytes {
            let mut file = self.open_again()?;
            let walked =
                Blocks::walk(&mut file).map_err(|source| ReferenceError::read(&self.path, source))?;
            if !walked.leads_where(blocks) {
                renewed = true;
                self.unsaved.push((".gzi", walked.to_bytes()));
                self.bytes = Bytes::bgzf(file, Arc::new(walked));
            }
        }
        let scan = self.scan()?;
        if !same_places(&scan.entries, &self.entries) {
            renewed = true;
            self.unsaved.push((".fai", index::to_text(&scan.entries).into_bytes()));
            self.entries = scan.entries.into();
        }
        self.assembly = Some(Assembly { name: None, contigs: scan.contigs });
        if renewed {
            self.cache.clear();
        }
        Ok(renewed)
    }

    /// Writes the indexes that were built beside the FASTA; where that cannot be, they stay in memory.
    fn save_indexes(&mut self) {
        for (ending, bytes) in std::mem::take(&mut self.unsaved) {
            let stamp = write_beside(&self.path, ending, &bytes).ok();
            self.unsaved_indexes |= stamp.is_none();
            let saved = if ending == ".gzi" { &mut self.stamps.gzi } else { &mut self.stamps.fai };
            *saved = stamp;
        }
    }

    fn scan(&self) -> Result<Scan, ReferenceError> {
        let file = self.open_again()?;
        let handle = file.try_clone().map_err(|source| ReferenceError::read(&self.path, source))?;
        let scan = match self.bytes {
            Bytes::Plain { .. } => scan::scan(&self.path, BufReader::with_capacity(1 << 20, file)),
            Bytes::Bgzf { .. } => {
                let reader = noodles::bgzf::io::Reader::new(BufReader::with_capacity(1 << 20, file));
                scan::scan(&self.path, reader)
            }
        }?;
        let now = handle.metadata().map_err(|source| ReferenceError::read(&self.path, source))?;
        if !Stamp::of(&now).same_content(&self.stamps.fasta) {
            return Err(ReferenceError::Changed { path: self.path.clone() });
        }
        Ok(scan)
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reference").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The refget digest of a whole contig's upper-case bases.
#[must_use]
pub fn sequence_digest(bases: &[u8]) -> String {
    let mut digest = SequenceDigest::default();
    digest.add(bases);
    digest.finish()
}

/// Whether two indexes find the same bases, however they count the last line's end.
fn same_places(a: &[Entry], b: &[Entry]) -> bool {
    let place = |entry: &Entry| (entry.name.clone(), entry.length, entry.offset, entry.end());
    a.iter().map(place).eq(b.iter().map(place))
}

/// The compression of an open file, which is rewound.
fn probe(path: &Path, file: &mut File) -> Result<Compression, ReferenceError> {
    let mut head = Vec::with_capacity(Compression::PROBE);
    let read = file.take(Compression::PROBE as u64).read_to_end(&mut head).and_then(|_| file.rewind());
    read.map_err(|source| ReferenceError::read(path, source))?;
    match Foreign::of(&head, false) {
        None => Ok(Compression::of(&head)),
        Some(Foreign { name, remedy: _ }) => Err(ReferenceError::Foreign { path: path.into(), name }),
    }
}

/// The upper-case form of an IUPAC base letter, 0 for anything else.
pub(crate) fn upper_iupac(base: u8) -> u8 {
    const TABLE: [u8; 256] = {
        let letters = b"ACGTUNRYSWKMBDHV";
        let mut table = [0; 256];
        let mut i = 0;
        while i < letters.len() {
            table[letters[i] as usize] = letters[i];
            table[letters[i].to_ascii_lowercase() as usize] = letters[i];
            i += 1;
        }
        table
    };
    TABLE[base as usize]
}

/// Whether contigs can have this name: it is not empty, and nothing in it acts on a terminal or ends a line.
pub(crate) fn is_contig_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(char::is_control)
}

/// Bytes of a file for a message: escaped, and cut when long.
pub(crate) fn printable(bytes: &[u8]) -> String {
    const LONGEST: usize = 60;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST)]).escape_debug().to_string();
    if bytes.len() > LONGEST { text + "..." } else { text }
}

#[cfg(test)]
mod tests;
