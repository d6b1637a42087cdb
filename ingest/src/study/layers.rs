//! The study of a model's layers: it is tuned whole, without each layer in turn, and by other methods, several times
//! each; what that says decides which derived models are trained at the end. Every training is a record of the
//! catalog once it is complete, and a study that was interrupted continues after the last one.

mod record;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use tch::Device;
use vestore::{LayerVerdict, Store, Study, StudyFigure, StudyResult, StudyRun, Variation, Writer};
use vestore_schema::{Model, NameError, check_name};

use self::record::{folder_name, methods, model_name, opened};
use super::error::StudyError;
use super::subject::{StudySubject, StudyTraining};
use super::verdict::verdicts;
use crate::checkpoint::{ModelSource, source_of};
use crate::progress::Progress;
use crate::train::{Finetuned, TuningFigure};

/// What is trained, where and how.
pub struct LayerStudyOptions<'a, P> {
    /// Name of the study in its store.
    pub name: &'a str,
    /// How each copy is tuned; seeds 1 to `seeds` take the place of its own.
    pub plan: P,
    /// Plans by which the whole model is tuned, too: other methods, at their own learning rates.
    pub compared: Vec<P>,
    /// Whether layers are left out, or methods are compared alone.
    pub drops: bool,
    /// Copies of each.
    pub seeds: u64,
    /// Folder for the models that are kept.
    pub output: &'a Path,
    /// What computes.
    pub device: Device,
    /// Set by whoever wants it to stop after the current step.
    pub interrupted: &'a AtomicBool,
    /// Follows the steps of each training.
    pub progress: &'a dyn Progress,
}

/// What happened in a study.
#[derive(Debug)]
pub enum LayerStudyEvent<'a> {
    /// A training is complete and recorded.
    Trained {
        /// The record.
        run: &'a StudyRun,
        /// Its figures on the validation rows.
        figures: &'a [TuningFigure],
        /// Trainings that are complete.
        done: u64,
        /// Trainings that are known to be needed.
        planned: u64,
    },
    /// Every layer is unfavourable: the derived model keeps the most important one alone.
    AllUnfavourable,
    /// A derived model is not trained: it would have no layers, or all of them.
    NotDerived {
        /// The derived model.
        variation: &'a Variation,
        /// Whether it would have no layers.
        empty: bool,
    },
}

/// Whether a study can be called `name`, and its models accordingly.
///
/// # Errors
/// When the name has other characters than names have, or is too long.
pub fn check_study_name(name: &str) -> Result<(), NameError> {
    check_name(name)?;
    // The longest name of a model of the study.
    check_name(&model_name(name, &Variation::WithoutUnfavourable))
}

/// Whether the layers of `model` can be studied.
///
/// # Errors
/// When it has one layer.
pub fn check_layers(model: &Model) -> Result<(), StudyError> {
    if model.kept_layers.len() > 1 { Ok(()) } else { Err(StudyError::OneLayer { model: model.name.clone() }) }
}

/// A study in progress. It holds the right to write throughout, so that a complete training can be recorded.
pub struct LayerStudy<'a, S: StudySubject> {
    store: &'a Store,
    writer: Writer,
    parent: &'a Model,
    subject: &'a S,
    options: LayerStudyOptions<'a, S::Plan>,
    study: Study,
    planned: u64,
    done: u64,
}

impl<'a, S: StudySubject> LayerStudy<'a, S> {
    /// Begins the study, or continues it where the store has it.
    ///
    /// # Errors
    /// When the store has it with another plan, model or machine, or has a model of its name.
    pub fn open(
        store: &'a Store,
        writer: Writer,
        parent: &'a Model,
        subject: &'a S,
        options: LayerStudyOptions<'a, S::Plan>,
    ) -> Result<Self, StudyError> {
        let study = opened(store, parent, subject, &options)?;
        Ok(Self { store, writer, parent, subject, options, study, planned: 0, done: 0 })
    }

