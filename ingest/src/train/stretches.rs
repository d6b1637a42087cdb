//! Where windows may be cut: stretches of known bases, less what is held out.

use vestore_schema::Region;

use super::genome::Genome;
use crate::random::Random;

/// Stretches without N, sorted, none touching another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stretches(Vec<Region>);

impl Stretches {
    /// What `regions` (all contigs when empty) have of known bases outside `held_out`.
    #[must_use]
    pub fn new(genome: &Genome, regions: &[Region], held_out: &[Region]) -> Self {
        let whole = 0..genome.assembly().contigs.len() as u32;
        let wanted = if regions.is_empty() {
            whole.map(|contig| genome.assembly().whole(contig)).collect()
        } else {
            Region::union(regions.to_vec())
        };
        let held_out = Region::union(held_out.to_vec());
        let mut stretches = Vec::new();
        for region in wanted {
            for part in without(region, &held_out) {
                let mut at = part.start;
                for run in genome.letters(part).chunk_by(|left, right| (*left == b'N') == (*right == b'N')) {
                    let end = at + run.len() as u32;
                    if run[0] != b'N' {
                        stretches.push(Region { start: at, end, ..part });
                    }
                    at = end;
                }
            }
        }
        Self(stretches)
    }

    /// Bases in all stretches.
    #[must_use]
    pub fn bases(&self) -> u64 {
        self.0.iter().map(|stretch| u64::from(stretch.len())).sum()
    }

    /// The stretches.
    #[must_use]
    pub fn regions(&self) -> &[Region] {
        &self.0
    }

    /// Windows of `length` bases side by side, from the left end of every stretch; what is left over at a
    /// stretch's end is in none.
    pub fn tiles(&self, length: u32) -> impl Iterator<Item = Region> {
        self.0.iter().flat_map(move |stretch| {
            let starts = (stretch.start..stretch.end).step_by(length as usize);
            starts.filter(move |start| stretch.end - start >= length).map(move |start| Region {
                start,
                end: start + length,
                ..*stretch
            })
        })
    }

    /// Draws windows of `length` bases, every place of which is as likely; `None` when no stretch is so long.
    pub(crate) fn places(&self, length: u32) -> Option<Places<'_>> {
        let mut total = 0;
        let mut before = Vec::new();
        for stretch in self.0.iter().filter(|stretch| stretch.len() >= length) {
            before.push((total, stretch));
            total += u64::from(stretch.len() - length + 1);
        }
        (total > 0).then_some(Places { before, total, length })
    }
}

/// All places of windows of one length.
pub(crate) struct Places<'a> {
    /// Stretches, each with the number of places before it.
    before: Vec<(u64, &'a Region)>,
    total: u64,
    length: u32,
}

impl Places<'_> {
    /// A place.
    pub(crate) fn draw(&self, random: &mut Random) -> Region {
        let place = random.below(self.total);
        let index = self.before.partition_point(|(before, _)| *before <= place) - 1;
        let (before, stretch) = self.before[index];
        let start = stretch.start + (place - before) as u32;
        Region { contig: stretch.contig, start, end: start + self.length }
    }
}

/// What is left of `region` without any of `removed`, which are sorted and apart.
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
    fn held_out_bases_and_unknown_ones_are_in_no_stretch() {
        let genome = genome(">a\nNNACGTNACGTACGT\n>b\nACGTAC\n");
        let held_out = [region(0, 9, 11), region(1, 0, 2), region(1, 5, 6)];
        let stretches = Stretches::new(&genome, &[], &held_out);
        let expected = [region(0, 2, 6), region(0, 7, 9), region(0, 11, 15), region(1, 2, 5)];
        assert_eq!(stretches.regions(), expected);
        assert_eq!(stretches.bases(), 13);
        let tiles: Vec<Region> = stretches.tiles(2).collect();
        assert_eq!(tiles.len(), 6);
        assert_eq!(tiles[5], region(1, 2, 4));
        let only = Stretches::new(&genome, &[region(1, 1, 4)], &[]);
        assert_eq!(only.regions(), [region(1, 1, 4)]);
    }

    #[test]
    fn every_place_is_drawn_and_no_other() {
        let genome = genome(">a\nACGTNNACG\n>b\nACGTA\n");
        let stretches = Stretches::new(&genome, &[], &[]);
        let places = stretches.places(4).expect("places");
        let mut random = Random::new(1);
        let mut drawn: Vec<Region> = (0..200).map(|_| places.draw(&mut random)).collect();
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn, [region(0, 0, 4), region(1, 0, 4), region(1, 1, 5)]);
        assert!(stretches.places(6).is_none());
    }
}
