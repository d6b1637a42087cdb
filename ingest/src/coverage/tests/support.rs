//! A small genome, and a writer of every form of bigWig.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use tempfile::TempDir;
use vestore::Reference;
use vestore_schema::Assembly;

use crate::coverage::source::Interval;
use crate::coverage::{
    BinLayout, CoverageError, CoverageInput, CoverageTargets, CoverageValues, Folds, Sequences,
};
use crate::random::Random;

pub(super) const HEADER: &str =
    "\tidentifier\tfile\tclip\tclip_soft\tscale\tsum_stat\tstrand_pair\tdescription";

/// A folder with a reference.
pub(super) struct Genome {
    pub(super) folder: TempDir,
    pub(super) assembly: Assembly,
    pub(super) reference: Reference,
}

impl Genome {
    pub(super) fn new(contigs: &[(&str, String)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let text: Vec<String> = contigs.iter().map(|(name, bases)| format!(">{name}\n{bases}\n")).collect();
        std::fs::write(folder.path().join("genome.fa"), text.concat()).expect("written");
        let mut reference = Reference::open(folder.path().join("genome.fa")).expect("a reference");
        let assembly = reference.survey().expect("contigs");
        Self { folder, assembly, reference }
    }

    pub(super) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    }

    /// A table of targets of these lines, which are numbered, without strand pairs.
    pub(super) fn targets(&self, lines: &[&str]) -> Result<CoverageTargets, CoverageError> {
        let lines: Vec<String> =
            lines.iter().enumerate().map(|(number, line)| format!("{number}\t{line}\t{number}\t")).collect();
        CoverageTargets::read(&self.write("targets.txt", format!("{HEADER}\n{}\n", lines.join("\n"))))
    }

    pub(super) fn windows(&self, window: u32, lines: &str) -> Result<Sequences, CoverageError> {
        Sequences::read_bed(&self.write("sequences.bed", lines), window, &Folds::default(), &self.assembly)
    }

    pub(super) fn collect(
        &mut self,
        targets: &CoverageTargets,
        sequences: &Sequences,
        layout: BinLayout,
        blacklist: Option<&Path>,
    ) -> Result<CoverageValues, CoverageError> {
        let input = CoverageInput { targets, sequences, layout, blacklist, assembly: &self.assembly };
        CoverageValues::collect(&input, &mut self.reference, self.folder.path(), &AtomicBool::new(false), &())
    }
}

pub(super) fn bases(random: &mut Random, length: usize) -> String {
    (0..length).map(|_| char::from(b"ACGT"[random.below(4) as usize])).collect()
}

/// Sorted, disjoint intervals of a contig: of any length, of one length, and at even distances, in turn.
pub(super) fn intervals(random: &mut Random, length: u32) -> Vec<Interval> {
    let mut found = Vec::new();
    let mut at = random.below(40) as u32;
    while at < length {
        let (form, span, gap) = (random.below(3), 1 + random.below(9) as u32, random.below(4) as u32);
        for _ in 0..=random.below(12) {
            let any = |random: &mut Random, even: u32| if form == 0 { random.below(12) as u32 } else { even };
            let end = at + 1 + any(random, span - 1);
            if end > length {
                return found;
            }
            let value = if random.below(3) == 0 { 0.0 } else { random.below(4000) as f32 / 100.0 };
            found.push(Interval { start: at, end, value });
            at = end + if form == 1 { random.below(30) as u32 } else { any(random, gap) };
        }
    }
    found
}

/// How a bigWig is written.
pub(super) struct Layout {
    pub(super) compressed: bool,
    /// Intervals of a block.
    pub(super) block: usize,
    /// Children of a node.
    pub(super) fan_out: usize,
}

pub(super) const PLAIN: Layout = Layout { compressed: true, block: 8, fan_out: 3 };