    /// Whether nothing is left to train.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.study.finished.is_some()
    }

    /// Makes all trainings that are left; `false` when it was interrupted. `report` is given what happens.
    ///
    /// # Errors
    /// When a training fails, or the store cannot be read or written.
    pub fn run(&mut self, report: &mut dyn FnMut(&LayerStudyEvent<'_>)) -> Result<bool, StudyError> {
        let layers = self.parent.kept_layers.clone();
        let own = self.options.plan.clone();
        let mut variations = vec![(Variation::Baseline, layers.clone(), own.clone())];
        for layer in &self.study.layers {
            let kept = layers.iter().copied().filter(|other| other != layer).collect();
            variations.push((Variation::Without { layer: *layer }, kept, own.clone()));
        }
        for (variation, plan) in methods::<S>(&self.options) {
            variations.push((variation, layers.clone(), plan));
        }
        // The two derived models are not decided yet.
        let derives = if self.options.drops { 2 } else { 0 };
        self.planned = self.options.seeds * (variations.len() as u64 + derives);
        for (variation, kept, plan) in &variations {
            if !self.train(variation, kept, plan, report)? {
                return Ok(false);
            }
        }
        self.refer()?;
        let result = self.conclude()?;
        let derived = if self.options.drops { derived(&result, report).to_vec() } else { Vec::new() };
        for (variation, kept) in derived {
            if kept.is_empty() || kept.len() == layers.len() {
                report(&LayerStudyEvent::NotDerived { variation: &variation, empty: kept.is_empty() });
                self.planned -= self.options.seeds;
            } else if !self.train(&variation, &kept, &own, report)? {
                return Ok(false);
            }
        }
        self.study.finished = Some(self.store.now());
        self.writer.put_study(&self.study)?;
        Ok(true)
    }

    /// Trains a variation under every seed that it has no run for; `false` when it was interrupted.
    fn train(
        &mut self,
        variation: &Variation,
        kept: &[u32],
        plan: &S::Plan,
        report: &mut dyn FnMut(&LayerStudyEvent<'_>),
    ) -> Result<bool, StudyError> {
        for seed in 1..=self.options.seeds {
            self.done += 1;
            if self.runs()?.iter().any(|run| run.variation == *variation && run.seed == seed) {
                continue;
            }
            let plan = S::seeded(plan, seed);
            let keeps = seed == 1 && !matches!(variation, Variation::Without { .. });
            let output = keeps.then(|| self.options.output.join(folder_name(variation)));
            let Some(found) = self.tune(&plan, kept, output.as_deref())? else { return Ok(false) };
            // Not before: a first training that fails leaves no study behind. Not after the model: without its study, a
            // kept model would be somebody else's to the next run.
            self.writer.put_study(&self.study)?;
            let model = match &output {
                None => None,
                Some(output) => Some(self.keep(variation, kept, &plan, output)?),
            };
            let run = self.record(variation, kept, (S::method(&plan), seed), &found, model);
            self.writer.put_study_run(&run)?;
            let (done, planned) = (self.done, self.planned);
            let figures = &found.validation_figures;
            report(&LayerStudyEvent::Trained { run: &run, figures, done, planned });
        }
        Ok(true)
    }

    /// Records what can be predicted without the model, as methods of one copy.
    fn refer(&mut self) -> Result<(), StudyError> {
        let known = self.runs()?;
        for method in S::REFERENCES {
            let variation = Variation::Method { method: (*method).to_owned() };
            if known.iter().any(|run| run.variation == variation) {
                continue;
            }
            let Some(found) = self.subject.reference(method, &self.options.plan)? else { continue };
            let run = self.record(&variation, &[], (method, 1), &found, None);
            self.writer.put_study_run(&run)?;
        }
        Ok(())
    }

    /// The runs so far.
    fn runs(&self) -> Result<Vec<StudyRun>, StudyError> {
        let known = self.store.find_study(&self.study.name)?.is_some();
        Ok(if known { self.store.study_runs(&self.study.name)? } else { Vec::new() })
    }

    fn tune(
        &self,
        plan: &S::Plan,
        kept: &[u32],
        output: Option<&Path>,
    ) -> Result<Option<Finetuned>, StudyError> {
        let source = ModelSource { kept_layers: Some(kept.to_vec()), ..source_of(self.store, self.parent) };
        let LayerStudyOptions { device, interrupted, progress, .. } = self.options;
        let run = StudyTraining::new(&source, output, device, interrupted, progress);
        Ok(self.subject.train(plan, run)?)
    }

    /// Adds a trained model to the store; returns its name there.
    fn keep(
        &mut self,
        variation: &Variation,
        kept: &[u32],
        plan: &S::Plan,
        output: &Path,
    ) -> Result<String, StudyError> {
        let name = model_name(&self.study.name, variation);
        let pruned = Model { kept_layers: kept.to_vec(), ..self.parent.clone() };
        let record = self.subject.record(self.store, &name, &pruned, output, plan)?;
        // The same training may have been made before; a model has one name.
        let snapshot = self.store.snapshot()?;
        if let Some(known) = snapshot.models.into_iter().find(|known| known.id == record.id) {
            return Ok(known.name);
        }
        self.writer.put_model(&record)?;
        Ok(name)
    }

    fn record(
        &self,
        variation: &Variation,
        kept: &[u32],
        (method, seed): (&str, u64),
        found: &Finetuned,
        model: Option<String>,
    ) -> StudyRun {
        let figure = |figure: &TuningFigure| StudyFigure {
            metric: figure.metric.clone(),
            value: figure.value,
            low: figure.low,
            high: figure.high,
        };
        let figures = |figures: &[TuningFigure]| -> Vec<StudyFigure> { figures.iter().map(figure).collect() };
        // Without test rows models are compared by what they were chosen by, and the counts of rows say so.
        let compared =
            if found.test_figures.is_empty() { &found.validation_figures } else { &found.test_figures };
        let tuning = &found.tuning;
        StudyRun {
            study: self.study.name.clone(),
            variation: variation.clone(),
            seed,
            kept_layers: kept.to_vec(),
            method: method.to_owned(),
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
            rows: self.subject.rows(),
            model,
        }
    }

    /// Records what the trainings so far say of the layers, with the cheaper rankings of the baseline's first copy.
    fn conclude(&mut self) -> Result<StudyResult, StudyError> {
        let runs = self.runs()?;
        let first = runs.iter().find(|run| run.variation == Variation::Baseline && run.seed == 1);
        let Some(name) = first.and_then(|run| run.model.clone()) else {
            panic!("the baseline's first copy is kept; this is a bug")
        };
        let models = self.store.snapshot()?.models;
        let Some(baseline) = models.iter().find(|model| model.name == name) else {
            return Err(StudyError::NoBaseline { model: name });
        };
        let LayerStudyOptions { plan, device, .. } = &self.options;
        let source = source_of(self.store, baseline);
        let rankings =
            if self.options.drops { self.subject.rankings(&source, plan, *device)? } else { Vec::new() };
        let result = verdicts(&self.study, &runs, &rankings);
        self.study.result = Some(result.clone());
        self.writer.put_study(&self.study)?;
        Ok(result)
    }
}

/// The derived models with the layers of each.
fn derived(result: &StudyResult, report: &mut dyn FnMut(&LayerStudyEvent<'_>)) -> [(Variation, Vec<u32>); 2] {
    let layers = |wanted: &dyn Fn(&LayerVerdict) -> bool| -> Vec<u32> {
        result.layers.iter().filter(|layer| wanted(layer)).map(|layer| layer.layer).collect()
    };
    let mut spared = layers(&|layer| !layer.unfavourable);
    if spared.is_empty() {
        // A model still needs one.
        let by = |layer: &&LayerVerdict| layer.importance.unwrap_or(f64::NEG_INFINITY);
        let most = result.layers.iter().max_by(|one, other| by(one).total_cmp(&by(other)));
        spared.extend(most.map(|layer| layer.layer));
        report(&LayerStudyEvent::AllUnfavourable);
    }
    let cornerstones = layers(&|layer| layer.cornerstone);
    [(Variation::WithoutUnfavourable, spared), (Variation::CornerstonesOnly, cornerstones)]
}
