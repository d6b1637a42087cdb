//! `vestore study layers`

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, bail, ensure};
use serde_json::json;
use vestore::{
    LayerVerdict, Store, Study, StudyFigure, StudyResult, StudyRun, Variation, Writer, check_output_folder,
};
use vestore_ingest::{
    Device, Finetuned, Finetuning, ModelSource, TuningData, TuningFigure, TuningPlan, device_name, finetune,
    rank_layers, source_of, threads, tuning_metrics, verdicts,
};
use vestore_schema::{Digest, Model, check_name};

use super::finetune::{record, shown};
use super::machine::MachineArguments;
use super::progress::Bar;
use super::tuning::{DataArguments, LabelledWindows, MethodArgument, TuningArguments, model};
use super::{interrupt, say, writer};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Folder of the store
    store: PathBuf,
    /// What the study is called in this store; the same command goes on with it
    #[arg(long, value_name = "NAME")]
    name: String,
    /// The model whose layers are studied
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// Folder for the models that are kept: the baseline, the derived ones, one of each compared method
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    #[command(flatten)]
    data: DataArguments,
    #[command(flatten)]
    tuning: TuningArguments,
    /// Which weights are trained in every copy
    #[arg(long, value_enum, default_value_t = MethodArgument::Full)]
    method: MethodArgument,
    /// Also tune the whole model by these methods, at their own default learning rates
    #[arg(long, value_enum, value_name = "METHOD", value_delimiter = ',')]
    compare: Vec<MethodArgument>,
    /// Copies of each, by seeds 1 to N
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    #[command(flatten)]
    machine: MachineArguments,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    check_name(&arguments.name)?;
    // The longest name that a model of the study gets, lest that be found out after hours.
    check_name(&model_name(&arguments.name, &Variation::WithoutUnfavourable))?;
    let device = arguments.machine.device()?;
    let interrupted = interrupt::watch()?;
    let store = arguments.data.reference.open(&arguments.store)?;
    let parent = model(&store, &arguments.model)?;
    ensure!(parent.kept_layers.len() > 1, "model `{}` has one layer; there is nothing to study", parent.name);
    let inputs: Vec<PathBuf> = arguments.data.inputs().collect();
    check_output_folder(&arguments.output, &inputs)?;
    let windows = arguments.data.read(&store, &parent)?;
    let mut session = Session {
        writer: writer(&store)?,
        study: begun(arguments, &store, &parent, &windows, device)?,
        arguments,
        store: &store,
        parent: &parent,
        windows: &windows,
        device,
        interrupted: interrupted.flag(),
        planned: 0,
        done: 0,
    };
    if session.study.finished.is_some() {
        say(format_args!("study `{}` is finished; nothing is left to train", arguments.name));
        return Ok(ExitCode::SUCCESS);
    }
    if session.all()? {
        say(format_args!(
            "`vestore study report {} {} -o report.html` writes the report",
            arguments.store.display(),
            arguments.name
        ));
        Ok(ExitCode::SUCCESS)
    } else {
        say(format_args!("stopped; the same command continues after the last whole training"));
        Ok(interrupt::code())
    }
}

/// The record of the study: that of the store where it goes on.
fn begun(
    arguments: &Arguments,
    store: &Store,
    parent: &Model,
    windows: &LabelledWindows,
    device: Device,
) -> anyhow::Result<Study> {
    // What is compared differs from the baseline in these alone.
    let compared = arguments.compare.iter().map(|method| {
        let plan = arguments.tuning.compared(*method, 1);
        json!({ "method": plan.method, "learning_rate": plan.learning_rate })
    });
    let mut tuning = json!(arguments.tuning.plan(arguments.method, 1));
    if let Some(tuning) = tuning.as_object_mut() {
        tuning.remove("seed");
    }
    let plan = json!({
        "tuning": tuning,
        "compared": compared.collect::<Vec<_>>(),
        "seeds": (1..=arguments.seeds).collect::<Vec<u64>>(),
        "task": windows.task,
        "data": windows.identity,
        "rows": [windows.training.len(), windows.validation.len(), windows.test.len()],
    });
    let digest = Digest::of_json(&plan);
    if let Some(known) = store.studies()?.into_iter().find(|study| study.name == arguments.name) {
        ensure!(
            known.plan_digest == digest && known.model_id == parent.id,
            "study `{}` has another plan or model; give the same settings to go on with it, another --name, or remove \
             it with `vestore study remove`",
            arguments.name
        );
        ensure!(
            (known.device.as_str(), known.threads) == (device_name(device).as_str(), threads()),
            "study `{}` began on {} with {} threads; times and last digits would not compare, go on there",
            arguments.name,
            known.device,
            known.threads
        );
        return Ok(known);
    }
    let methods = arguments.compare.iter().map(|method| Variation::Method {
        method: arguments.tuning.plan(*method, 1).method.as_str().to_owned(),
    });
    let derived = [Variation::Baseline, Variation::WithoutUnfavourable, Variation::CornerstonesOnly];
    for variation in derived.into_iter().chain(methods) {
        let name = model_name(&arguments.name, &variation);
        let taken = store.snapshot()?.models.iter().any(|model| model.name == name);
        ensure!(!taken, "a model of the store is called `{name}` already; give the study another --name");
    }
    let metrics: Vec<String> = tuning_metrics(windows.task).into_iter().map(str::to_owned).collect();
    Ok(Study {
        name: arguments.name.clone(),
        model: parent.name.clone(),
        model_id: parent.id,
        plan,
        plan_digest: digest,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        device: device_name(device),
        threads: threads(),
        higher_is_better: vec![true; metrics.len()],
        metrics,
        layers: parent.kept_layers.clone(),
        started: store.now(),
        finished: None,
        result: None,
    })
}

