//! Tokens a second of pretraining beside a Python loop over the same model, optimizer and windows: transformers
//! and torch, with fused attention, logits of the hidden tokens alone. Their losses must agree step by step before
//! anything is told. `make bench-pretrain`.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a bench converts small numbers of its own"
)]
#![allow(clippy::print_stdout, reason = "a bench prints")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use vestore_ingest::synthetic::{SyntheticFamily, SyntheticShape, write_checkpoint};
use vestore_ingest::{
    AdamWOptions, Decay, Device, Genome, KnownRegions, LengthWarmup, Masked, Model, ModelSource, Pretrained,
    PretrainingData, PretrainingPlan, PretrainingRun, Random, Schedule, pretrain, training_batch,
};

/// Most that a loss may differ, in nats a token: float32 sums in another order, over all steps.
const TOLERANCE: f64 = 2e-3;

#[derive(Deserialize)]
struct Answer {
    seconds: f64,
    losses: Vec<f64>,
}

fn main() -> anyhow::Result<()> {
    // `cargo test` starts benches too; they measure only when asked to.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let Some(python) = std::env::var_os("BASELINE_PYTHON") else {
        bail!("set BASELINE_PYTHON to a Python with transformers and torch; `make bench-pretrain` does")
    };
    let directory = tempfile::tempdir()?;
    let fasta = directory.path().join("genome.fa");
    std::fs::write(&fasta, random_dna(2_000_000))?;
    let genome = Genome::read(&[fasta])?;
    let training = KnownRegions::new(&genome, &[], &[]);
    let nothing = KnownRegions::default();
    println!("| encoder | tokens a step | vestore, tokens/s | transformers + torch, tokens/s | ratio |");
    println!("|---|---|---|---|---|");
    for (name, hidden, layers, batch_tokens, steps) in
        [("4 layers of 128", 128, 4, 2_048, 60), ("6 layers of 256", 256, 6, 4_096, 24)]
    {
        let shape = SyntheticShape {
            family: SyntheticFamily::NucleotideTransformerV1,
            layers,
            hidden,
            heads: 4,
            ffn: 4 * hidden,
            labels: None,
        };
        let start = directory.path().join(format!("start-{hidden}"));
        write_checkpoint(&start, &shape, 1)?;
        let plan = plan(batch_tokens, steps);
        let data = PretrainingData {
            genome: &genome,
            training: &training,
            held_out: &nothing,
            alleles: None,
            identity: Value::Null,
        };
        let [ours, theirs] = compare(&plan, &data, &start, Path::new(&python))?;
        println!("| {name} | {batch_tokens} | {ours:.0} | {theirs:.0} | {:.2} |", ours / theirs);
    }
    Ok(())
}

fn plan(batch_tokens: u32, steps: u64) -> PretrainingPlan {
    PretrainingPlan {
        seed: 1,
        batch_tokens,
        parts: 1,
        mask_rate: 0.15,
        repeat_weight: 1.0,
        lengths: LengthWarmup { first: 128, last: 128, steps: 0 },
        schedule: Schedule { steps, warmup: steps / 4, peak: 1e-3, floor: 0.0, decay: Decay::Cosine },
        optimizer: AdamWOptions::default(),
        bf16: false,
    }
}

/// Tokens a second of ours and of the baseline.
fn compare(
    plan: &PretrainingPlan,
    data: &PretrainingData<'_>,
    start: &Path,
    python: &Path,
) -> anyhow::Result<[f64; 2]> {
    let steps = plan.schedule.steps;
    let tokenizer =
        Model::load(&ModelSource::new(start), Device::Cpu, vestore_ingest::Kind::Float)?.tokenizer().clone();
    let batches: Vec<Vec<Masked>> =
        (0..steps).map(|step| training_batch(plan, data, &tokenizer, step)).collect::<Result<_, _>>()?;
    let tokens: usize = batches.iter().flatten().map(|window| window.ids.len() - 1).sum();
    let output = start.with_extension("output");
    let run = PretrainingRun {
        start,
        output: &output,
        device: Device::Cpu,
        save_every: u64::MAX,
        interrupted: &AtomicBool::new(false),
        progress: &(),
    };
    let Pretrained::Whole(ours) = pretrain(plan, data, &run)? else { bail!("interrupted") };
    let theirs = baseline(plan, &batches, start, python)?;
    ensure!(ours.losses.len() == theirs.losses.len(), "as many losses as steps");
    for (point, loss) in ours.losses.iter().zip(&theirs.losses) {
        let difference = (point.loss - loss).abs();
        ensure!(difference < TOLERANCE, "step {}: {} and {loss}", point.step, point.loss);
    }
    Ok([tokens as f64 / ours.seconds, tokens as f64 / theirs.seconds])
}

fn baseline(
    plan: &PretrainingPlan,
    batches: &[Vec<Masked>],
    start: &Path,
    python: &Path,
) -> anyhow::Result<Answer> {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/pretrain/baseline.py");
    let mut child = Command::new(python)
        .arg(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", python.display()))?;
    let windows = |batch: &Vec<Masked>| -> Vec<Value> {
        let window = |window: &Masked| json!({ "ids": window.ids, "places": window.places, "labels": window.labels, "weights": window.weights });
        batch.iter().map(window).collect()
    };
    let rates: Vec<f64> = (0..plan.schedule.steps).map(|step| plan.schedule.rate(step)).collect();
    let task = json!({
        "checkpoint": start, "rates": rates, "optimizer": plan.optimizer,
        "batches": batches.iter().map(windows).collect::<Vec<_>>(),
    });
    let mut stdin = child.stdin.take().context("no way in")?;
    writeln!(stdin, "{task}")?;
    drop(stdin);
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "the baseline failed");
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// A FASTA of random bases.
fn random_dna(length: usize) -> String {
    let mut random = Random::new(1);
    let mut text = String::from(">random\n");
    text.extend((0..length).map(|_| char::from(b"ACGT"[random.below(4) as usize])));
    text.push('\n');
    text
}
