//! What is measured, section by section.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use tch::{Device, Kind};
use vestore_ingest::synthetic::SyntheticShape;
use vestore_ingest::{
    AblatedPart, CPU_BATCH_TOKENS, ContigEnd, EncoderScorer, EncoderWindow, Model, ModelSource, Row, Scorer,
    Strands, WindowPair, ablate, change, rows,
};
use vestore_schema::{Dtype, Region};

use crate::baseline::{Baseline, Task};
use crate::bench::{Bench, DNABERT2, agree, correlate, recipe};
use crate::products;

/// Rounds of which the fastest counts, for both sides in turn.
const ROUNDS: usize = 2;

/// How far float32 scores may lie from the baseline's.
const NEAR: f32 = 1e-4;

/// One SNV a site, both strands, nothing to share: the same windows for both.
pub(crate) fn fixed(sites: u32, threads: u32, python: Option<&Path>) -> anyhow::Result<()> {
    println!("\n# Fixed windows: NT-v2 50M, llr, both strands, one SNV a site (windows/s)");
    println!(
        "{:<6} {:>7} {:>8} {:>9} {:>7} {:>14} {:>14} {:>10}",
        "dtype", "tokens", "ours", "baseline", "ratio", "outside model", "share of rate", "baseline's"
    );
    let bench = Bench::new(SyntheticShape::NT_50M)?;
    for (dtype, kind, name) in
        [(Dtype::F32, Kind::Float, "float32"), (Dtype::Bf16, Kind::BFloat16, "bfloat16")]
    {
        let rate = products::large(kind);
        let mut baseline = python
            .map(|python| Baseline::start(python, &bench.checkpoint(), "nt", name, threads))
            .transpose()?;
        for window in [600, 1002, 5994] {
            let variants = bench.snvs((sites * 600 / window).max(12))?;
            let plan = bench.plan(&variants)?;
            let model = bench.load(kind)?;
            let task = bench.masked(model.tokenizer(), &variants, window, false)?;
            drop(model);
            let (tokens, count) = (task.ids[0].len() as u32, task.ids.len() as f64);
            let (mut ours, mut outside, mut theirs, mut peak) = (f64::INFINITY, 0.0, f64::INFINITY, None);
            for _ in 0..ROUNDS {
                let columns = ["llr_forward", "llr_reverse"];
                let scored = bench.score("llr", window, dtype, &plan, &columns)?;
                if scored.seconds < ours {
                    ours = scored.seconds;
                    outside = 1.0 - scored.outcome.stages.model.as_secs_f64() / scored.seconds;
                }
                if let Some(baseline) = &mut baseline {
                    let answer = baseline.run(&task)?;
                    let ours = scored.columns.concat();
                    if dtype == Dtype::F32 {
                        agree(&ours, &answer.values, NEAR)?;
                    } else {
                        correlate(&ours, &answer.values)?;
                    }
                    theirs = theirs.min(answer.seconds);
                    peak = Some((answer.batch, answer.peak));
                }
            }
            let share = |seconds: f64, whole| {
                products::operations(&SyntheticShape::NT_50M, tokens, whole) * count / seconds / rate
            };
            println!(
                "{name:<8} {tokens:>5} {:>8.1} {:>9.1} {:>7.2} {:>13.1} % {:>14.2} {:>10.2}{}",
                count / ours,
                count / theirs,
                theirs / ours,
                outside * 100.0,
                share(ours, false),
                share(theirs, true),
                peak.map_or_else(String::new, |(batch, peak)| format!(
                    "   (batches of {batch}, {} MB)",
                    peak / 1_000_000
                ))
            );
        }
        println!("{name:<8} large products: {:.3} TFLOP/s", rate / 1e12);
    }
    Ok(())
}

