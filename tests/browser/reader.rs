//! A plain reader of bigWig and bigBed, after the specification (Kent et al. 2010, supplement).

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// A file read whole.
pub(super) struct Bbi {
    bytes: Vec<u8>,
    /// Name and length of each contig by its number.
    pub(super) contigs: BTreeMap<u32, (String, u32)>,
    /// What the header counts: blocks of a bigWig, records of a bigBed.
    pub(super) count: u64,
    /// Columns, and how many are those of BED.
    pub(super) fields: (u16, u16),
    pub(super) auto_sql: String,
    /// Bases, least, greatest, sum and sum of squares over everything.
    pub(super) summary: (u64, [f64; 4]),
    /// Of each zoom level, the length of its stretches, and the bases and the sum of all its records.
    pub(super) zooms: Vec<(u32, u64, f64)>,
    blocks: Vec<Vec<u8>>,
}

impl Bbi {
    pub(super) fn open(path: &Path, magic: u32) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let mut file = Self {
            bytes,
            contigs: BTreeMap::new(),
            count: 0,
            fields: (0, 0),
            auto_sql: String::new(),
            summary: (0, [0.0; 4]),
            zooms: Vec::new(),
            blocks: Vec::new(),
        };
        assert_eq!((file.u32(0), file.u32(file.bytes.len() - 4)), (magic, magic));
        assert_eq!(file.u16(4), 4);
        let (contigs, data, index) = (file.u64(8), file.u64(16), file.u64(24));
        file.fields = (file.u16(32), file.u16(34));
        let (sql, summary, largest) = (file.u64(36), file.u64(44), file.u32(52) as usize);
        if sql > 0 {
            let text = &file.bytes[sql..];
            let end = text.iter().position(|byte| *byte == 0).unwrap();
            file.auto_sql = String::from_utf8(text[..end].to_vec()).unwrap();
        }
        file.summary = (file.u64(summary) as u64, [0, 1, 2, 3].map(|at| file.f64(summary + 8 + 8 * at)));
        assert_eq!(file.u32(contigs), 0x78ca_8c91);
        let key = file.u32(contigs + 8) as usize;
        assert_eq!(file.bytes[contigs + 32], 1, "one leaf");
        let mut last = String::new();
        for item in 0..file.u16(contigs + 34) as usize {
            let at = contigs + 36 + item * (key + 8);
            let name = String::from_utf8(file.bytes[at..at + key].to_vec()).unwrap();
            let name = name.trim_end_matches('\0').to_owned();
            assert!(last < name, "names ascend");
            file.contigs.insert(file.u32(at + key), (name.clone(), file.u32(at + key + 4)));
            last = name;
        }
        file.count = file.u64(data) as u64;
        file.blocks = file.leaves(index, largest);
        for zoom in 0..file.u16(6) as usize {
            let at = 64 + 24 * zoom;
            let (reduction, index) = (file.u32(at), file.u64(at + 16));
            let (mut bases, mut sum) = (0, 0.0);
            for block in file.leaves(index, largest) {
                for record in block.chunks(32) {
                    let word = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().unwrap());
                    assert!(word(8) - word(4) <= reduction && word(12) <= word(8) - word(4));
                    bases += u64::from(word(12));
                    sum += f64::from(f32::from_bits(word(24)));
                }
            }
            file.zooms.push((reduction, bases, sum));
        }
        file
    }

    /// The decompressed blocks below the index at an offset, each within the bases that its leaf tells.
    fn leaves(&self, index: usize, largest: usize) -> Vec<Vec<u8>> {
        assert_eq!(self.u32(index), 0x2468_ace0);
        let mut nodes = vec![index + 48];
        let (mut blocks, mut leaves) = (Vec::new(), 0);
        let mut last = (0, 0);
        while let Some(node) = nodes.pop() {
            let (leaf, count) = (self.bytes[node] == 1, self.u16(node + 2) as usize);
            let mut children = Vec::new();
            for item in 0..count {
                let at = node + 4 + item * if leaf { 32 } else { 24 };
                if !leaf {
                    children.push(self.u64(at + 16));
                    continue;
                }
                let first = (self.u32(at), self.u32(at + 4));
                assert!(first >= last, "leaves ascend");
                last = first;
                let (offset, size) = (self.u64(at + 16), self.u64(at + 24));
                let mut block = Vec::new();
                flate2::read::ZlibDecoder::new(&self.bytes[offset..offset + size])
                    .read_to_end(&mut block)
                    .unwrap();
                assert!(block.len() <= largest, "{} of at most {largest} bytes", block.len());
                leaves += 1;
                blocks.push(block);
            }
            nodes.extend(children.into_iter().rev());
        }
        assert_eq!(leaves, self.u64(index + 8), "the index counts its leaves");
        blocks
    }

    /// Contig, 0-based position and value of each base of a bigWig.
    pub(super) fn values(&self) -> Vec<(String, u32, f32)> {
        let mut found = Vec::new();
        for block in &self.blocks {
            let word = |at: usize| u32::from_le_bytes(block[at..at + 4].try_into().unwrap());
            assert_eq!((word(16), block[20]), (1, 2), "items of one base");
            let name = &self.contigs[&word(0)].0;
            for item in 0..u16::from_le_bytes(block[22..24].try_into().unwrap()) as usize {
                let at = 24 + 8 * item;
                found.push((name.clone(), word(at), f32::from_bits(word(at + 4))));
            }
        }
        found
    }

    /// Contig, start, end and the other columns of each record of a bigBed.
    pub(super) fn records(&self) -> Vec<(String, u32, u32, Vec<String>)> {
        let mut found = Vec::new();
        for block in &self.blocks {
            let mut rest = block.as_slice();
            while !rest.is_empty() {
                let word = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
                let (contig, start, end) = (word(0), word(4), word(8));
                let length = rest[12..].iter().position(|byte| *byte == 0).unwrap();
                let text = std::str::from_utf8(&rest[12..12 + length]).unwrap();
                let columns = text.split('\t').map(str::to_owned).collect();
                found.push((self.contigs[&contig].0.clone(), start, end, columns));
                rest = &rest[13 + length..];
            }
        }
        found
    }

    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.bytes[at..at + 2].try_into().unwrap())
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes[at..at + 4].try_into().unwrap())
    }

    fn u64(&self, at: usize) -> usize {
        u64::from_le_bytes(self.bytes[at..at + 8].try_into().unwrap()) as usize
    }

    fn f64(&self, at: usize) -> f64 {
        f64::from_le_bytes(self.bytes[at..at + 8].try_into().unwrap())
    }
}