/// What a model of the study is called in the store.
fn model_name(study: &str, variation: &Variation) -> String {
    format!("{study}.{}", variation.to_string().replace(' ', "-"))
}

/// The layers that are not unfavourable. Where all are, a model still needs one: the most important.
fn spared(result: &StudyResult) -> Vec<u32> {
    let layers = || result.layers.iter();
    let kept: Vec<u32> = layers().filter(|layer| !layer.unfavourable).map(|layer| layer.layer).collect();
    if !kept.is_empty() {
        return kept;
    }
    let by = |layer: &&LayerVerdict| layer.importance.unwrap_or(f64::NEG_INFINITY);
    let most = layers().max_by(|one, other| by(one).total_cmp(&by(other)));
    say(format_args!("every layer is unfavourable: the derived model keeps the most important one alone"));
    most.map(|layer| layer.layer).into_iter().collect()
}

/// A study under way.
struct Session<'a> {
    arguments: &'a Arguments,
    store: &'a Store,
    writer: Writer,
    study: Study,
    parent: &'a Model,
    windows: &'a LabelledWindows,
    device: Device,
    interrupted: &'a AtomicBool,
    /// Trainings that are known to be needed, and those that are done.
    planned: u64,
    done: u64,
}

impl Session<'_> {
    /// All trainings; `false` when it was interrupted.
    fn all(&mut self) -> anyhow::Result<bool> {
        let layers = self.study.layers.clone();
        let compared: Vec<MethodArgument> = {
            let wanted: BTreeSet<MethodArgument> = self.arguments.compare.iter().copied().collect();
            wanted.into_iter().filter(|method| *method != self.arguments.method).collect()
        };
        self.planned = self.arguments.seeds * (3 + layers.len() + compared.len()) as u64;
        let mut variations = vec![(Variation::Baseline, layers.clone(), self.arguments.method)];
        for layer in &layers {
            let kept = layers.iter().copied().filter(|other| other != layer).collect();
            variations.push((Variation::Without { layer: *layer }, kept, self.arguments.method));
        }
        for method in compared {
            let name = self.arguments.tuning.plan(method, 1).method.as_str().to_owned();
            variations.push((Variation::Method { method: name }, layers.clone(), method));
        }
        for (variation, kept, method) in variations {
            if !self.train(&variation, &kept, method)? {
                return Ok(false);
            }
        }
        let result = self.judge()?;
        let chosen = |wanted: &dyn Fn(&LayerVerdict) -> bool| -> Vec<u32> {
            result.layers.iter().filter(|layer| wanted(layer)).map(|layer| layer.layer).collect()
        };
        let derived = [
            (Variation::WithoutUnfavourable, spared(&result)),
            (Variation::CornerstonesOnly, chosen(&|layer| layer.cornerstone)),
        ];
        for (variation, kept) in derived {
            if kept.is_empty() || kept.len() == layers.len() {
                say(format_args!(
                    "{variation}: {}",
                    if kept.is_empty() { "no layer is left" } else { "all layers are left" }
                ));
                self.planned -= self.arguments.seeds;
                continue;
            }
            if !self.train(&variation, &kept, self.arguments.method)? {
                return Ok(false);
            }
        }
        self.study.finished = Some(self.writer.store().now());
        self.writer.put_study(&self.study)?;
        Ok(true)
    }

    /// Trains a variation under every seed that it has no run for; `false` when it was interrupted.
    fn train(&mut self, variation: &Variation, kept: &[u32], method: MethodArgument) -> anyhow::Result<bool> {
        for seed in 1..=self.arguments.seeds {
            self.done += 1;
            let runs = self.runs()?;
            if runs.iter().any(|run| run.variation == *variation && run.seed == seed) {
                continue;
            }
            let plan = match variation {
                Variation::Method { .. } => self.arguments.tuning.compared(method, seed),
                _ => self.arguments.tuning.plan(method, seed),
            };
            let source =
                ModelSource { kept_layers: Some(kept.to_vec()), ..source_of(self.store, self.parent) };
            let keeps = seed == 1 && !matches!(variation, Variation::Without { .. });
            let output = keeps.then(|| self.folder(variation));
            let Some(found) = self.tune(&plan, &source, output.as_deref())? else { return Ok(false) };
            let model = match &output {
                None => None,
                Some(output) => Some(self.keep(variation, kept, &plan, output)?),
            };
            let run = self.measured(variation, seed, kept, &plan, &found, model);
            // Not before: what stops the first training shall not leave a study behind.
            self.writer.put_study(&self.study)?;
            self.writer.put_study_run(&run)?;
            self.tell(&run, &found);
        }
        Ok(true)
    }

    /// The runs so far.
    fn runs(&self) -> anyhow::Result<Vec<StudyRun>> {
        let known = self.store.studies()?.iter().any(|study| study.name == self.study.name);
        Ok(if known { self.store.study_runs(&self.study.name)? } else { Vec::new() })
    }

    fn tune(
        &self,
        plan: &TuningPlan,
        source: &ModelSource,
        output: Option<&Path>,
    ) -> anyhow::Result<Option<Finetuned>> {
        let data = TuningData {
            task: self.windows.task,
            training: &self.windows.training,
            validation: &self.windows.validation,
            identity: self.windows.identity.clone(),
        };
        let run = Finetuning {
            source,
            classes: &self.windows.classes,
            test: &self.windows.test,
            output,
            device: self.device,
            save_every: 200,
            interrupted: self.interrupted,
            progress: &Bar::new(self.arguments.machine.quiet),
        };
        Ok(finetune(plan, &data, &run)?)
    }

    /// Where a variation's model is kept.
    fn folder(&self, variation: &Variation) -> PathBuf {
        self.arguments.output.join(variation.to_string().replace(' ', "-"))
    }

    /// Puts a trained model into the store; gives its name there.
    fn keep(
        &mut self,
        variation: &Variation,
        kept: &[u32],
        plan: &TuningPlan,
        output: &Path,
    ) -> anyhow::Result<String> {
        let name = model_name(&self.study.name, variation);
        let pruned = Model { kept_layers: kept.to_vec(), ..self.parent.clone() };
        let record = record(self.store, &name, &pruned, output, plan, self.windows)?;
        // The same training may have been made before; a model has one name.
        let snapshot = self.store.snapshot()?;
        if let Some(known) = snapshot.models.into_iter().find(|known| known.id == record.id) {
            return Ok(known.name);
        }
        self.writer.put_model(&record)?;
        Ok(name)
    }

    fn measured(
        &self,
        variation: &Variation,
        seed: u64,
        kept: &[u32],
        plan: &TuningPlan,
        found: &Finetuned,
        model: Option<String>,
    ) -> StudyRun {
        let figures = |figures: &[TuningFigure]| -> Vec<StudyFigure> {
            let one = |figure: &TuningFigure| StudyFigure {
                metric: figure.metric.clone(),
                value: figure.value,
                low: figure.low,
                high: figure.high,
            };
            figures.iter().map(one).collect()
        };
        // Without test rows models are compared by what they were chosen by, and the counts of rows say so.
        let compared =
            if found.test_figures.is_empty() { &found.validation_figures } else { &found.test_figures };
        let tuning = &found.tuning;
        StudyRun {
            study: self.study.name.clone(),
            variation: variation.clone(),
            seed,
            kept_layers: kept.to_vec(),
            method: plan.method.as_str().to_owned(),
            parameters: tuning.parameters,
            trained_parameters: tuning.trained_parameters,
            steps: tuning.steps,
            best_step: tuning.best.step,
            validation_loss: tuning.best.loss,
            validation_figures: figures(&found.validation_figures),
            figures: figures(compared),
            training_seconds: tuning.seconds,
            evaluation_seconds: found.evaluation_seconds,
            seconds_per_step: tuning.seconds_per_step,
            peak_memory: tuning.peak_memory,
            rows: [&self.windows.training, &self.windows.validation, &self.windows.test]
                .map(|rows| rows.len() as u64),
            model,
        }
    }

    fn tell(&self, run: &StudyRun, found: &Finetuned) {
        let figures: Vec<String> = found.validation_figures.iter().map(shown).collect();
        say(format_args!(
            "{}, seed {}: validation {}; {} steps in {:.0} s ({} of {} trainings)",
            run.variation,
            run.seed,
            figures.join(", "),
            run.steps,
            run.training_seconds,
            self.done,
            self.planned
        ));
    }

    /// What the trainings so far say of the layers, with the cheaper rankings of the baseline's first copy.
    fn judge(&mut self) -> anyhow::Result<StudyResult> {
        let runs = self.runs()?;
        let first = runs.iter().find(|run| run.variation == Variation::Baseline && run.seed == 1);
        let Some(name) = first.and_then(|run| run.model.as_ref()) else {
            bail!("the baseline's first copy was not kept; this is a bug")
        };
        let baseline = model(self.store, name).with_context(|| {
            format!("the study ranks layers by its baseline `{name}`, which the store no longer has")
        })?;
        let plan = self.arguments.tuning.plan(self.arguments.method, 1);
        let rankings = rank_layers(
            &source_of(self.store, &baseline),
            self.windows.task,
            plan.input,
            plan.strands,
            &self.windows.validation,
            plan.seed,
            self.device,
        )?;
        let result = verdicts(&self.study, &runs, &rankings);
        self.study.result = Some(result.clone());
        self.writer.put_study(&self.study)?;
        Ok(result)
    }
}
