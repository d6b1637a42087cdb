//! Pretraining: every kind of encoder and tokenizer learns, what is written loads, and a training that was cut
//! off ends with the weights of one that was not.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use crate::support::dna;
use serde_json::{Value, json};
use vestore_ingest::synthetic::{SyntheticFamily, SyntheticShape, write_checkpoint};
use vestore_ingest::{
    AdamWOptions, BaseSet, ContextModel, Decay, Device, Genome, Kind, KnownRegions, LengthWarmup,
    MaskedOptions, Model, ModelSource, Pretrained, PretrainingData, PretrainingPlan, PretrainingResult,
    PretrainingRun, Schedule, TrainError, describe, masked_losses, pretrain,
};

fn plan(steps: u64) -> PretrainingPlan {
    PretrainingPlan {
        seed: 5,
        batch_tokens: 512,
        parts: 1,
        mask_rate: 0.15,
        repeat_weight: 1.0,
        lengths: LengthWarmup { first: 16, last: 32, steps: steps / 2 },
        schedule: Schedule { steps, warmup: steps / 10, peak: 3e-3, floor: 0.0, decay: Decay::Cosine },
        optimizer: AdamWOptions::default(),
        bf16: false,
    }
}

struct Bench {
    directory: tempfile::TempDir,
    genome: Genome,
    training: KnownRegions,
    held_out: KnownRegions,
}

impl Bench {
    /// A genome of a motif with noise between, so that there is something to learn.
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("genome.fa");
        std::fs::write(&file, dna::motifs(60_000)).expect("written");
        let genome = Genome::read(&[file]).expect("a genome");
        let held_out = [vestore_schema::Region { contig: 0, start: 50_000, end: 60_000 }];
        let training = KnownRegions::new(&genome, &[], &held_out);
        let held_out = KnownRegions::new(&genome, &held_out, &[]);
        Self { directory, genome, training, held_out }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn train(
        &self,
        plan: &PretrainingPlan,
        start: &Path,
        output: &Path,
        interrupted: &AtomicBool,
    ) -> Result<Pretrained, TrainError> {
        let data = PretrainingData {
            genome: &self.genome,
            training: &self.training,
            held_out: &self.held_out,
            alleles: None,
            identity: Value::Null,
        };
        let run = PretrainingRun {
            start,
            output,
            device: Device::Cpu,
            save_every: 1_000,
            interrupted,
            progress: &(),
        };
        pretrain(plan, &data, &run)
    }

    fn whole(&self, plan: &PretrainingPlan, start: &Path, output: &Path) -> PretrainingResult {
        match self.train(plan, start, output, &AtomicBool::new(false)) {
            Ok(Pretrained::Whole(result)) => result,
            other => panic!("{other:?}"),
        }
    }
}

/// config.json and tokenizer of a family, without weights.
fn configuration(directory: &Path, family: SyntheticFamily) {
    let shape = SyntheticShape { layers: 2, ..SyntheticShape::tiny(family) };
    write_checkpoint(directory, &shape, 1).expect("written");
    std::fs::remove_file(directory.join("model.safetensors")).expect("there");
}

/// The configuration of a small encoder over single bases in ESM's layout.
fn single_bases(directory: &Path) {
    std::fs::create_dir_all(directory).expect("made");
    std::fs::write(directory.join("vocab.txt"), "<unk>\n<pad>\n<mask>\n<cls>\nA\nC\nG\nT\nN\n")
        .expect("written");
    let config = json!({
        "model_type": "esm", "vocab_size": 9, "pad_token_id": 1, "mask_token_id": 2, "hidden_size": 32,
        "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "layer_norm_eps": 1e-12,
        "position_embedding_type": "rotary", "max_position_embeddings": 514, "emb_layer_norm_before": false,
        "tie_word_embeddings": true,
    });
    std::fs::write(directory.join("config.json"), config.to_string()).expect("written");
}

#[test]
fn every_family_learns_and_its_checkpoint_loads() {
    let bench = Bench::new();
    for family in [
        SyntheticFamily::NucleotideTransformerV1,
        SyntheticFamily::NucleotideTransformerV2,
        SyntheticFamily::Dnabert2,
        SyntheticFamily::Dnagrinder,
    ] {
        let (start, output) = (bench.path("start"), bench.path("output"));
        configuration(&start, family);
        let result = bench.whole(&plan(60), &start, &output);
        let (first, last) = (result.losses[0].loss, result.losses.last().expect("losses").loss);
        assert!(last < first - 0.5, "{family:?}: {first} to {last}");
        assert!(result.held_out.last().expect("watched").loss < first, "{family:?}");
        let description = describe(&ModelSource::new(&output)).expect("a checkpoint");
        assert!(description.has_masked_lm && description.parameters == result.parameters, "{family:?}");
        assert!(!output.join("training").exists() && output.join("loss.svg").exists());
        std::fs::remove_dir_all(&output).expect("there");
        std::fs::remove_dir_all(&start).expect("there");
    }
}

#[test]
fn a_model_learns_more_than_contexts_hold() {
    let bench = Bench::new();
    let (start, output) = (bench.path("start"), bench.path("output"));
    single_bases(&start);
    let plan = PretrainingPlan { batch_tokens: 1024, ..plan(300) };
    bench.whole(&plan, &start, &output);
    let model = Model::load(&ModelSource::new(&output), Device::Cpu, Kind::Float).expect("a model");
    let options = MaskedOptions { window: 32, gap: 8, windows: 300, seed: 1 };
    let losses = masked_losses(&model, &bench.genome, &bench.held_out, options).expect("losses");
    // One base of eight, in each of 300 windows of 32.
    assert_eq!(losses.bases().len(), 1_200);
    let unigram = ContextModel::count(&bench.genome, &bench.training, 0).losses(&bench.genome, &losses);
    let difference = losses.difference(&unigram, BaseSet::All).expect("bases");
    assert!(difference.high < -0.05, "{difference:?}");
}

