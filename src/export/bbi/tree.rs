//! The two trees of bigWig and bigBed: contigs by name, blocks by place.

use std::io::{self, Write};

use vestore_schema::Assembly;

use crate::narrow::{to_u16, to_u32};

const CHROMOSOMES_MAGIC: u32 = 0x78ca_8c91;
const INDEX_MAGIC: u32 = 0x2468_ace0;
/// Children of one node.
const FAN_OUT: usize = 256;
/// Bytes before the items of a node, and of an item of a leaf and of an inner node.
const NODE: u64 = 4;
const LEAF_ITEM: u64 = 32;
const INNER_ITEM: u64 = 24;

/// A compressed block and the places it covers: contig and 0-based base, half-open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaf {
    pub(super) first: (u32, u32),
    pub(super) last: (u32, u32),
    pub(super) offset: u64,
    pub(super) size: u64,
}

/// Writes the contigs as a tree of one leaf, with their indices as numbers; gives its length in bytes.
pub(super) fn write_chromosomes(assembly: &Assembly, out: &mut impl Write) -> io::Result<u64> {
    let count = u16::try_from(assembly.contigs.len()).map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidInput, "bigWig and bigBed hold at most 65,535 contigs")
    })?;
    let key = assembly.contigs.iter().map(|contig| contig.name.len()).max().unwrap_or(1);
    let mut bytes = Vec::new();
    for word in [CHROMOSOMES_MAGIC, u32::from(count.max(1)), to_u32(key), 8] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend_from_slice(&u64::from(count).to_le_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&[1, 0]);
    bytes.extend_from_slice(&count.to_le_bytes());
    let mut contigs: Vec<_> = (0_u32..).zip(&assembly.contigs).collect();
    contigs.sort_by(|a, b| a.1.name.cmp(&b.1.name));
    for (number, contig) in contigs {
        bytes.extend_from_slice(contig.name.as_bytes());
        bytes.resize(bytes.len() + key - contig.name.len(), 0);
        bytes.extend_from_slice(&number.to_le_bytes());
        bytes.extend_from_slice(&contig.length.to_le_bytes());
    }
    out.write_all(&bytes)?;
    Ok(bytes.len() as u64)
}

/// Writes the tree over `leaves`, which are sorted, at `offset` of the file; gives its length in bytes.
pub(super) fn write_index(
    leaves: &[Leaf],
    offset: u64,
    items_per_block: usize,
    out: &mut impl Write,
) -> io::Result<u64> {
    let (first, last) = span(leaves);
    let end = leaves.last().map_or(offset, |leaf| leaf.offset + leaf.size);
    let mut bytes = Vec::new();
    for word in [INDEX_MAGIC, to_u32(FAN_OUT)] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend_from_slice(&(leaves.len() as u64).to_le_bytes());
    for word in [first.0, first.1, last.0, last.1] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend_from_slice(&end.to_le_bytes());
    // Of 4 bytes each: the root begins 48 bytes behind the magic number.
    bytes.extend_from_slice(&to_u32(items_per_block).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);

    // The levels from the leaves up to the root; each entry is the run of leaves below a node.
    let mut levels: Vec<Vec<&[Leaf]>> = vec![leaves.chunks(FAN_OUT).collect()];
    if leaves.is_empty() {
        levels[0].push(leaves);
    }
    let mut below = FAN_OUT;
    while levels.last().is_some_and(|level| level.len() > 1) {
        below = below.saturating_mul(FAN_OUT);
        levels.push(leaves.chunks(below).collect());
    }
    levels.reverse();
    let mut at = offset + bytes.len() as u64;
    for (depth, level) in levels.iter().enumerate() {
        let Some(children) = levels.get(depth + 1) else {
            for node in level {
                bytes.extend_from_slice(&[1, 0]);
                bytes.extend_from_slice(&to_u16(node.len()).to_le_bytes());
                for leaf in *node {
                    put_span(&mut bytes, leaf.first, leaf.last);
                    bytes.extend_from_slice(&leaf.offset.to_le_bytes());
                    bytes.extend_from_slice(&leaf.size.to_le_bytes());
                }
            }
            break;
        };
        let items = children.len() as u64;
        let mut child_at = at + NODE * level.len() as u64 + INNER_ITEM * items;
        let is_leaf = depth + 2 == levels.len();
        let grandchildren = levels.get(depth + 2);
        let mut next_grandchild = 0;
        for (number, node) in children.chunks(FAN_OUT).enumerate() {
            debug_assert!(number < level.len(), "a level has a node for every run of children");
            bytes.extend_from_slice(&[0, 0]);
            bytes.extend_from_slice(&to_u16(node.len()).to_le_bytes());
            for child in node {
                let (first, last) = span(child);
                put_span(&mut bytes, first, last);
                bytes.extend_from_slice(&child_at.to_le_bytes());
                child_at += if is_leaf {
                    NODE + LEAF_ITEM * child.len() as u64
                } else {
                    let all = grandchildren.map_or(0, Vec::len);
                    let count = FAN_OUT.min(all - next_grandchild);
                    next_grandchild += count;
                    NODE + INNER_ITEM * count as u64
                };
            }
        }
        at += NODE * level.len() as u64 + INNER_ITEM * items;
    }
    out.write_all(&bytes)?;
    Ok(bytes.len() as u64)
}

