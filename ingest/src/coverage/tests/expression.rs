//! Expression of genes against a plain definition.

use vestore::{Gene, GeneTable};
use vestore_schema::{Assembly, Contig, Region};

use super::support::{Genome, HEADER, pearson};
use crate::coverage::{BinLayout, CoverageTargets, GeneExpression, GeneReport};
use crate::evaluate::Bootstrap;
use crate::random::Random;

const LAYOUT: BinLayout = BinLayout { resolution: 10, first: 1, count: 30 };
const BOOTSTRAP: Bootstrap = Bootstrap { resamples: 60, seed: 3 };

fn targets() -> CoverageTargets {
    let genome = Genome::new(&[("1", "ACGT".to_owned())]);
    let lines = [
        "A+\ta.bed\t\t\t1\tsum\t1\tRNA:one",
        "A-\tb.bed\t\t\t1\tsum\t0\tRNA:one",
        "B\tc.bed\t\t3\t1\tsum\t2\tRNA:two",
        "C\td.bed\t\t\t1\tsum_sqrt\t3\tRNA:three",
        "D\te.bed\t\t\t1\tmax\t4\tATAC",
    ];
    let mut table = HEADER.to_owned();
    for (number, line) in lines.iter().enumerate() {
        genome.write(line.split('\t').nth(1).expect("a file"), "1\t0\t1\n");
        table = format!("{table}\n{number}\t{line}");
    }
    CoverageTargets::read(&genome.write("targets.txt", table)).expect("targets")
}

fn gene(number: usize, contig: u32, forward: bool, exons: Vec<(u32, u32)>) -> Gene {
    Gene {
        id: format!("g{number}"),
        name: None,
        contig,
        forward,
        start: exons[0].0,
        end: exons[exons.len() - 1].1,
        exon_starts: Vec::new(),
        exon_ends: Vec::new(),
        borders: Vec::new(),
        exons,
    }
}

fn assembly() -> Assembly {
    let contig = |name: &str| Contig { name: name.to_owned(), length: 10_000, digest: "x".to_owned() };
    Assembly { name: None, contigs: vec![contig("1"), contig("2")] }
}

/// The value of coverage.
fn done(target: usize, coverage: f64) -> f32 {
    let value = match target {
        2 if coverage > 3.0 => 2.0 + (coverage - 2.0).sqrt(),
        3 => (coverage + 1.0).sqrt() - 1.0,
        _ => coverage,
    };
    value as f32
}

/// A value of coverage whose transform is undone.
fn undone(target: usize, value: f64) -> f64 {
    match target {
        2 if value > 3.0 => 2.0 + (value - 2.0).powi(2),
        3 => (value + 1.0).powi(2) - 1.0,
        _ => value,
    }
}

