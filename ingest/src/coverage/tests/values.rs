//! Values against a plain model of every base.

use std::sync::atomic::AtomicBool;

use super::support::{Genome, Layout, bases, bigwig, intervals};
use crate::coverage::source::Interval;
use crate::coverage::{BinLayout, CoverageInput, CoverageTargets, CoverageValues, Sequences};
use crate::random::Random;

/// Coverage of each base.
fn spread(intervals: &[Interval], length: usize) -> Vec<f64> {
    let mut plain = vec![0.0; length];
    for interval in intervals {
        plain[interval.start as usize..interval.end as usize].fill(f64::from(interval.value));
    }
    plain
}

/// A bin as the authors' program computes it, in their order, before `clip`.
fn model(bin: &[f64], scale: f64, statistic: &str, clip_soft: Option<f64>) -> f64 {
    let scaled: Vec<f64> = bin.iter().map(|value| value * scale).collect();
    let sum: f64 = scaled.iter().sum();
    let mean = sum / scaled.len() as f64;
    let mut value = match statistic {
        "sum" => sum,
        "sum_sqrt" => -1.0 + (1.0 + sum).sqrt(),
        "mean" | "avg" => mean,
        "mean_sqrt" | "avg_sqrt" => -1.0 + (1.0 + mean).sqrt(),
        "max" => scaled.iter().copied().fold(0.0, f64::max),
        _ => unreachable!("of the test"),
    };
    if let Some(limit) = clip_soft
        && value > limit
    {
        value = limit - 1.0 + (value - limit + 1.0).sqrt();
    }
    value
}

const STATISTICS: [&str; 7] = ["sum", "sum_sqrt", "mean", "avg", "mean_sqrt", "avg_sqrt", "max"];