/// Every SNV of a region, beside a loop that gives each variant passes of its own.
pub(crate) fn saturation(bases: u32, threads: u32, python: Option<&Path>) -> anyhow::Result<()> {
    println!("\n# Saturation of {bases} bases: NT-v2 50M, float32, both strands, 600 bp (variants/s)");
    let bench = Bench::new(SyntheticShape::NT_50M)?;
    let region = Region { contig: 0, start: 5_000, end: 5_000 + bases };
    let variants = bench.saturation(region)?;
    let plan = bench.plan(&variants)?;
    // The baseline's loop takes every variant as long as any other, so that some of them tell.
    let some = &variants[..variants.len().min(72)];
    let tokenizer = bench.load(Kind::Float)?.tokenizer().clone();
    let mut baseline = python
        .map(|python| Baseline::start(python, &bench.checkpoint(), "nt", "float32", threads))
        .transpose()?;
    for (kind, column) in [("llr", "llr"), ("llr-grid", "llr_grid")] {
        let mut before = f64::INFINITY;
        let mut values = Vec::new();
        let task = bench.masked(&tokenizer, some, 600, kind == "llr-grid")?;
        let mut ask = || -> anyhow::Result<()> {
            if let Some(baseline) = &mut baseline {
                let answer = baseline.run(&task)?;
                before = before.min(answer.seconds);
                values = answer.values;
            }
            Ok(())
        };
        ask()?;
        let scored = bench.score(kind, 600, Dtype::F32, &plan, &[column])?;
        ask()?;
        let ours = variants.len() as f64 / scored.seconds;
        let theirs = some.len() as f64 / before;
        if !values.is_empty() {
            let (forward, reverse) = values.split_at(some.len());
            let mean: Vec<f32> = forward.iter().zip(reverse).map(|(a, b)| f32::midpoint(*a, *b)).collect();
            agree(&scored.columns[0][..some.len()], &mean, NEAR)?;
        }
        println!(
            "{:<9} ours {ours:>8.1}   baseline, a variant at a time {theirs:>6.1}   ratio {:>6.2}   ({} variants)",
            kind,
            ours / theirs,
            variants.len()
        );
    }
    Ok(())
}

/// Windows of many lengths, beside loops that pad.
pub(crate) fn mixed(threads: u32, python: Option<&Path>) -> anyhow::Result<()> {
    println!("\n# Mixed lengths: DNABERT-2 117M, float32, distance, windows of 300 to 1,200 bp (windows/s)");
    let bench = Bench::new(DNABERT2)?;
    let model = bench.load(Kind::Float)?;
    let mut reference = bench.reference.reopen()?;
    let (mut pairs, mut task) = (Vec::new(), Task::default());
    for number in 0..48u32 {
        let length = 300 + number * 557 % 901;
        let start = 1_000 + number * 211;
        let bases = reference.fetch(Region { contig: 0, start, end: start + length })?.clone();
        let centre = length / 2;
        let mut changed = bases.clone();
        changed[centre as usize] = if bases[centre as usize] == b'A' { b'G' } else { b'A' };
        for window in [&bases, &changed] {
            task.ids.push(model.tokenizer().encode(window)?.ids);
        }
        pairs.push(EncoderWindow::from(WindowPair {
            reference: Arc::from(bases),
            alternate: Arc::from(changed),
            centre,
            reference_length: 1,
            alternate_length: 1,
        }));
    }
    let recipe = recipe("distance", 1200, Strands::Forward, Dtype::F32);
    let scorer = EncoderScorer::new(&model, &recipe, false, CPU_BATCH_TOKENS)?;
    let mut baseline = python
        .map(|python| Baseline::start(python, &bench.checkpoint(), "dnabert2", "float32", threads))
        .transpose()?;
    let (mut ours, mut padded, mut sorted) = (f64::INFINITY, f64::INFINITY, f64::INFINITY);
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let rows = rows(&scorer, &model, &pairs)?;
        ours = ours.min(started.elapsed().as_secs_f64());
        if let Some(baseline) = &mut baseline {
            let answer = baseline.run(&task)?;
            let l1: Vec<f32> = rows.iter().filter_map(|row| row.values[0]).collect();
            agree(&l1, &answer.values, 1e-3)?;
            padded = padded.min(answer.seconds);
            sorted = sorted.min(baseline.run(&Task { sort: true, ..task.clone() })?.seconds);
        }
    }
    let count = task.ids.len() as f64;
    println!(
        "ours {:.2}   padded loop {:.2}, ratio {:.2}   padded loop over sorted windows {:.2}, ratio {:.2}",
        count / ours,
        count / padded,
        padded / ours,
        count / sorted,
        sorted / ours
    );
    Ok(())
}

