//! The record of a layer study: what decides its numbers, and what its models are called.

use serde_json::{Value, json};
use vestore::{Store, Study, Variation};
use vestore_schema::{Digest, Model};

use super::LayerStudyOptions;
use crate::device::device_name;
use crate::device::threads;
use crate::study::error::StudyError;
use crate::study::subject::StudySubject;

/// The other methods, each once.
pub(super) fn methods<S: StudySubject>(
    options: &LayerStudyOptions<'_, S::Plan>,
) -> Vec<(Variation, S::Plan)> {
    let mut methods: Vec<(Variation, S::Plan)> = Vec::new();
    for plan in &options.compared {
        let variation = Variation::Method { method: S::method(plan).to_owned() };
        let known = methods.iter().any(|(known, _)| *known == variation);
        if !known && S::method(plan) != S::method(&options.plan) {
            methods.push((variation, plan.clone()));
        }
    }
    methods
}

/// The record of the study: that of the store where it continues.
pub(super) fn opened<S: StudySubject>(
    store: &Store,
    parent: &Model,
    subject: &S,
    options: &LayerStudyOptions<'_, S::Plan>,
) -> Result<Study, StudyError> {
    // What is compared differs from the baseline in these alone.
    let compared: Vec<_> = options.compared.iter().map(S::compared).collect();
    let mut tuning = json!(options.plan);
    if let Some(tuning) = tuning.as_object_mut() {
        tuning.remove("seed");
    }
    let mut plan = subject.identity();
    plan.insert("tuning".to_owned(), tuning);
    plan.insert("compared".to_owned(), json!(compared));
    plan.insert("seeds".to_owned(), json!((1..=options.seeds).collect::<Vec<u64>>()));
    if !options.drops {
        // Studies of layers were recorded before there were others.
        plan.insert("layers".to_owned(), json!("none left out"));
    }
    let plan = Value::Object(plan);
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
    let methods = methods::<S>(options).into_iter().map(|(variation, _)| variation);
    let models = store.snapshot()?.models;
    for variation in fixed.into_iter().chain(methods) {
        let model = model_name(&name, &variation);
        if models.iter().any(|known| known.name == model) {
            return Err(StudyError::ModelExists { model });
        }
    }
    let metrics = subject.metrics();
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
        layers: if options.drops { parent.kept_layers.clone() } else { Vec::new() },
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