#[test]
fn a_training_cut_off_at_every_step_ends_with_the_same_weights() {
    let bench = Bench::new();
    for (number, family) in
        [SyntheticFamily::NucleotideTransformerV2, SyntheticFamily::Dnabert2].iter().enumerate()
    {
        let start = bench.path(&format!("start{number}"));
        configuration(&start, *family);
        let plan = plan(12);
        let (whole, cut) = (bench.path(&format!("whole{number}")), bench.path(&format!("cut{number}")));
        bench.whole(&plan, &start, &whole);
        for step in 1..12 {
            let ended = bench.train(&plan, &start, &cut, &AtomicBool::new(true)).expect("a step");
            assert_eq!(ended, Pretrained::Interrupted { step });
            assert!(describe(&ModelSource::new(&cut)).is_err(), "half a training must be no checkpoint");
        }
        let result = bench.whole(&plan, &start, &cut);
        assert_eq!(result.steps, 1);
        let read = |folder: &Path| std::fs::read(folder.join("model.safetensors")).expect("weights");
        assert!(read(&whole) == read(&cut), "{family:?}: other weights");
        assert_eq!(bench.whole(&plan, &start, &whole).losses, result.losses);
        let other = PretrainingPlan { seed: 6, ..plan };
        let error = bench.train(&other, &start, &whole, &AtomicBool::new(false)).expect_err("another seed");
        assert!(error.to_string().contains("seed is 5 there and 6 now"), "{error}");
    }
}

#[test]
fn parts_of_a_step_add_up_to_the_step() {
    let bench = Bench::new();
    let start = bench.path("start");
    configuration(&start, SyntheticFamily::Dnagrinder);
    let losses = [1, 3, 16].map(|parts| {
        let output = bench.path(&format!("parts{parts}"));
        bench.whole(&PretrainingPlan { parts, ..plan(8) }, &start, &output).losses
    });
    for other in &losses[1..] {
        for (left, right) in losses[0].iter().zip(other) {
            assert!((left.loss - right.loss).abs() < 1e-4, "{left:?} {right:?}");
        }
    }
}

#[test]
fn bfloat16_keeps_float32_weights_and_learns() {
    let bench = Bench::new();
    let start = bench.path("start");
    configuration(&start, SyntheticFamily::NucleotideTransformerV2);
    let exact = bench.whole(&plan(40), &start, &bench.path("exact"));
    let rounded = bench.whole(&PretrainingPlan { bf16: true, ..plan(40) }, &start, &bench.path("rounded"));
    let last = |result: &PretrainingResult| result.losses.last().expect("losses").loss;
    assert_ne!(last(&exact), last(&rounded));
    assert!((last(&exact) - last(&rounded)).abs() < 0.1, "{} {}", last(&exact), last(&rounded));
    let description = describe(&ModelSource::new(bench.path("rounded"))).expect("a checkpoint");
    assert_eq!(description.weight_bytes, 4 * description.parameters);
}

#[test]
fn training_goes_on_from_weights_and_leaves_other_checkpoints_alone() {
    let bench = Bench::new();
    let (start, first, second) = (bench.path("start"), bench.path("first"), bench.path("second"));
    configuration(&start, SyntheticFamily::NucleotideTransformerV2);
    let random = bench.whole(&plan(60), &start, &first);
    let onward = bench.whole(&plan(20), &first, &second);
    assert!(
        onward.losses[0].loss < random.losses[0].loss - 0.5,
        "{} {}",
        onward.losses[0].loss,
        random.losses[0].loss
    );
    let published = bench.path("published");
    write_checkpoint(&published, &SyntheticShape::tiny(SyntheticFamily::Dnabert2), 1).expect("written");
    let error = bench.train(&plan(2), &start, &published, &AtomicBool::new(false)).expect_err("occupied");
    assert!(error.to_string().contains("another --output"), "{error}");
}

#[test]
fn what_makes_no_sense_is_told() {
    let bench = Bench::new();
    let start = bench.path("start");
    configuration(&start, SyntheticFamily::NucleotideTransformerV1);
    let refused = |plan: PretrainingPlan, text: &str| {
        let error = bench.train(&plan, &start, &bench.path("none"), &AtomicBool::new(false));
        let error = error.expect_err(text).to_string();
        assert!(error.contains(text), "{error}");
    };
    refused(plan(0), "number of steps is 0");
    refused(PretrainingPlan { mask_rate: 1.0, ..plan(2) }, "fraction of hidden tokens is 1");
    refused(PretrainingPlan { repeat_weight: -1.0, ..plan(2) }, "weight of soft-masked bases is -1");
    let long = LengthWarmup { first: 1_000, last: 1_000, steps: 0 };
    refused(
        PretrainingPlan { lengths: long, ..plan(2) },
        "window length in tokens is 1000 (1001 with special tokens)",
    );
    let endless = LengthWarmup { first: 20_000, last: 20_000, steps: 0 };
    refused(PretrainingPlan { lengths: endless, ..plan(2) }, "120000 bases long");
    let steep = Schedule { peak: 1e30, ..plan(40).schedule };
    refused(PretrainingPlan { schedule: steep, ..plan(40) }, "use a lower --learning-rate");
}
