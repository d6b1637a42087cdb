//! The record of a layer study: what decides its numbers, and what its models are called.

use serde_json::json;
use vestore::{Store, Study, Variation};
use vestore_schema::{Digest, Model};

use super::LayerStudyOptions;
use crate::dataset::LabelledWindows;
use crate::device::device_name;
use crate::device::threads;
use crate::study::error::StudyError;
use crate::train::{TuningPlan, tuning_metrics};

impl LayerStudyOptions<'_> {
    /// The other methods, each once.
    pub(super) fn methods(&self) -> Vec<(Variation, TuningPlan)> {
        let mut methods: Vec<(Variation, TuningPlan)> = Vec::new();
        for plan in &self.compared {
            let method = plan.method.as_str().to_owned();
            let variation = Variation::Method { method };
            let known = methods.iter().any(|(known, _)| *known == variation);
            if !known && plan.method.as_str() != self.plan.method.as_str() {
                methods.push((variation, plan.clone()));
            }
        }
        methods
    }
}

/// The record of the study: that of the store where it continues.
pub(super) fn opened(
    store: &Store,
    parent: &Model,
    windows: &LabelledWindows,
    options: &LayerStudyOptions<'_>,
) -> Result<Study, StudyError> {
    // What is compared differs from the baseline in these alone.
    let compared = options.compared.iter();
    let compared = compared.map(|plan| json!({ "method": plan.method, "learning_rate": plan.learning_rate }));
    let mut tuning = json!(options.plan);
    if let Some(tuning) = tuning.as_object_mut() {
        tuning.remove("seed");
    }
    let plan = json!({
        "tuning": tuning,
        "compared": compared.collect::<Vec<_>>(),
        "seeds": (1..=options.seeds).collect::<Vec<u64>>(),
        "task": windows.task,
        "data": windows.identity,
        "rows": windows.rows(),
    });
    let digest = Digest::of_json(&plan);
    let (name, device) = (options.name.to_owned(), device_name(options.device));
    if let Some(known) = store.find_study(&name)? {
        if known.plan_digest != digest || known.model_id != parent.id {
            return Err(StudyError::OtherPlan { study: name });
        }
        if (&known.device, known.threads) != (&device, threads()) {
            let Study { device, threads, .. } = known;
            return Err(StudyError::OtherMachine { study: name, device, threads });
        }
        return Ok(known);
    }
    let fixed = [Variation::Baseline, Variation::WithoutUnfavourable, Variation::CornerstonesOnly];
    let methods = options.methods().into_iter().map(|(variation, _)| variation);
    let models = store.snapshot()?.models;
    for variation in fixed.into_iter().chain(methods) {
        let model = model_name(&name, &variation);
        if models.iter().any(|known| known.name == model) {
            return Err(StudyError::ModelExists { model });
        }
    }
    let metrics: Vec<String> = tuning_metrics(windows.task).into_iter().map(str::to_owned).collect();
    Ok(Study {
        name,
        model: parent.name.clone(),
        model_id: parent.id,
        plan,
        plan_digest: digest,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        device,
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
pub(super) fn model_name(study: &str, variation: &Variation) -> String {
    format!("{study}.{}", folder_name(variation))
}

/// The folder of a variation's model.
pub(super) fn folder_name(variation: &Variation) -> String {
    variation.to_string().replace(' ', "-")
}