/// The bytes of a bigWig of contigs (name, length, intervals).
pub(super) fn bigwig(contigs: &[(&str, u32, Vec<Interval>)], layout: &Layout) -> Vec<u8> {
    let mut out = vec![0; 64];
    // Numbers are not in the order of the names, as in files of other programs.
    let mut order: Vec<usize> = (0..contigs.len()).collect();
    order.sort_by_key(|place| contigs[*place].0);
    let key = contigs.iter().map(|(name, ..)| name.len()).max().unwrap_or(1) + 2;
    let padded = |name: &str| {
        let mut bytes = name.as_bytes().to_vec();
        bytes.resize(key, 0);
        bytes
    };
    let entries = order.iter().map(|place| {
        let (name, length, _) = &contigs[*place];
        let name = padded(name);
        (name.clone(), [name, (*place as u32).to_le_bytes().to_vec(), length.to_le_bytes().to_vec()].concat())
    });
    let mut header = words(&[0x78ca_8c91, layout.fan_out as u32, key as u32, 8]);
    header.extend_from_slice(&(contigs.len() as u64).to_le_bytes());
    header.extend_from_slice(&[0; 8]);
    let join = |keys: &[Vec<u8>]| keys[0].clone();
    let tree = write_tree(&mut out, entries.collect(), layout.fan_out, &header, &join);

    let data = out.len() as u64;
    let mut leaves = Vec::new();
    for (number, (_, _, intervals)) in contigs.iter().enumerate() {
        for block in intervals.chunks(layout.block) {
            let bytes = write_block(number as u32, block);
            let stored = if layout.compressed { zlib(&bytes) } else { bytes };
            let (number, start, end) = (number as u32, block[0].start, block[block.len() - 1].end);
            let span = words(&[number, start, number, end]);
            let place = [(out.len() as u64).to_le_bytes(), (stored.len() as u64).to_le_bytes()].concat();
            leaves.push((span.clone(), [span, place].concat()));
            out.extend_from_slice(&stored);
        }
    }
    let mut header = words(&[0x2468_ace0, layout.fan_out as u32]);
    header.extend_from_slice(&(leaves.len() as u64).to_le_bytes());
    header.extend_from_slice(&[0; 32]);
    let join = |spans: &[Vec<u8>]| [&spans[0][..8], &spans[spans.len() - 1][8..]].concat();
    let index = write_tree(&mut out, leaves, layout.fan_out, &header, &join);

    let mut header = words(&[0x888f_fc26, 4]);
    for offset in [tree, data, index] {
        header.extend_from_slice(&offset.to_le_bytes());
    }
    header.extend_from_slice(&[0; 20]);
    header.extend_from_slice(&u32::from(layout.compressed).to_le_bytes());
    out[..header.len()].copy_from_slice(&header);
    out
}

/// A key and the bytes of an entry.
type Entry = (Vec<u8>, Vec<u8>);

/// Writes the nodes below the root, the header, then the root; gives the header's offset.
fn write_tree(
    out: &mut Vec<u8>,
    mut entries: Vec<Entry>,
    fan_out: usize,
    header: &[u8],
    join: &dyn Fn(&[Vec<u8>]) -> Vec<u8>,
) -> u64 {
    let node = |out: &mut Vec<u8>, leaf: bool, entries: &[Entry]| {
        out.extend_from_slice(&[u8::from(leaf), 0]);
        out.extend_from_slice(&(entries.len() as u16).to_le_bytes());
        for (_, bytes) in entries {
            out.extend_from_slice(bytes);
        }
    };
    let mut leaf = true;
    while entries.len() > fan_out {
        let above = entries.chunks(fan_out).map(|children| {
            let at = out.len() as u64;
            node(out, leaf, children);
            let keys: Vec<Vec<u8>> = children.iter().map(|(key, _)| key.clone()).collect();
            let key = join(&keys);
            (key.clone(), [key, at.to_le_bytes().to_vec()].concat())
        });
        entries = above.collect();
        leaf = false;
    }
    let at = out.len() as u64;
    out.extend_from_slice(header);
    node(out, leaf, &entries);
    at
}

/// A block in the shortest type that holds its intervals.
fn write_block(contig: u32, block: &[Interval]) -> Vec<u8> {
    let (first, last) = (block[0], block[block.len() - 1]);
    let span = first.end - first.start;
    let step = block.get(1).map_or(span, |second| second.start - first.start);
    let even = block.iter().all(|interval| interval.end - interval.start == span);
    let regular = block.windows(2).all(|pair| pair[1].start - pair[0].start == step);
    let form = if even && regular { 3 } else { 1 + u8::from(even) };
    let mut bytes = words(&[contig, first.start, last.end, step, span]);
    bytes.extend_from_slice(&[form, 0]);
    bytes.extend_from_slice(&(block.len() as u16).to_le_bytes());
    for interval in block {
        if form < 3 {
            bytes.extend_from_slice(&interval.start.to_le_bytes());
        }
        if form == 1 {
            bytes.extend_from_slice(&interval.end.to_le_bytes());
        }
        bytes.extend_from_slice(&interval.value.to_le_bytes());
    }
    bytes
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

pub(super) fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

/// As it is defined.
pub(super) fn pearson(pairs: &[(f64, f64)]) -> Option<f64> {
    let count = pairs.len() as f64;
    let (left, right) = pairs.iter().fold((0.0, 0.0), |sums, pair| (sums.0 + pair.0, sums.1 + pair.1));
    let centred = pairs.iter().map(|pair| (pair.0 - left / count, pair.1 - right / count));
    let product: f64 = centred.clone().map(|pair| pair.0 * pair.1).sum();
    let spread: f64 = centred.clone().map(|pair| pair.0 * pair.0).sum::<f64>()
        * centred.map(|pair| pair.1 * pair.1).sum::<f64>();
    (spread > 0.0).then(|| product / spread.sqrt())
}

/// As it is defined, of measurements that stand second.
pub(super) fn r2(pairs: &[(f64, f64)]) -> Option<f64> {
    let mean = pairs.iter().map(|pair| pair.1).sum::<f64>() / pairs.len() as f64;
    let errors: f64 = pairs.iter().map(|pair| (pair.1 - pair.0).powi(2)).sum();
    let total: f64 = pairs.iter().map(|pair| (pair.1 - mean).powi(2)).sum();
    (total > 0.0).then(|| 1.0 - errors / total)
}