fn span(leaves: &[Leaf]) -> ((u32, u32), (u32, u32)) {
    match (leaves.first(), leaves.last()) {
        (Some(first), Some(last)) => (first.first, last.last),
        _ => ((0, 0), (0, 0)),
    }
}

fn put_span(bytes: &mut Vec<u8>, first: (u32, u32), last: (u32, u32)) {
    for word in [first.0, first.1, last.0, last.1] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::narrow::to_usize;

    /// The offsets of the leaves below the index that begins at `offset` of a file, of which `bytes` is the index.
    fn walk(bytes: &[u8], offset: u64) -> Vec<u64> {
        let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let short = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let mut nodes = vec![(48, (0, 0), (u32::MAX, 0))];
        let mut found = Vec::new();
        while let Some((at, first, last)) = nodes.pop() {
            let (leaf, count) =
                (bytes[at] == 1, usize::from(u16::from_le_bytes([bytes[at + 2], bytes[at + 3]])));
            let mut children = Vec::new();
            for item in 0..count {
                let at = at + 4 + item * if leaf { 32 } else { 24 };
                let span = ((short(at), short(at + 4)), (short(at + 8), short(at + 12)));
                assert!(first <= span.0 && span.0 < span.1 && span.1 <= last);
                if leaf {
                    found.push(long(at + 16));
                } else {
                    children.push((to_usize(long(at + 16) - offset), span.0, span.1));
                }
            }
            nodes.extend(children.into_iter().rev());
        }
        found
    }

    /// Leaves of these tests lie behind the index.
    const LEAVES: u64 = 1 << 40;

    #[test]
    fn every_leaf_is_found_below_the_root() {
        for count in [0_u32, 1, 255, 256, 257, 65_536, 65_537, 70_000] {
            let leaf = |number: u32| Leaf {
                first: (number / 1000, number % 1000 * 10),
                last: (number / 1000, number % 1000 * 10 + 7),
                offset: LEAVES + u64::from(number),
                size: 1,
            };
            let leaves: Vec<Leaf> = (0..count).map(leaf).collect();
            let mut bytes = Vec::new();
            let length = write_index(&leaves, 5000, 1024, &mut bytes).unwrap();
            assert_eq!(length, bytes.len() as u64);
            assert_eq!(bytes[40..48], [0, 4, 0, 0, 0, 0, 0, 0], "values of a block, and nothing");
            let expected: Vec<u64> = leaves.iter().map(|leaf| leaf.offset).collect();
            assert_eq!(walk(&bytes, 5000), expected, "{count}");
        }
    }
}
