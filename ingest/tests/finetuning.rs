//! Fine-tuning: every method learns in every family, what is written says the same when it is loaded, and a tuning
//! that was cut off ends with the weights of one that was not.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde_json::json;
use tempfile::TempDir;
use vestore_ingest::synthetic::{
    SyntheticFamily, SyntheticShape, weights, write_checkpoint, write_safetensors,
};
use vestore_ingest::{
    AdamWOptions, AdapterKind, Device, Example, Finetuned, Finetuning, Kind, Model, ModelSource, Random,
    Strands, TrainError, TuningData, TuningInput, TuningMethod, TuningPlan, TuningTask, finetune,
    rank_layers, reverse_complement,
};

const FAMILIES: [SyntheticFamily; 4] = [
    SyntheticFamily::NucleotideTransformerV1,
    SyntheticFamily::NucleotideTransformerV2,
    SyntheticFamily::Dnabert2,
    SyntheticFamily::Dnagrinder,
];

fn adapter(adapter: AdapterKind) -> TuningMethod {
    TuningMethod::Adapter { adapter, targets: None }
}

fn methods() -> [TuningMethod; 5] {
    [
        TuningMethod::Full,
        TuningMethod::Linear,
        adapter(AdapterKind::Lora { rank: 4, alpha: 8.0 }),
        adapter(AdapterKind::Ia3),
        adapter(AdapterKind::Houlsby { latent: 4 }),
    ]
}

fn plan(method: TuningMethod) -> TuningPlan {
    TuningPlan {
        method,
        input: TuningInput::Alternate,
        strands: Strands::Both,
        balanced: false,
        seed: 3,
        epochs: 3,
        steps: None,
        batch: 16,
        parts: 1,
        learning_rate: 3e-3,
        warmup: 0.1,
        evaluate_every: None,
        patience: 0,
        optimizer: AdamWOptions::default(),
        bf16: false,
    }
}

/// Windows of eight words out of six, three of which count: a class by how likely these are, or a number that says
/// how many there are.
fn examples(count: usize, seed: u64, task: TuningTask) -> Vec<Example> {
    const WORDS: [&[u8]; 6] = [b"ACCATG", b"GGATTA", b"TTTGCA", b"CATCGG", b"TAGACT", b"CGCAAC"];
    let mut random = Random::new(seed);
    let mut draw = |share: u64| -> (Vec<u8>, u32) {
        let (mut window, mut counted) = (Vec::new(), 0);
        for _ in 0..8 {
            let counts = random.below(100) < share;
            window.extend(WORDS[usize::from(counts) * 3 + random.below(3) as usize]);
            counted += u32::from(counts);
        }
        (window, counted)
    };
    (0..count)
        .map(|number| {
            let share = [20, 80, 50][number % if task == TuningTask::Classes(3) { 3 } else { 2 }];
            let ((alternate, counted), (reference, _)) = (draw(share), draw(50));
            let label = match task {
                TuningTask::Classes(3) => (number % 3) as f64,
                TuningTask::Classes(_) => f64::from(u8::from(share == 80)),
                // Far from 0 and from 1, as measured effects may be.
                TuningTask::Number => 5_000.0 + 100.0 * f64::from(counted),
            };
            Example { reference: Some(reference.into()), alternate: alternate.into(), label }
        })
        .collect()
}

struct Bench {
    directory: TempDir,
    task: TuningTask,
    examples: [Vec<Example>; 3],
}