/// int8 products beside float32 and bfloat16, in Python: the engine has none.
pub(crate) fn int8(threads: u32, python: &Path) -> anyhow::Result<()> {
    println!("\n# int8 in torch: NT-v2 50M, one masked token a window (windows/s)");
    let bench = Bench::new(SyntheticShape::NT_50M)?;
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/engine/int8.py");
    let status = Command::new(python)
        .arg(program)
        .arg(bench.checkpoint())
        .args(["--threads", &threads.to_string()])
        .status()?;
    anyhow::ensure!(status.success(), "{program} failed: {status}");
    Ok(())
}

/// Every layer left out in turn, beside the full model and its pruned models one after the other.
pub(crate) fn ablation() -> anyhow::Result<()> {
    println!("\n# Ablation: NT-v2 shape of 256, llr, forward strand, 600 bp");
    for layers in [12, 24] {
        let shape = SyntheticShape { layers, hidden: 256, heads: 8, ffn: 1024, ..SyntheticShape::NT_50M };
        let bench = Bench::new(shape)?;
        let variants = bench.snvs(80)?;
        let cutter = vestore_ingest::WindowCutter { length: 600, end: ContigEnd::Shift };
        let mut reference = bench.reference.reopen()?;
        let mut pairs = Vec::new();
        for variant in &variants {
            pairs.extend(cutter.cut(variant, &mut reference, &bench.assembly)?.map(EncoderWindow::from));
        }
        let recipe = recipe("llr", 600, Strands::Forward, Dtype::F32);
        let load = |kept: Option<Vec<u32>>| {
            let source = ModelSource { kept_layers: kept, ..ModelSource::new(bench.checkpoint()) };
            Model::load(&source, Device::Cpu, Kind::Float)
        };
        let full = load(None)?;
        let scorer = EncoderScorer::new(&full, &recipe, false, CPU_BATCH_TOKENS)?;
        let pruned: Vec<Model> = (0..layers)
            .map(|without| load(Some((0..layers).filter(|layer| *layer != without).collect())))
            .collect::<Result<_, _>>()?;
        let score = |model: &Model| -> anyhow::Result<Vec<Row>> { Ok(rows(&scorer, model, &pairs)?) };
        let (mut shared, mut apart, mut evaluations) = (f64::INFINITY, f64::INFINITY, 0);
        for _ in 0..ROUNDS {
            let started = Instant::now();
            let work = scorer.plan(&pairs, true)?;
            let (mut whole, mut without) = (Vec::new(), vec![Vec::new(); layers as usize]);
            evaluations = 0;
            for batch in 0..work.batches() {
                let found = ablate(&full, &work, batch, &AblatedPart::default())?;
                evaluations += found.evaluations;
                whole.push(found.full.outputs);
                without.iter_mut().zip(found.without).for_each(|(to, from)| to.push(from.outputs));
            }
            let whole = work.finish(whole);
            let without: Vec<Vec<Row>> = without.into_iter().map(|outputs| work.finish(outputs)).collect();
            shared = shared.min(started.elapsed().as_secs_f64());
            let started = Instant::now();
            let rows = score(&full)?;
            let each: Vec<Vec<Row>> = pruned.iter().map(score).collect::<Result<_, _>>()?;
            apart = apart.min(started.elapsed().as_secs_f64());
            for (without, expected) in without.iter().zip(&each) {
                let changes = |full: &[Row], without: &[Row]| -> Vec<f32> {
                    full.iter()
                        .zip(without)
                        .filter_map(|(full, without)| change(full, without).0[0])
                        .collect()
                };
                agree(&changes(&whole, without), &changes(&rows, expected), NEAR)?;
            }
            evaluations /= work.batches() as u64;
        }
        let (layers, done) = (f64::from(layers), evaluations as f64);
        let limit = (layers + layers * (layers - 1.0)) / done;
        println!(
            "{layers} layers: {} evaluations a batch instead of {}; {shared:.2} s instead of {apart:.2} s: \
             {:.2} x, {:.0} % of the {limit:.2} x that shared prefixes allow",
            evaluations,
            layers + layers * (layers - 1.0),
            apart / shared,
            apart / shared / limit * 100.0
        );
    }
    Ok(())
}
