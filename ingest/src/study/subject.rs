//! What the copies of a study learn: labels of windows, or coverage along them.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use serde::Serialize;
use serde_json::{Map, Value, json};
use tch::Device;
use vestore::Store;
use vestore_schema::Model;

use super::ranking::{LayerRanking, rank_layers};
use crate::checkpoint::ModelSource;
use crate::dataset::LabelledWindows;
use crate::progress::Progress;
use crate::train::{
    Finetuned, Finetuning, TrainError, TuningData, TuningPlan, finetune, tuned_record, tuning_metrics,
};

/// Steps between two states on disk.
const SAVE_EVERY: u64 = 200;

/// Where a copy is trained.
#[derive(Clone, Copy)]
pub struct StudyTraining<'a> {
    /// The model, with the layers that are kept.
    pub(crate) source: &'a ModelSource,
    /// Folder that the copy is written to; without one it is not kept.
    pub(crate) output: Option<&'a Path>,
    /// What computes.
    pub(crate) device: Device,
    /// Steps between two states on disk.
    pub(crate) save_every: u64,
    /// Set by whoever wants it to stop after the current step.
    pub(crate) interrupted: &'a AtomicBool,
    /// Follows the steps.
    pub(crate) progress: &'a dyn Progress,
}

impl<'a> StudyTraining<'a> {
    pub(super) fn new(
        source: &'a ModelSource,
        output: Option<&'a Path>,
        device: Device,
        interrupted: &'a AtomicBool,
        progress: &'a dyn Progress,
    ) -> Self {
        Self { source, output, device, save_every: SAVE_EVERY, interrupted, progress }
    }
}

/// What the copies of a study learn.
pub trait StudySubject {
    /// What decides the weights of a copy, besides the data and the model.
    type Plan: Clone + Serialize;

    /// The plan under another seed.
    fn seeded(plan: &Self::Plan, seed: u64) -> Self::Plan;

    /// The method of a plan, by which copies are told apart.
    fn method(plan: &Self::Plan) -> &'static str;

    /// What a compared plan differs in from the baseline's.
    fn compared(plan: &Self::Plan) -> Value;

    /// What identifies the data, as entries of the study's plan.
    fn identity(&self) -> Map<String, Value>;

    /// Rows or windows for training, validation and test.
    fn rows(&self) -> [u64; 3];

    /// Names of the metrics; more is better of each.
    fn metrics(&self) -> Vec<String>;

    /// Trains a copy; `None` when it was interrupted.
    ///
    /// # Errors
    /// As the training.
    fn train(&self, plan: &Self::Plan, run: StudyTraining<'_>) -> Result<Option<Finetuned>, TrainError>;

    /// Names of what can be predicted without the model.
    const REFERENCES: &'static [&'static str];

    /// What is predicted without the model; `None` where nothing can be.
    ///
    /// # Errors
    /// When the data cannot be read.
    fn reference(&self, name: &str, plan: &Self::Plan) -> Result<Option<Finetuned>, TrainError>;

    /// What the catalog records of a copy called `name` of `parent` that lies in `output`.
    ///
    /// # Errors
    /// When the copy cannot be read.
    fn record(
        &self,
        store: &Store,
        name: &str,
        parent: &Model,
        output: &Path,
        plan: &Self::Plan,
    ) -> Result<Model, TrainError>;

    /// Cheaper rankings of the layers of a trained copy.
    ///
    /// # Errors
    /// When the copy cannot be opened or computed.
    fn rankings(
        &self,
        source: &ModelSource,
        plan: &Self::Plan,
        device: Device,
    ) -> Result<Vec<LayerRanking>, TrainError>;
}

impl StudySubject for LabelledWindows {
    type Plan = TuningPlan;

    fn seeded(plan: &TuningPlan, seed: u64) -> TuningPlan {
        TuningPlan { seed, ..plan.clone() }
    }

    fn method(plan: &TuningPlan) -> &'static str {
        plan.method.as_str()
    }

    fn compared(plan: &TuningPlan) -> Value {
        json!({ "method": plan.method, "learning_rate": plan.learning_rate })
    }

    fn identity(&self) -> Map<String, Value> {
        [
            ("task", json!(self.task)),
            ("data", self.identity.clone()),
            ("rows", json!(LabelledWindows::rows(self))),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into_iter()
        .collect()
    }

    fn rows(&self) -> [u64; 3] {
        LabelledWindows::rows(self)
    }

    fn metrics(&self) -> Vec<String> {
        tuning_metrics(self.task).into_iter().map(str::to_owned).collect()
    }

    fn train(&self, plan: &TuningPlan, run: StudyTraining<'_>) -> Result<Option<Finetuned>, TrainError> {
        let StudyTraining { source, output, device, save_every, interrupted, progress } = run;
        let (classes, test) = (&self.classes, &self.test);
        let run = Finetuning { source, classes, test, output, device, save_every, interrupted, progress };
        finetune(plan, &TuningData::of(self), &run)
    }

    const REFERENCES: &'static [&'static str] = &[];

    fn reference(&self, _: &str, _: &TuningPlan) -> Result<Option<Finetuned>, TrainError> {
        Ok(None)
    }

    fn record(
        &self,
        store: &Store,
        name: &str,
        parent: &Model,
        output: &Path,
        plan: &TuningPlan,
    ) -> Result<Model, TrainError> {
        tuned_record(store, name, parent, output, plan, self)
    }

    fn rankings(
        &self,
        source: &ModelSource,
        plan: &TuningPlan,
        device: Device,
    ) -> Result<Vec<LayerRanking>, TrainError> {
        rank_layers(source, self.task, plan.input, plan.strands, &self.validation, 1, device)
    }
}
