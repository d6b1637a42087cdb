//! Reading bigWig.

use super::support::{Layout, PLAIN, bigwig, intervals};
use crate::coverage::bigwig::BigWig;
use crate::coverage::error::CoverageError;
use crate::coverage::source::Interval;
use crate::random::Random;

fn read(bytes: &[u8], contig: &str, start: u32, end: u32) -> Result<Vec<Interval>, CoverageError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.bw");
    std::fs::write(&path, bytes).expect("written");
    let opened = BigWig::open(&path)?;
    let contig = opened.contigs.resolve(contig).expect("a contig");
    let mut found = Vec::new();
    opened.visit(contig, start, end, &mut |interval| {
        found.push(interval);
        Ok(())
    })?;
    Ok(found)
}

#[test]
fn intervals_of_any_layout_are_found() {
    for seed in 0..60 {
        let mut random = Random::of(&[seed]);
        let lengths = [700, 90, 2500];
        let contigs: Vec<(&str, u32, Vec<Interval>)> = ["chr2", "chr10", "chr1"]
            .into_iter()
            .zip(lengths)
            .map(|(name, length)| (name, length, intervals(&mut random, length)))
            .collect();
        let layout = Layout {
            compressed: seed % 2 == 0,
            block: 1 + random.below(9) as usize,
            fan_out: 2 + random.below(4) as usize,
        };
        let bytes = bigwig(&contigs, &layout);
        for (name, length, intervals) in &contigs {
            let start = random.below((*length).into()) as u32;
            let end = start + 1 + random.below(u64::from(length - start)) as u32;
            let expected: Vec<Interval> = intervals
                .iter()
                .filter(|interval| interval.start < end && interval.end > start)
                .copied()
                .collect();
            assert_eq!(
                read(&bytes, name, start, end).expect("read"),
                expected,
                "{seed} {name} {start} {end}"
            );
        }
    }
}

#[test]
fn cut_or_changed_files_are_an_error_or_other_values_but_nothing_else() {
    let mut random = Random::new(3);
    let contigs = vec![("1", 900, intervals(&mut random, 900)), ("2", 600, intervals(&mut random, 600))];
    for compressed in [true, false] {
        let bytes = bigwig(&contigs, &Layout { compressed, ..PLAIN });
        for _ in 0..1500 {
            let mut changed = bytes.clone();
            for _ in 0..=random.below(3) {
                let place = random.below(changed.len() as u64) as usize;
                changed[place] = random.bits() as u8;
            }
            if random.below(3) == 0 {
                changed.truncate(random.below(bytes.len() as u64) as usize);
            }
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("a.bw");
            std::fs::write(&path, &changed).expect("written");
            let Ok(opened) = BigWig::open(&path) else { continue };
            for contig in 0..opened.contigs.contigs.len() as u32 {
                let mut last = 0;
                let _ = opened.visit(contig, 0, 900, &mut |interval| {
                    assert!(interval.start >= last && interval.start < interval.end);
                    last = interval.end;
                    Ok(())
                });
            }
        }
    }
}

#[test]
fn a_forged_index_is_refused_before_it_costs_anything() {
    let mut random = Random::new(4);
    let contigs = vec![("1", 900, intervals(&mut random, 900))];
    let bytes = bigwig(&contigs, &PLAIN);
    let index = u64::from_le_bytes(bytes[24..32].try_into().expect("eight bytes")) as usize;
    let first_child = index + 48 + 4 + 16;
    // The root is a child of itself.
    let mut endless = bytes.clone();
    endless[first_child..first_child + 8].copy_from_slice(&(index as u64 + 48).to_le_bytes());
    let error = read(&endless, "1", 0, 900).expect_err("a loop").to_string();
    assert!(error.contains("has no end; copy it again"), "{error}");
    // A block of more bytes than there are.
    let leaf = u64::from_le_bytes(bytes[first_child..first_child + 8].try_into().expect("eight")) as usize;
    let depth_two = u64::from_le_bytes(bytes[leaf + 20..leaf + 28].try_into().expect("eight")) as usize;
    let leaf = if bytes[leaf] == 1 { leaf } else { depth_two };
    assert_eq!(bytes[leaf], 1, "a leaf");
    let mut large = bytes.clone();
    large[leaf + 28..leaf + 36].copy_from_slice(&(1_u64 << 60).to_le_bytes());
    let first = contigs[0].2[0];
    let error = read(&large, "1", first.start, first.end).expect_err("too long").to_string();
    assert!(error.contains("a block is too long"), "{error}");
    // Two entries of one block.
    let mut twice = bytes.clone();
    let entry: Vec<u8> = bytes[leaf + 4..leaf + 36].to_vec();
    twice[leaf + 36..leaf + 68].copy_from_slice(&entry);
    let error = read(&twice, "1", 0, 900).expect_err("twice").to_string();
    assert!(error.contains("its blocks are out of order"), "{error}");
}

/// Of pyBigWig (libBigWig, with blocks of all types) and of bigtools (with zoom levels), from the same intervals; the
/// sums are pyBigWig's.
#[test]
fn files_of_other_programs_are_read() {
    for bytes in [include_bytes!("libbigwig.bw").as_slice(), include_bytes!("bigtools.bw")] {
        for (contig, length, count, areas, places) in [
            ("1", 3000, 55, 3613.25, 792_810.25),
            ("chr2", 1500, 120, 1177.5, 507_372.0),
            ("MT", 500, 1, 2000.0, 4000.0),
        ] {
            let found = read(bytes, contig, 0, length).expect("read");
            assert_eq!(found.len(), count, "{contig}");
            let sum = |of: &dyn Fn(&Interval) -> u32| -> f32 {
                found.iter().map(|interval| of(interval) as f32 * interval.value).sum()
            };
            assert_eq!(sum(&|interval| interval.end - interval.start), areas);
            assert_eq!(sum(&|interval| interval.start + 2 * interval.end), places);
        }
    }
}