#[test]
fn expression_is_that_of_a_plain_definition() {
    let targets = targets();
    let mut random = Random::new(31);
    let genes: Vec<Gene> = (0..120)
        .map(|number| {
            let start = random.below(2500) as u32;
            let first = (start, start + 1 + random.below(40) as u32);
            let second = (first.1 + random.below(90) as u32, first.1 + 91 + random.below(30) as u32);
            gene(number, random.below(2) as u32, random.below(2) == 0, vec![first, second])
        })
        .collect();
    let table = GeneTable::new(genes.clone(), &assembly());
    let mut expression = GeneExpression::new(&targets, &table, LAYOUT);
    let mut windows = Vec::new();
    for (contig, start) in (0..2_u32).flat_map(|contig| (0..16_u32).map(move |place| (contig, place * 150))) {
        let measured: Vec<f32> = (0..150)
            .map(|_| if random.below(9) == 0 { f32::NAN } else { (6.0 * random.uniform()) as f32 })
            .collect();
        let noise =
            |value: &f32| if value.is_nan() { 1.0 } else { (value + random.normal() as f32).max(0.0) };
        let predicted: Vec<f32> = measured.iter().map(noise).collect();
        let window = Region { contig, start, end: start + 320 };
        expression.add(window, &predicted, &measured);
        windows.push((window, predicted, measured));
    }
    let report = expression.finish(BOOTSTRAP);

    let mut pairs = vec![Vec::new(); 4];
    let mut seen = 0;
    for gene in &genes {
        let mut sums = vec![(0.0, 0.0, 0.0); 4];
        for (window, predicted, measured) in &windows {
            let first = window.start + 10;
            if window.contig != gene.contig || gene.start < first || gene.end > first + 300 {
                continue;
            }
            let touched = |bin: u32| {
                let (start, end) = (first + bin * 10, first + bin * 10 + 10);
                gene.exons.iter().any(|exon| exon.0 < end && exon.1 > start)
            };
            for (column, sum) in sums.iter_mut().enumerate() {
                let target = [usize::from(!gene.forward), 2, 3, 4][column];
                sum.2 += 1.0;
                for bin in (0..30).filter(|bin| touched(*bin)) {
                    let place = target * 30 + bin as usize;
                    if !measured[place].is_nan() {
                        sum.0 += undone(target, predicted[place].into());
                        sum.1 += undone(target, measured[place].into());
                    }
                }
            }
        }
        if sums[0].2 > 0.0 {
            seen += 1;
            for (column, (predicted, measured, count)) in sums.into_iter().enumerate() {
                pairs[column].push(((predicted / count + 1.0).log2(), (measured / count + 1.0).log2()));
            }
        }
    }
    assert!(seen > 60 && seen < 120, "{seen}");
    assert_eq!(report.genes, seen);
    let names: Vec<&str> = report.targets.iter().map(|found| found.target.as_str()).collect();
    assert_eq!(names, ["A+", "B", "C", "D"]);
    for (found, pairs) in report.targets.iter().zip(&pairs) {
        let figure = found.pearson;
        let (value, expected) = (figure.value.expect("a figure"), pearson(pairs).expect("values vary"));
        assert!((value - expected).abs() < 1e-9, "{value} {expected}");
        let (low, high) = (figure.low.expect("a bound"), figure.high.expect("a bound"));
        assert!(low < value && value < high && high - low < 0.5, "{low} {value} {high}");
    }
    let groups: Vec<(&str, u64)> =
        report.groups.iter().map(|found| (found.group.as_str(), found.targets)).collect();
    assert_eq!(groups, [("ATAC", 1), ("RNA", 3)]);
    // One target has no correlation over targets, and nothing but what the gene's mean takes away.
    assert_eq!((report.groups[0].genes, report.groups[0].pearson.value), (0, None));
    assert_eq!(report.targets[3].normalized_pearson.value, None);
    assert!(report.targets[0].normalized_pearson.value.expect("a figure") > 0.2);
    assert!(report.groups[1].genes > 60 && report.groups[1].pearson.value.expect("a figure") > 0.2);
    let text = serde_json::to_string(&report).expect("JSON");
    assert_eq!(serde_json::from_str::<GeneReport>(&text).expect("a report"), report);
}

/// Predictions that are right of each gene, and of each target but for noise, say nothing of what differs between
/// targets.
#[test]
fn what_all_targets_share_is_not_specific() {
    let targets = targets();
    let mut random = Random::new(32);
    let genes: Vec<Gene> = (0..80)
        .map(|number| gene(number, 0, true, vec![(10 + number as u32 * 30, 30 + number as u32 * 30)]))
        .collect();
    let table = GeneTable::new(genes, &assembly());
    let mut expression = GeneExpression::new(&targets, &table, LAYOUT);
    for start in (0..2400).step_by(300) {
        let level: Vec<f64> = (0..30).map(|_| 20.0 * random.uniform()).collect();
        let mut values = || -> Vec<f32> {
            (0..150).map(|place| done(place / 30, level[place % 30] + 3.0 * random.uniform())).collect()
        };
        let (measured, predicted) = (values(), values());
        expression.add(Region { contig: 0, start, end: start + 320 }, &predicted, &measured);
    }
    let report = expression.finish(BOOTSTRAP);
    let first = &report.targets[0];
    assert!(first.pearson.value.expect("a figure") > 0.9);
    assert!(first.normalized_pearson.value.is_none_or(|value| value.abs() < 0.4), "{first:?}");
    // Nothing measured is nothing to compare, and exons that lie elsewhere are not looked for.
    let mut strange = gene(0, 0, true, vec![(100, 120)]);
    strange.exons = vec![(0, 5), (5000, 6000), (20, 10)];
    let table = GeneTable::new(vec![strange], &assembly());
    let mut expression = GeneExpression::new(&targets, &table, LAYOUT);
    expression.add(Region { contig: 0, start: 0, end: 320 }, &[1.0; 150], &[f32::NAN; 150]);
    expression.add(Region { contig: 0, start: 0, end: 320 }, &[1.0; 150], &[1.0; 150]);
    assert_eq!(expression.finish(BOOTSTRAP).genes, 0);
}