#[test]
fn values_are_those_of_a_plain_model() {
    for seed in 0..25 {
        let mut random = Random::of(&[seed, 7]);
        let lengths = [900_usize, 640];
        let mut sequence: Vec<String> = lengths.iter().map(|length| bases(&mut random, *length)).collect();
        for text in &mut sequence {
            let start = random.below(text.len() as u64 - 60) as usize;
            text.replace_range(start..start + 60, &"N".repeat(60));
        }
        let mut genome = Genome::new(&[("chr1", sequence[0].clone()), ("chr2", sequence[1].clone())]);
        let layout =
            BinLayout { resolution: 1 + random.below(20) as u32, first: random.below(3) as u32, count: 5 };
        let window = (layout.first + layout.count) * layout.resolution + random.below(9) as u32;
        let mut lines = format!("1\t0\t{window}\ttrain\n");
        for _ in 0..6 {
            let contig = random.below(2) as usize;
            let start = 1 + random.below(lengths[contig] as u64 - u64::from(window));
            let (end, split) = (start + u64::from(window), ["train", "test"][contig]);
            let line = format!("chr{}\t{start}\t{end}\t{split}\n", contig + 1);
            if !lines.contains(&line) {
                lines.push_str(&line);
            }
        }
        let windows = genome.windows(window, &lines).expect("windows");
        let blacklist: Vec<(usize, u64, u64)> = (0..4)
            .map(|_| {
                let (contig, start) = (random.below(2) as usize, random.below(600));
                (contig, start, start + 1 + random.below(30))
            })
            .collect();
        let text: Vec<String> = blacklist
            .iter()
            .map(|(contig, start, end)| format!("{}\t{start}\t{end}\n", contig + 1))
            .collect();
        let blacklist_file = genome.write("blacklist.bed", text.concat());

        // The same intervals as bigWig and bedGraph, and overlapping ones as BED.
        let measured: Vec<Vec<Interval>> =
            lengths.iter().map(|length| intervals(&mut random, *length as u32)).collect();
        let contigs: Vec<(&str, u32, Vec<Interval>)> = vec![
            ("2", lengths[1] as u32, measured[1].clone()),
            ("1", lengths[0] as u32, measured[0].clone()),
        ];
        let compressed = seed % 2 == 0;
        genome.write("a.bw", bigwig(&contigs, &Layout { compressed, block: 5, fan_out: 2 }));
        let graph: String = [1, 0]
            .iter()
            .flat_map(|contig| {
                let line = move |found: &Interval| {
                    format!("{}\t{}\t{}\t{}\n", contig + 1, found.start, found.end, found.value)
                };
                measured[*contig].iter().map(line)
            })
            .collect();
        genome.write("b.bedgraph", graph);
        let mut peaks: Vec<(usize, u32, u32)> = (0..40)
            .map(|_| {
                let (contig, start) = (random.below(2) as usize, random.below(600) as u32);
                (contig, start, start + random.below(40) as u32)
            })
            .collect();
        peaks.sort_unstable();
        let text: Vec<String> = peaks
            .iter()
            .map(|(contig, start, end)| format!("chr{}\t{start}\t{end}\tx\n", contig + 1))
            .collect();
        genome.write("c.bed", text.concat());

        let mut settings = Vec::new();
        let mut table = Vec::new();
        for name in ["a.bw", "b.bedgraph", "c.bed"] {
            let statistic = STATISTICS[random.below(7) as usize];
            let scale = [1.0, 0.3, 2.5][random.below(3) as usize];
            let clip_soft = [None, Some(3.0)][random.below(2) as usize];
            let clip = [None, Some(5.0), Some(2.0)][random.below(3) as usize];
            let cell = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
            table.push(format!("T{name}\t{name}\t{}\t{}\t{scale}\t{statistic}", cell(clip), cell(clip_soft)));
            settings.push((scale, statistic, clip_soft, clip));
        }
        let targets = genome.targets(&table.iter().map(String::as_str).collect::<Vec<_>>()).expect("targets");
        let values = genome.collect(&targets, &windows, layout, Some(&blacklist_file)).expect("values");

        let mut left_out = 0;
        let mut all = vec![Vec::new(); 3];
        for (number, window) in windows.windows.iter().enumerate() {
            let read = values.read(number).expect("a window");
            for (target, (scale, statistic, clip_soft, clip)) in settings.iter().enumerate() {
                let plain = if target == 2 {
                    let mut plain = vec![0.0; 900];
                    for (_, start, end) in peaks.iter().filter(|(contig, ..)| *contig == window.contig) {
                        plain[*start as usize..*end as usize].fill(1.0);
                    }
                    plain
                } else {
                    spread(&measured[window.contig], lengths[window.contig])
                };
                for bin in 0..layout.count {
                    let start = window.start as usize + ((layout.first + bin) * layout.resolution) as usize;
                    let span = start..start + layout.resolution as usize;
                    let found = read[target * 5 + bin as usize];
                    let listed = blacklist.iter().any(|(contig, first, end)| {
                        *contig == window.contig
                            && (*first as usize) < span.end
                            && (*end as usize) > span.start
                    });
                    if listed || sequence[window.contig][span.clone()].bytes().all(|base| base == b'N') {
                        assert!(found.is_nan(), "{seed}: {found}");
                        left_out += u64::from(target == 0);
                        continue;
                    }
                    let whole = model(&plain[span], *scale, statistic, *clip_soft);
                    let expected = clip.map_or(whole, |limit| whole.min(limit));
                    let error = (f64::from(found) - expected).abs();
                    assert!(error <= 1e-6 * expected.max(1.0), "{seed}: {found} {expected} {statistic}");
                    // Statistics are of training windows.
                    if window.contig == 0 {
                        all[target].push((f64::from(found), whole));
                    }
                }
            }
        }
        assert_eq!(values.left_out(), left_out);
        for (target, found) in values.statistics().iter().enumerate() {
            let count = all[target].len() as f64;
            assert_eq!(found.bins as f64, count);
            let mean = all[target].iter().map(|(value, _)| value).sum::<f64>() / count.max(1.0);
            assert!((found.mean - mean).abs() < 1e-9);
            assert_eq!(found.max, all[target].iter().map(|(value, _)| *value).fold(0.0, f64::max));
            let zeros = all[target].iter().filter(|(value, _)| *value == 0.0).count() as f64;
            assert!((found.zeros * count - zeros).abs() < 1e-6);
            if let Some(clip) = settings[target].3 {
                let clipped = all[target].iter().filter(|(_, whole)| *whole > clip).count() as u64;
                assert_eq!(found.clipped, clipped);
            }
        }
    }
}

