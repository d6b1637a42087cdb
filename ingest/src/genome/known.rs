//! Where windows may be cut: regions of known bases, without what is held out.

use vestore_schema::Region;

use super::Genome;
use crate::convert::{as_index, narrow};
use crate::random::Random;

/// Regions without N: sorted, disjoint, and none touching another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownRegions(Vec<Region>);

impl KnownRegions {
    /// The known bases of `regions` (of all contigs when empty) outside `held_out`.
    #[must_use]
    pub fn new(genome: &Genome, regions: &[Region], held_out: &[Region]) -> Self {
        let whole = 0..narrow(genome.assembly().contigs.len());
        let wanted = if regions.is_empty() {
            whole.map(|contig| genome.assembly().whole(contig)).collect()
        } else {
            Region::union(regions.to_vec())
        };
        let held_out = Region::union(held_out.to_vec());
        let mut known = Vec::new();
        for region in wanted {
            for part in without(region, &held_out) {
                let mut at = part.start;
                for run in genome.letters(part).chunk_by(|left, right| (*left == b'N') == (*right == b'N')) {
                    let end = at + narrow(run.len());
                    if run[0] != b'N' {
                        known.push(Region { start: at, end, ..part });
                    }
                    at = end;
                }
            }
        }
        Self(known)
    }

    /// Bases in all regions.
    #[must_use]
    pub fn bases(&self) -> u64 {
        self.0.iter().map(|region| u64::from(region.len())).sum()
    }

    /// The regions.
    #[must_use]
    pub fn regions(&self) -> &[Region] {
        &self.0
    }

    /// Windows of `length` bases side by side, from the left end of every region; a remainder at a region's end is
    /// in none.
    pub fn tiles(&self, length: u32) -> impl Iterator<Item = Region> {
        self.0.iter().flat_map(move |region| {
            let starts = (region.start..region.end).step_by(length as usize);
            starts.filter(move |start| region.end - start >= length).map(move |start| Region {
                start,
                end: start + length,
                ..*region
            })
        })
    }

    /// All starts of windows of `length` bases; `None` when no region is so long.
    pub(crate) fn starts(&self, length: u32) -> Option<WindowStarts<'_>> {
        let mut total = 0;
        let mut before = Vec::new();
        for region in self.0.iter().filter(|region| region.len() >= length) {
            before.push((total, region));
            total += u64::from(region.len() - length + 1);
        }
        (total > 0).then_some(WindowStarts { before, total, length })
    }
}

/// All starts of windows of one length.
pub(crate) struct WindowStarts<'a> {
    /// Regions, each with the number of starts before it.
    before: Vec<(u64, &'a Region)>,
    total: u64,
    length: u32,
}

impl WindowStarts<'_> {
    /// A window, each as likely.
    pub(crate) fn draw(&self, random: &mut Random) -> Region {
        let number = random.below(self.total);
        let index = self.before.partition_point(|(before, _)| *before <= number) - 1;
        let (before, region) = self.before[index];
        let start = region.start + narrow(as_index(number - before));
        Region { contig: region.contig, start, end: start + self.length }
    }
}

/// What is left of `region` without any of `removed`, which are sorted and disjoint.
fn without(region: Region, removed: &[Region]) -> Vec<Region> {
    let mut left = Vec::new();
    let mut start = region.start;
    for hole in removed.iter().filter(|hole| hole.contig == region.contig) {
        if hole.start > start {
            left.push(Region { start, end: hole.start.min(region.end), ..region });
        }
        start = start.max(hole.end);
    }
    left.push(Region { start, ..region });
    left.retain(|part| !part.is_empty());
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    fn genome(text: &str) -> Genome {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("a.fa");
        std::fs::write(&file, text).expect("written");
        Genome::read(&[file]).expect("a genome")
    }

    fn region(contig: u32, start: u32, end: u32) -> Region {
        Region { contig, start, end }
    }

    #[test]
    fn held_out_and_unknown_bases_are_in_no_region() {
        let genome = genome(">a\nNNACGTNACGTACGT\n>b\nACGTAC\n");
        let held_out = [region(0, 9, 11), region(1, 0, 2), region(1, 5, 6)];
        let known = KnownRegions::new(&genome, &[], &held_out);
        let expected = [region(0, 2, 6), region(0, 7, 9), region(0, 11, 15), region(1, 2, 5)];
        assert_eq!(known.regions(), expected);
        assert_eq!(known.bases(), 13);
        let tiles: Vec<Region> = known.tiles(2).collect();
        assert_eq!(tiles.len(), 6);
        assert_eq!(tiles[5], region(1, 2, 4));
        let only = KnownRegions::new(&genome, &[region(1, 1, 4)], &[]);
        assert_eq!(only.regions(), [region(1, 1, 4)]);
    }

    #[test]
    fn every_start_is_drawn_and_no_other() {
        let genome = genome(">a\nACGTNNACG\n>b\nACGTA\n");
        let known = KnownRegions::new(&genome, &[], &[]);
        let starts = known.starts(4).expect("starts");
        let mut random = Random::new(1);
        let mut drawn: Vec<Region> = (0..200).map(|_| starts.draw(&mut random)).collect();
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn, [region(0, 0, 4), region(1, 0, 4), region(1, 1, 5)]);
        assert!(known.starts(6).is_none());
    }
}
