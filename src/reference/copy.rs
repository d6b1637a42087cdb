//! A reference written anew, as a store keeps it: BGZF with its indexes, upper case, 60 bases a line.

use std::io::{self, Write};

use noodles::bgzf;
use rayon::prelude::*;
use vestore_schema::Region;

use super::bgzf::{Blocks, END_BLOCK};
use super::index::{Entry, to_text};
use super::{Reference, ReferenceError};

/// Bases of a line.
const LINE: u32 = 60;
/// Lines that are read at once.
const LINES: u32 = 1 << 14;
/// Bytes of text that are compressed by themselves, as one block.
const PIECE: usize = 0xff00;
/// Bytes of text that are compressed together, on all cores.
const TOGETHER: usize = 32 * PIECE;

/// The indexes of a copy, as the bytes of their files.
pub(crate) struct CopiedIndexes {
    pub(crate) fai: Vec<u8>,
    pub(crate) gzi: Vec<u8>,
}

/// Hands the bytes of a copy to `write`, piece by piece, in bounded memory. The same bases give the same bytes.
pub(crate) fn copy_reference<E: From<ReferenceError>>(
    reference: &mut Reference,
    write: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<CopiedIndexes, E> {
    let contigs: Vec<(String, u32)> =
        reference.contigs().map(|(name, length)| (name.to_owned(), length)).collect();
    let mut out = Zipped { text: Vec::new(), size: 0, blocks: Blocks::default(), write };
    let (mut entries, mut bases) = (Vec::with_capacity(contigs.len()), Vec::new());
    for (contig, (name, length)) in (0..).zip(contigs) {
        out.push(format!(">{name}\n").as_bytes());
        let (line_bases, line_width) = (u64::from(LINE), u64::from(LINE) + 1);
        entries.push(Entry { name, length, offset: out.size, line_bases, line_width });
        for start in (0..length).step_by((LINE * LINES) as usize) {
            let end = length.min(start.saturating_add(LINE * LINES));
            reference.fetch_into(Region { contig, start, end }, &mut bases)?;
            for line in bases.chunks(LINE as usize) {
                out.push(line);
                out.push(b"\n");
            }
            out.compress(TOGETHER)?;
        }
    }
    out.compress(1)?;
    (out.write)(&END_BLOCK)?;
    Ok(CopiedIndexes { fai: to_text(&entries).into_bytes(), gzi: out.blocks.to_bytes() })
}

/// Text on its way into blocks.
struct Zipped<W> {
    text: Vec<u8>,
    /// Bytes of text so far.
    size: u64,
    blocks: Blocks,
    write: W,
}

impl<W> Zipped<W> {
    fn push(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
        self.size += text.len() as u64;
    }

    /// Writes the text in hand once there are `enough` bytes; what does not fill a block waits for more, but for
    /// the end.
    fn compress<E: From<ReferenceError>>(&mut self, enough: usize) -> Result<(), E>
    where
        W: FnMut(&[u8]) -> Result<(), E>,
    {
        if self.text.len() < enough {
            return Ok(());
        }
        let whole = if enough == 1 { self.text.len() } else { self.text.len() / PIECE * PIECE };
        let zipped: Vec<Vec<u8>> = self.text[..whole].par_chunks(PIECE).map(zip).collect();
        for block in zipped {
            self.blocks.push(&block);
            (self.write)(&block)?;
        }
        self.text.drain(..whole);
        Ok(())
    }
}

/// Text as BGZF, without the empty block that ends a file.
fn zip(text: &[u8]) -> Vec<u8> {
    let zipped = || -> io::Result<Vec<u8>> {
        let mut writer = bgzf::io::Writer::new(Vec::new());
        writer.write_all(text)?;
        writer.finish()
    };
    let mut zipped = zipped().expect("memory takes all bytes; this is a bug");
    zipped.truncate(zipped.len() - END_BLOCK.len());
    zipped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Random, random_bases};

    #[test]
    fn a_copy_has_the_same_bases_and_indexes_that_fit() {
        let folder = tempfile::tempdir().unwrap();
        let mut random = Random::new(3);
        let mut long = random_bases(&mut random, 3_000_123);
        long[70_000..70_010].copy_from_slice(b"NNRYKMnnac");
        let fasta = [b">a said\nAC\n>long\n".as_slice(), &long, b"\n>HLA-A*01:01\nacgtn\n"].concat();
        let path = folder.path().join("x.fa");
        std::fs::write(&path, fasta).unwrap();
        let mut reference = Reference::open(&path).unwrap();
        let copy = folder.path().join("copy.fa.gz");
        let mut bytes = Vec::new();
        let indexes = copy_reference(&mut reference, |piece| {
            bytes.extend_from_slice(piece);
            Ok::<_, ReferenceError>(())
        })
        .unwrap();
        std::fs::write(&copy, bytes).unwrap();
        std::fs::write(folder.path().join("copy.fa.gz.fai"), &indexes.fai).unwrap();
        std::fs::write(folder.path().join("copy.fa.gz.gzi"), &indexes.gzi).unwrap();
        let mut copied = Reference::open(&copy).unwrap();
        copied.check_whole(&reference.survey().unwrap()).unwrap();
        assert_eq!(std::fs::read(folder.path().join("copy.fa.gz.fai")).unwrap(), indexes.fai);
        assert_eq!(std::fs::read(folder.path().join("copy.fa.gz.gzi")).unwrap(), indexes.gzi);
        let region = Region { contig: 1, start: 65_000, end: 2_900_000 };
        assert_eq!(copied.fetch(region).unwrap(), reference.fetch(region).unwrap());
    }
}
