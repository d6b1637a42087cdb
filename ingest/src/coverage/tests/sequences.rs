//! Windows and their splits.

use std::sync::atomic::AtomicBool;

use super::support::{Genome, bases};
use crate::coverage::{RandomSplit, Sequence, Sequences, TileOptions};
use crate::dataset::Split;
use crate::random::Random;

fn genome() -> Genome {
    let mut random = Random::new(2);
    let long = bases(&mut random, 1000);
    let holed = format!("{}{}{}", bases(&mut random, 90), "N".repeat(61), bases(&mut random, 349));
    Genome::new(&[("chr1", long), ("chr2", holed), ("chr3", bases(&mut random, 99))])
}

#[test]
fn windows_are_read_as_baskerville_writes_them() {
    let genome = genome();
    let read = genome
        .windows(100, "# a comment\nchr1\t0\t100\ttrain\n2\t400\t500\tvalid\nchr1\t900\t1000\ttest\tmore\n");
    let read = read.expect("windows");
    let window = |contig, start, split| Sequence { contig, start, split };
    assert_eq!(
        read.windows,
        [window(0, 0, Split::Training), window(1, 400, Split::Validation), window(0, 900, Split::Test)]
    );
    assert_eq!(read.of(Split::Test).collect::<Vec<_>>(), [2]);
    let other = genome.windows(100, "chr1\t0\t100\ttrain\n2\t400\t500\tvalid\nchr1\t900\t1000\tvalid\n");
    assert_ne!(read.identity(&genome.assembly), other.expect("windows").identity(&genome.assembly));
}

#[test]
fn windows_that_cannot_be_are_refused_with_their_line() {
    let genome = genome();
    for (lines, message) in [
        ("chr1\t0\t99\ttrain\n", "line 1: invalid end `99`; expected start + 100: a window of the model"),
        ("chr1\t950\t1050\ttrain\n", "line 1: invalid end `1050`; expected at most 1000"),
        (
            "chr9\t0\t100\ttrain\n",
            "line 1: invalid contig `chr9`; expected a contig of the reference, such as chr",
        ),
        ("chr1\t0\t100\tfold3\n", "line 1: invalid split `fold3`; expected train, valid or test"),
        ("chr1\t0\t100\n", "line 1: invalid split ``; expected train, valid or test in the fourth column"),
        (
            "chr1\t0\t100\ttrain\n1\t99\t199\tvalid\n",
            "the training window of line 1 and the validation window of line 2 overlap",
        ),
        ("chr1\t0\t100\ttrain\n1\t0\t100\ttrain\n", "lines 1 and 2 are the same window; remove one"),
        ("chr1\t0\t100\ttest\n", "there are no training windows; write `train` into"),
    ] {
        let error = genome.windows(100, lines).expect_err("a refusal").to_string();
        assert!(error.contains(message), "{error}");
    }
    // Windows of one split may overlap, and those of two may touch.
    genome
        .windows(100, "chr1\t0\t100\ttrain\nchr1\t50\t150\ttrain\nchr1\t150\t250\tvalid\n")
        .expect("windows");
}

/// Whatever overlaps is found, and nothing else.
#[test]
fn overlaps_are_those_of_a_plain_comparison() {
    let genome = genome();
    let mut refused = 0;
    for seed in 0..300 {
        let mut random = Random::of(&[seed]);
        let windows: Vec<(u64, u64, usize)> = (0..5)
            .map(|_| (random.below(2), random.below(21) * 20, [0, 0, 1, 2][random.below(4) as usize]))
            .chain([(0, 900, 0)])
            .collect();
        let clash = windows.iter().enumerate().any(|(place, one)| {
            windows[place + 1..].iter().any(|other| {
                let near = one.0 == other.0 && one.1.abs_diff(other.1) < 100;
                near && (one.2 != other.2 || one.1 == other.1)
            })
        });
        let lines: Vec<String> = windows
            .iter()
            .map(|(contig, start, split)| {
                format!(
                    "chr{}\t{start}\t{}\t{}\n",
                    contig + 1,
                    start + 100,
                    ["train", "valid", "test"][*split]
                )
            })
            .collect();
        assert_eq!(genome.windows(100, &lines.concat()).is_err(), clash, "{lines:?}");
        refused += u32::from(clash);
    }
    assert!((50..290).contains(&refused), "{refused}");
}

#[test]
fn windows_are_laid_by_contig() {
    let mut genome = genome();
    let options = TileOptions {
        window: 100,
        stride: 100,
        contigs: Vec::new(),
        validation: vec!["2".to_owned()],
        test: Vec::new(),
        random: None,
    };
    let tiled = Sequences::tile(&options, &genome.assembly, &mut genome.reference, &AtomicBool::new(false))
        .expect("windows");
    // Of chr2's five windows, the second has 51 unknown bases.
    let starts: Vec<u64> = tiled.of(Split::Validation).map(|place| tiled.windows[place].start).collect();
    assert_eq!(starts, [0, 200, 300, 400]);
    assert_eq!((tiled.of(Split::Training).count(), tiled.unknown, tiled.across, tiled.short), (10, 1, 0, 1));
    for (change, message) in [
        (TileOptions { test: vec!["chr2".to_owned()], ..options.clone() }, "invalid test contig `chr2`"),
        (
            TileOptions { test: vec!["chr7".to_owned()], ..options.clone() },
            "expected a contig of the reference",
        ),
        (TileOptions { stride: 0, ..options.clone() }, "invalid stride `0`"),
        (TileOptions { contigs: vec!["chr7".to_owned()], ..options.clone() }, "invalid contig `chr7`"),
        (TileOptions { contigs: vec!["2".to_owned()], ..options.clone() }, "there are no training windows"),
        (TileOptions { window: 5000, ..options.clone() }, "there are no training windows"),
        (TileOptions { test: vec!["chr3".to_owned()], ..options.clone() }, "there are no test windows"),
        (
            TileOptions {
                random: Some(RandomSplit { validation: 0.6, test: 0.4, seed: 1 }),
                ..options.clone()
            },
            "invalid split shares `0.6 and 0.4`",
        ),
    ] {
        let error =
            Sequences::tile(&change, &genome.assembly, &mut genome.reference, &AtomicBool::new(false));
        let error = error.expect_err("a refusal").to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn random_splits_share_no_bases() {
    let mut random = Random::new(5);
    let mut genome = Genome::new(&[("1", bases(&mut random, 9000)), ("2", bases(&mut random, 4000))]);
    let mut drawn = Vec::new();
    for seed in 0..20 {
        let options = TileOptions {
            window: 50,
            stride: 30,
            contigs: Vec::new(),
            validation: Vec::new(),
            test: Vec::new(),
            random: Some(RandomSplit { validation: 0.2, test: 0.1, seed }),
        };
        let tiled =
            Sequences::tile(&options, &genome.assembly, &mut genome.reference, &AtomicBool::new(false))
                .expect("windows");
        for one in &tiled.windows {
            for other in tiled.windows.iter().filter(|other| other.split != one.split) {
                assert!(one.contig != other.contig || one.start.abs_diff(other.start) >= 50);
            }
        }
        let share = |split| tiled.of(split).count() as f64 / tiled.windows.len() as f64;
        assert!((0.08..0.3).contains(&share(Split::Validation)), "{}", share(Split::Validation));
        assert!(tiled.across > 0);
        let again =
            Sequences::tile(&options, &genome.assembly, &mut genome.reference, &AtomicBool::new(false))
                .expect("windows");
        assert_eq!(again, tiled);
        drawn.push(tiled.windows);
    }
    drawn.dedup();
    assert!(drawn.len() > 10);
}