/// A genome, its targets and two windows.
fn small() -> (Genome, CoverageTargets, Sequences, BinLayout) {
    let genome = Genome::new(&[("1", bases(&mut Random::new(8), 400))]);
    genome.write("a.bdg", "1\t0\t400\t2\n");
    let targets = genome.targets(&["A\ta.bdg\t\t\t1\tmean"]).expect("targets");
    let windows = genome.windows(100, "1\t0\t100\ttrain\n1\t200\t300\ttest\n").expect("windows");
    (genome, targets, windows, BinLayout { resolution: 25, first: 0, count: 4 })
}

#[test]
fn values_are_computed_once_for_an_input() {
    let (mut genome, targets, windows, layout) = small();
    let file = genome.folder.path().join("coverage.values");
    genome.write("coverage.partial", "of a killed process");
    assert_eq!(
        genome.collect(&targets, &windows, layout, None).expect("values").read(1).expect("read"),
        [2.0; 4]
    );
    let written = std::fs::read(&file).expect("a file");
    // What is there is read, not computed again.
    let mut changed = written.clone();
    changed[8..12].copy_from_slice(&7.0_f32.to_le_bytes());
    std::fs::write(&file, &changed).expect("written");
    let read = genome.collect(&targets, &windows, layout, None).expect("values");
    assert_eq!(read.read(0).expect("read"), [7.0, 2.0, 2.0, 2.0]);
    assert_eq!(read.statistics()[0].mean, 2.0);
    // Anything else is replaced.
    for damaged in [
        &written[..written.len() - 1],
        &written[..20],
        b"",
        &[written.as_slice(), b"x"].concat(),
        &[&written[..40], b"{", &written[41..]].concat(),
    ] {
        std::fs::write(&file, damaged).expect("written");
        genome.collect(&targets, &windows, layout, None).expect("values");
        assert_eq!(std::fs::read(&file).expect("a file"), written);
    }
    let other = BinLayout { count: 3, ..layout };
    assert_eq!(genome.collect(&targets, &windows, other, None).expect("values").shape(), (1, 3));
    std::fs::write(&file, &changed).expect("written");
    let blacklist = genome.write("blacklist.bed", "1\t0\t1\n");
    let values = genome.collect(&targets, &windows, layout, Some(&blacklist)).expect("values");
    assert!(values.read(0).expect("read")[0].is_nan());
    std::fs::write(&file, &changed).expect("written");
    genome.write("a.bdg", "1\t0\t400\t3\n");
    let targets = genome.targets(&["A\ta.bdg\t\t\t1\tmean"]).expect("targets");
    let values = genome.collect(&targets, &windows, layout, None).expect("values");
    assert_eq!(values.read(0).expect("read"), [3.0; 4]);
}

#[test]
fn bins_lie_inside_the_window_and_an_interrupt_leaves_nothing() {
    let (mut genome, targets, windows, layout) = small();
    for layout in [
        BinLayout { first: 1, ..layout },
        BinLayout { resolution: 0, ..layout },
        BinLayout { first: u32::MAX, count: u32::MAX, resolution: u32::MAX },
    ] {
        let error = genome.collect(&targets, &windows, layout, None).err().expect("bins").to_string();
        assert!(error.contains("expected bins inside the window of 100 bases"), "{error}");
    }
    let input = CoverageInput {
        targets: &targets,
        sequences: &windows,
        layout,
        blacklist: None,
        assembly: &genome.assembly,
    };
    let stopped = AtomicBool::new(true);
    let error = CoverageValues::collect(&input, &mut genome.reference, genome.folder.path(), &stopped, &());
    assert_eq!(error.err().expect("stopped").to_string(), "interrupted");
    assert!(!genome.folder.path().join("coverage.values").exists());
}