impl Bench {
    fn new(task: TuningTask) -> Self {
        let examples = [examples(240, 1, task), examples(60, 2, task), examples(90, 3, task)];
        Self { directory: tempfile::tempdir().expect("a directory"), task, examples }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A checkpoint of four layers with random weights.
    fn checkpoint(&self, family: SyntheticFamily) -> ModelSource {
        let folder = self.path(&format!("{family:?}"));
        let shape = SyntheticShape { layers: 3, ..SyntheticShape::tiny(family) };
        write_checkpoint(&folder, &shape, 1).expect("written");
        ModelSource::new(folder)
    }

    fn tune(
        &self,
        plan: &TuningPlan,
        source: &ModelSource,
        output: &Path,
        interrupted: bool,
    ) -> Result<Option<Finetuned>, TrainError> {
        let [training, validation, test] = &self.examples;
        let data = TuningData { task: self.task, training, validation, identity: json!("seeded") };
        let run = Finetuning {
            source,
            classes: &[],
            test,
            output: Some(output),
            device: Device::Cpu,
            save_every: 1_000,
            interrupted: &AtomicBool::new(interrupted),
            progress: &(),
        };
        finetune(plan, &data, &run)
    }

    fn whole(&self, plan: &TuningPlan, source: &ModelSource, output: &Path) -> Finetuned {
        self.tune(plan, source, output, false).expect("tuned").expect("not interrupted")
    }
}

/// The model that a tuning wrote.
fn written(source: &ModelSource, method: &TuningMethod, output: &Path) -> ModelSource {
    match method {
        TuningMethod::Full | TuningMethod::Linear => ModelSource::new(output),
        TuningMethod::Adapter { .. } => ModelSource {
            adapter: Some(output.to_owned()),
            adapter_layers: source.kept_layers.clone(),
            ..source.clone()
        },
    }
}

/// What a model's head gives for a window on one strand.
fn head(model: &Model, window: &[u8]) -> Vec<f64> {
    let ids = model.tokenizer().encode(window).expect("tokens").ids;
    let ids = tch::Tensor::from_slice(&ids).view([1, -1]);
    let logits = model.class_logits(&model.hidden(&ids).expect("states")).expect("a head");
    Vec::<Vec<f64>>::try_from(logits.to_kind(Kind::Double)).expect("numbers").remove(0)
}

fn figure(found: &Finetuned, metric: &str) -> f64 {
    let figure = found.test_figures.iter().find(|figure| figure.metric == metric);
    figure.and_then(|figure| figure.value).unwrap_or_else(|| panic!("{metric} of {found:?}"))
}

#[test]
fn every_method_learns_in_every_family_and_its_files_say_the_same() {
    let bench = Bench::new(TuningTask::Number);
    for family in FAMILIES {
        let source = bench.checkpoint(family);
        for method in methods() {
            let output = bench.path(&format!("{family:?}-{}", method.as_str()));
            // What is trained alone begins at 0 and moves on faster.
            let rate = if method == TuningMethod::Full { 3e-3 } else { 2e-2 };
            let plan = TuningPlan { learning_rate: rate, epochs: 6, ..plan(method.clone()) };
            let found = bench.whole(&plan, &source, &output);
            let what = format!("{family:?} {}", method.as_str());
            let first = found.tuning.losses[0].loss;
            // Random layers give a probe little to hold on to.
            let most = if method == TuningMethod::Linear { 0.99 } else { 0.9 };
            assert!(
                found.tuning.best.loss < most && found.tuning.best.loss < first,
                "{what}: first {first}, best {:?}",
                found.tuning.best
            );
            let share = found.tuning.trained_parameters as f64 / found.tuning.parameters as f64;
            assert_eq!(share == 1.0, method == TuningMethod::Full, "{what}: {share}");
            let model =
                Model::load(&written(&source, &method, &output), Device::Cpu, Kind::Float).expect(&what);
            let test = &bench.examples[2];
            let mean = test.iter().map(|example| example.label).sum::<f64>() / test.len() as f64;
            let (mut off, mut all) = (0.0, 0.0);
            for example in test {
                let window = &example.alternate;
                let said =
                    f64::midpoint(head(&model, window)[0], head(&model, &reverse_complement(window))[0]);
                off += (said - example.label).powi(2);
                all += (mean - example.label).powi(2);
            }
            let r2 = 1.0 - off / all;
            assert!((r2 - figure(&found, "r2")).abs() < 2e-4, "{what}: {r2} for {found:?}");
            assert!(!output.join("training").exists() && output.join("loss.svg").exists());
        }
    }
}

#[test]
fn a_tuning_cut_off_at_every_step_ends_with_the_same_weights() {
    let mut bench = Bench::new(TuningTask::Classes(2));
    // What is learnt is wrong for the validation examples: the best weights are early ones.
    for example in &mut bench.examples[1] {
        example.label = 1.0 - example.label;
    }
    for (family, method) in [
        (SyntheticFamily::NucleotideTransformerV2, TuningMethod::Full),
        (SyntheticFamily::Dnabert2, adapter(AdapterKind::Lora { rank: 2, alpha: 4.0 })),
        (SyntheticFamily::NucleotideTransformerV1, adapter(AdapterKind::Houlsby { latent: 3 })),
    ] {
        let source = bench.checkpoint(family);
        // More than two epochs of four steps.
        let plan = TuningPlan {
            evaluate_every: Some(2),
            steps: Some(9),
            batch: 64,
            parts: 2,
            learning_rate: 1e-2,
            ..plan(method.clone())
        };
        let (whole, cut) = (bench.path(&format!("whole{family:?}")), bench.path(&format!("cut{family:?}")));
        let found = bench.whole(&plan, &source, &whole);
        assert!(found.tuning.best.step < 9, "{family:?}: {:?}", found.tuning.validation);
        for step in 1..9 {
            assert!(bench.tune(&plan, &source, &cut, true).expect("a step").is_none(), "step {step}");
            assert!(
                !cut.join("model.safetensors").exists() && !cut.join("adapter_model.safetensors").exists()
            );
        }
        let again = bench.whole(&plan, &source, &cut);
        assert_eq!((again.tuning.best, &again.tuning.losses), (found.tuning.best, &found.tuning.losses));
        let file =
            if method == TuningMethod::Full { "model.safetensors" } else { "adapter_model.safetensors" };
        let read = |folder: &Path| std::fs::read(folder.join(file)).expect("weights");
        assert!(read(&whole) == read(&cut), "{family:?}: other weights");
        let other = TuningPlan { seed: 4, ..plan };
        let error = bench.tune(&other, &source, &whole, false).expect_err("another seed").to_string();
        assert!(error.contains("seed is 3 there and 4 now"), "{error}");
    }
}

#[test]
fn a_pruned_model_is_tuned_as_it_is() {
    let bench = Bench::new(TuningTask::Number);
    let whole = bench.checkpoint(SyntheticFamily::NucleotideTransformerV2);
    let source = ModelSource { kept_layers: Some(vec![0, 2]), ..whole };
    for method in methods() {
        let output = bench.path(method.as_str());
        let found = bench.whole(&plan(method.clone()), &source, &output);
        let model =
            Model::load(&written(&source, &method, &output), Device::Cpu, Kind::Float).expect("a model");
        assert_eq!(model.depth(), 2);
        // A checkpoint holds two layers; an adapter stands on a checkpoint of three.
        let layers = if matches!(method, TuningMethod::Adapter { .. }) { 3 } else { 2 };
        assert_eq!(model.description().layers_in_checkpoint, layers);
        let first = &bench.examples[2][0];
        let said = f64::midpoint(
            head(&model, &first.alternate)[0],
            head(&model, &reverse_complement(&first.alternate))[0],
        );
        assert!(
            (said - first.label).abs() < 1_500.0,
            "{}: {said} for {}, {found:?}",
            method.as_str(),
            first.label
        );
    }
}

#[test]
fn differences_and_many_classes_are_learnt() {
    let bench = Bench::new(TuningTask::Classes(3));
    let source = bench.checkpoint(SyntheticFamily::NucleotideTransformerV2);
    let found = bench.whole(
        &TuningPlan { balanced: true, ..plan(TuningMethod::Full) },
        &source,
        &bench.path("three"),
    );
    assert!(figure(&found, "macro_auroc") > 0.75 && figure(&found, "accuracy") > 0.5, "{found:?}");
    let bench = Bench::new(TuningTask::Classes(2));
    let source = bench.checkpoint(SyntheticFamily::Dnabert2);
    let plan = TuningPlan { input: TuningInput::Difference, ..plan(TuningMethod::Full) };
    let found = bench.whole(&plan, &source, &bench.path("difference"));
    assert!(figure(&found, "auroc") > 0.9, "{found:?}");
    // The same windows on both sides differ in nothing: the prediction is even odds, whatever was learnt.
    let mut same = Bench::new(TuningTask::Classes(2));
    for example in same.examples.iter_mut().flatten() {
        example.reference = Some(Arc::clone(&example.alternate));
    }
    let found = same.whole(&plan, &source, &same.path("same"));
    assert_eq!(figure(&found, "auroc"), 0.5);
    assert!((found.tuning.best.loss - std::f64::consts::LN_2).abs() < 1e-6);
}

#[test]
fn it_stops_when_nothing_is_learnt_any_more_and_keeps_the_best() {
    let bench = Bench::new(TuningTask::Number);
    let source = bench.checkpoint(SyntheticFamily::NucleotideTransformerV2);
    let plan = TuningPlan {
        epochs: 60,
        patience: 3,
        learning_rate: 2e-2,
        strands: Strands::Forward,
        ..plan(TuningMethod::Full)
    };
    let found = bench.whole(&plan, &source, &bench.path("output"));
    let steps: Vec<u64> = found.tuning.validation.iter().map(|point| point.step).collect();
    let best = found.tuning.validation.iter().min_by(|one, other| one.loss.total_cmp(&other.loss));
    assert_eq!(best.copied(), Some(found.tuning.best));
    assert!(steps.len() < 60 && found.tuning.steps == *steps.last().expect("looks"), "{steps:?}");
    assert_eq!(steps.iter().filter(|step| **step > found.tuning.best.step).count(), 3);
    // The figures are those of the kept weights: the squared error over the labels' variance is the lowest loss.
    let variance = |examples: &[Example]| {
        let mean = examples.iter().map(|example| example.label).sum::<f64>() / examples.len() as f64;
        let squares = examples.iter().map(|example| (example.label - mean).powi(2));
        squares.sum::<f64>() / examples.len() as f64
    };
    let r2 = 1.0 - found.tuning.best.loss * variance(&bench.examples[0]) / variance(&bench.examples[1]);
    let told =
        found.validation_figures.iter().find(|figure| figure.metric == "r2").and_then(|figure| figure.value);
    assert!((told.expect("a figure") - r2).abs() < 1e-4, "{told:?} for {r2}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let bench = Bench::new(TuningTask::Classes(2));
    let source = bench.checkpoint(SyntheticFamily::NucleotideTransformerV2);
    let refused = |plan: &TuningPlan, part: &str| {
        let error = bench.tune(plan, &source, &bench.path("output"), false).expect_err(part).to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(&TuningPlan { batch: 0, ..plan(TuningMethod::Full) }, "batch");
    let clip = AdamWOptions { clip: -1.0, ..AdamWOptions::default() };
    refused(&TuningPlan { optimizer: clip, ..plan(TuningMethod::Full) }, "maximum gradient norm is -1");
    refused(&TuningPlan { learning_rate: f64::NAN, ..plan(TuningMethod::Full) }, "learning rate is NaN");
    refused(&TuningPlan { learning_rate: 1e30, ..plan(TuningMethod::Full) }, "use a lower --learning-rate");
    let rank = AdapterKind::Lora { rank: 0, alpha: 1.0 };
    refused(&plan(adapter(rank)), "rank");
    let lora = AdapterKind::Lora { rank: 2, alpha: 4.0 };
    let none = TuningMethod::Adapter { adapter: lora.clone(), targets: Some(vec!["keys".to_owned()]) };
    refused(&plan(none), "no module of a layer ends in `keys`; expected one of attention.output.dense");
    let output = bench.path("adapted");
    bench.whole(&plan(adapter(lora.clone())), &source, &output);
    let adapted = written(&source, &adapter(lora), &output);
    let error = bench.tune(&plan(TuningMethod::Full), &adapted, &bench.path("twice"), false);
    assert!(error.expect_err("adapted").to_string().contains("a model takes one adapter"));
}

/// A layer whose matrices give nothing changes nothing: every ranking puts it last, at exactly 0 where it measures a
/// change.
#[test]
fn rankings_know_a_layer_that_does_nothing() {
    let bench = Bench::new(TuningTask::Classes(2));
    let shape = SyntheticShape {
        layers: 3,
        labels: Some(2),
        ..SyntheticShape::tiny(SyntheticFamily::NucleotideTransformerV2)
    };
    let folder = bench.path("idle");
    write_checkpoint(&folder, &shape, 1).expect("written");
    let mut weights = weights(&shape, 1);
    for (name, _, numbers) in &mut weights {
        if name.contains("layer.1.") && name.contains("output.dense") {
            numbers.fill(0.0);
        }
    }
    write_safetensors(&folder.join("model.safetensors"), &weights).expect("written");
    for input in [TuningInput::Alternate, TuningInput::Difference] {
        let found = rank_layers(
            &ModelSource::new(&folder),
            bench.task,
            input,
            Strands::Both,
            &bench.examples[0],
            1,
            Device::Cpu,
        )
        .expect("rankings");
        let names: Vec<&str> = found.iter().map(|ranking| ranking.name).collect();
        assert_eq!(names, ["ablation", "block influence", "angular distance", "greedy", "shapley"]);
        for ranking in &found {
            let values = &ranking.values;
            assert_eq!(values.len(), 3);
            match ranking.name {
                "greedy" => {
                    let mut places = values.clone();
                    places.sort_by(f64::total_cmp);
                    assert!(places == [0.0, 1.0, 2.0] && values[1] < 2.0, "{ranking:?}");
                }
                // Shapley values share out what all layers do together.
                "shapley" => assert!(values[1].abs() < 1e-6 && values[0].abs() > 1e-5, "{ranking:?}"),
                // The arc cosine of a cosine of 1 to rounding.
                _ => assert!(values[1].abs() < 3e-4 && values[0] > 1e-3 && values[2] > 1e-3, "{ranking:?}"),
            }
        }
    }
}

/// A folder with somebody's checkpoint is left alone, the parent's own above all; one that a tuning left in its last
/// moments is gone on with.
#[test]
fn folders_of_others_are_left_alone_and_half_written_ones_finished() {
    let bench = Bench::new(TuningTask::Classes(2));
    let source = bench.checkpoint(SyntheticFamily::NucleotideTransformerV2);
    let plan = TuningPlan { steps: Some(4), evaluate_every: Some(2), ..plan(TuningMethod::Full) };
    let config = std::fs::read(source.checkpoint.join("config.json")).expect("there");
    let error = bench.tune(&plan, &source, &source.checkpoint, false).expect_err("the parent's folder");
    assert!(error.to_string().contains("give another --output"), "{error}");
    assert_eq!(std::fs::read(source.checkpoint.join("config.json")).expect("there"), config);
    let foreign = bench.path("foreign");
    std::fs::create_dir(&foreign).expect("made");
    std::fs::write(foreign.join("pytorch_model.bin"), "weights").expect("written");
    assert!(bench.tune(&plan, &source, &foreign, false).is_err());
    // Code that the configuration may name goes along.
    std::fs::write(source.checkpoint.join("modeling_esm.py"), "pass").expect("written");
    let (whole, cut) = (bench.path("whole"), bench.path("cut"));
    let found = bench.whole(&plan, &source, &whole);
    assert!(whole.join("modeling_esm.py").exists());
    for _ in 0..3 {
        assert!(bench.tune(&plan, &source, &cut, true).expect("a step").is_none());
    }
    std::fs::copy(whole.join("model.safetensors"), cut.join("model.safetensors")).expect("copied");
    std::fs::copy(whole.join("config.json"), cut.join("config.json")).expect("copied");
    assert_eq!(bench.whole(&plan, &source, &cut).tuning.best, found.tuning.best);
}
