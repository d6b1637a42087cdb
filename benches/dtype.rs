//! How far bfloat16 scores lie from float32 ones, and what they cost: a true-size Nucleotide Transformer
//! v2 50M with seeded random weights, SNVs of the mitochondrial genome, windows of 600 bp.
//!
//! `make bench-dtype`, or `cargo bench -p vestore-ingest --bench dtype -- SITES` for another number.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a bench converts small numbers of its own"
)]

use std::error::Error;
use std::time::Instant;

use vestore::Reference;
use vestore_ingest::synthetic::{SyntheticShape, write_checkpoint};
use vestore_ingest::{
    Bootstrap, ContigEnd, Device, EncoderScorer, EncoderWindow, Kind, Metric, Model, ModelSource, Row,
    Sample, Scorer, Strands, WindowCutter, run,
};
use vestore_schema::{AblatedPart, Dtype, Position, Recipe, Variant};

/// The correlation is over all SNVs.
const NO_INTERVAL: Bootstrap = Bootstrap { resamples: 0, seed: 0 };

const COLUMNS: [&str; 6] = ["llr", "l1", "l2", "cosine", "dot", "pll"];

#[expect(clippy::print_stdout, reason = "a bench prints its figures")]
fn main() -> Result<(), Box<dyn Error>> {
    let sites: u32 = std::env::args().find_map(|word| word.parse().ok()).unwrap_or(40);
    let folder = tempfile::tempdir()?;
    write_checkpoint(folder.path(), &SyntheticShape::NT_50M, 1)?;
    let mut reference =
        Reference::open(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/mitochondrion.fa"))?;
    let assembly = reference.survey()?;
    let cutter = WindowCutter { length: 600, end: ContigEnd::Shift };
    let mut windows = Vec::new();
    for site in 0..sites {
        let position = 3000 + site * 97;
        let region = vestore_schema::Region { contig: 0, start: position, end: position + 1 };
        let base = reference.fetch(region)?[0] as char;
        for alternate in "ACGT".chars().filter(|other| *other != base) {
            let variant = Variant {
                contig: 0,
                position: Position::new(position),
                reference: base.to_string().into(),
                alternate: alternate.to_string().into(),
            };
            windows.extend(cutter.cut(&variant, &mut reference, &assembly)?.map(EncoderWindow::from));
        }
    }
    let recipe = Recipe {
        scores: vec!["llr".to_owned(), "distance".to_owned()],
        window: 600,
        strands: Strands::Both,
        dtype: Dtype::F32,
        precision: None,
        part: AblatedPart::default(),
        splice: None,
        regulatory: None,
    };
    let mut columns = Vec::new();
    let mut scores: Vec<Vec<Row>> = Vec::new();
    println!("NT-v2 50M shape, random weights, {} SNVs, 600 bp, CPU", windows.len());
    for kind in [Kind::Float, Kind::BFloat16] {
        let model = Model::load(&ModelSource::new(folder.path()), Device::Cpu, kind)?;
        let scorer = EncoderScorer::new(&model, &recipe, false, 4096)?;
        columns = scorer.columns();
        let work = scorer.plan(&windows, true)?;
        let passes: usize = (0..work.batches()).map(|batch| work.size(batch).0).sum();
        let started = Instant::now();
        let outputs = (0..work.batches()).map(|batch| Ok(run(&model, &work, batch)?.outputs));
        let outputs = outputs.collect::<Result<_, Box<dyn Error>>>()?;
        let seconds = started.elapsed().as_secs_f64();
        println!("{kind:?}: {passes} windows in {seconds:.1} s, {:.1} windows/s", passes as f64 / seconds);
        scores.push(work.finish(outputs));
    }
    println!("{:<8} {:>12} {:>14} {:>14}", "score", "Spearman", "largest diff", "largest value");
    for (index, name) in columns.iter().enumerate().filter(|(_, name)| COLUMNS.contains(&name.as_str())) {
        let pairs: Vec<(f32, f32)> = scores[0]
            .iter()
            .zip(&scores[1])
            .filter_map(|(full, half)| Some((full.values[index]?, half.values[index]?)))
            .collect();
        let difference = pairs.iter().map(|(full, half)| (full - half).abs()).fold(0.0, f32::max);
        let largest = pairs.iter().map(|(full, _)| full.abs()).fold(0.0, f32::max);
        let (full, half) = pairs.iter().map(|(full, half)| (f64::from(*full), f64::from(*half))).unzip();
        let spearman = Sample::new(half, full, None).figure(Metric::Spearman, NO_INTERVAL).estimate?;
        println!("{name:<8} {spearman:>12.6} {difference:>14.6} {largest:>14.6}");
    }
    Ok(())
}
