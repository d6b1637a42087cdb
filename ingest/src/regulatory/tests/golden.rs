//! Every activation and prediction of the golden set, within the tolerances that it states.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use safetensors::SafeTensors;
use serde_json::Value;
use tch::{Kind, Tensor};
use vestore_schema::{Bins, Head};

use super::support::{activations, golden, load, one_hot, profile, reversed, shifted};
use crate::checkpoint::ModelSource;
use crate::regulatory::trunk::Trunk;

pub(super) fn json(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).expect("a file")).expect("JSON")
}

/// Expected numbers of one run.
pub(super) struct Run {
    pub(super) name: String,
    pub(super) meta: Value,
    pub(super) tensors: BTreeMap<String, Tensor>,
}

impl Run {
    pub(super) fn open(golden: &Path, name: &str) -> Self {
        let file = golden.join("expected").join(name);
        let bytes = fs::read(file.with_extension("safetensors")).expect("expected values");
        let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
        let read = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
            let kind = if view.dtype() == safetensors::Dtype::F64 { Kind::Double } else { Kind::Float };
            let shape: Vec<i64> = view.shape().iter().map(|size| *size as i64).collect();
            (name, Tensor::from_data_size(view.data(), &shape, kind))
        };
        let tensors = tensors.tensors().into_iter().map(read).collect();
        Self { name: name.to_owned(), meta: json(&file.with_extension("json")), tensors }
    }

    pub(super) fn list(&self, key: &str) -> Option<Vec<String>> {
        let list = self.meta[key].as_array()?;
        Some(list.iter().map(|id| id.as_str().expect("an id").to_owned()).collect())
    }

    /// The cases of the rows of a prediction.
    pub(super) fn cases(&self, head: &str, allele: &str) -> Vec<String> {
        let keys = [
            (head == "mouse").then_some("mouse_case_order"),
            (allele == "alt_extended").then_some("alt_extended_case_order"),
            Some("pred_case_order"),
            Some("case_order"),
        ];
        keys.into_iter().flatten().find_map(|key| self.list(key)).expect("an order of cases")
    }

    pub(super) fn source(&self, golden: &Path) -> ModelSource {
        let checkpoint = self.meta["checkpoint"].as_str().expect("a checkpoint");
        let layers = self.meta["keep"].as_array();
        let layer = |layer: &Value| layer.as_u64().expect("a layer") as u32;
        ModelSource {
            kept_layers: layers.map(|layers| layers.iter().map(layer).collect()),
            adapter: self.meta["adapter"].as_str().map(|adapter| golden.join("adapters").join(adapter)),
            ..ModelSource::new(golden.join("checkpoints").join(checkpoint))
        }
    }
}

/// All runs of the set that are of this family of checkpoints.
fn runs(golden: &Path, family: &str) -> Vec<Run> {
    let entries = fs::read_dir(golden.join("expected")).expect("a folder").flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.path().file_stem().map(|name| name.to_string_lossy().into_owned()))
        .filter(|name| name.starts_with(family))
        .collect();
    names.sort_unstable();
    names.dedup();
    names.iter().map(|name| Run::open(golden, name)).collect()
}

/// The windows of a run, by case and allele.
fn windows(golden: &Path, run: &Run) -> BTreeMap<(String, String), Tensor> {
    let windows = json(&golden.join("windows.json"));
    let cases = if run.name.contains("tfgamma") { "tf_gamma_cases" } else { "cases" };
    let mut found = BTreeMap::new();
    for case in windows[cases].as_array().expect("cases") {
        let id = case["id"].as_str().expect("an id");
        for (allele, bases) in case["seq"].as_object().expect("sequences") {
            let bases = one_hot(bases.as_str().expect("bases"));
            found.insert((id.to_owned(), allele.clone()), bases);
        }
        // Where nothing has to be filled, the alternate is the extended one as well.
        let [plain, extended] = ["alt", "alt_extended"].map(|allele| (id.to_owned(), allele.to_owned()));
        if let Some(bases) = found.get(&plain).map(Tensor::shallow_clone) {
            found.entry(extended).or_insert(bases);
        }
    }
    found
}

/// What is compared, in one kind of numbers.
struct Comparison<'a> {
    run: &'a Run,
    kind: Kind,
    suffix: &'static str,
    prediction: f64,
    activation: f64,
    worst: BTreeMap<String, f64>,
    compared: usize,
}

impl Comparison<'_> {
    fn check(&mut self, name: &str, found: &Tensor, tolerance: f64) {
        let expected = &self.run.tensors[&format!("{name}{}", self.suffix)];
        assert_eq!(found.size(), expected.size(), "{} {name}", self.run.name);
        let difference = (found.to_kind(Kind::Double) - expected.to_kind(Kind::Double)).abs().max();
        let difference = difference.double_value(&[]);
        assert!(difference <= tolerance, "{} {name} {:?}: {difference:.1e}", self.run.name, self.kind);
        let group = name.split('.').next().unwrap_or(name).to_owned();
        let worst = self.worst.entry(group).or_default();
        *worst = worst.max(difference / tolerance);
        self.compared += 1;
    }

    /// Predictions as the run lays them out: [targets, bins], or [bins, targets] for Enformer.
    fn predict(trunk: &Trunk, bases: &Tensor) -> Tensor {
        let profile = profile(trunk, bases, Bins::Center);
        if trunk.config.is_unet() { profile } else { profile.transpose(0, 1) }
    }

    fn predictions(&mut self, golden: &Path) {
        let windows = windows(golden, self.run);
        for head in Head::ALL {
            let prefix = format!("pred.{}.", head.as_str());
            let names: Vec<String> =
                self.run.tensors.keys().filter(|name| name.starts_with(&prefix)).cloned().collect();
            let names: Vec<String> =
                names.into_iter().filter(|name| name.strip_suffix(".f64").is_none()).collect();
            if names.is_empty() {
                continue;
            }
            let trunk = load(&self.run.source(golden), head, self.kind);
            for name in names {
                let parts: Vec<&str> = name[prefix.len()..].split('.').collect();
                let found = match parts[..] {
                    [allele, strand] => {
                        let cases = self.run.cases(head.as_str(), allele);
                        let rows = cases.iter().map(|case| {
                            let bases = &windows[&(case.clone(), allele.to_owned())];
                            let bases = if strand == "rev" { reversed(bases) } else { bases.shallow_clone() };
                            Self::predict(&trunk, &bases)
                        });
                        Tensor::stack(&rows.collect::<Vec<_>>(), 0)
                    }
                    [case, allele, "fwd", shift] => {
                        let shift = shift.strip_prefix("shift").and_then(|shift| shift.parse().ok());
                        let bases = &windows[&(case.to_owned(), allele.to_owned())];
                        Self::predict(&trunk, &shifted(bases, shift.expect("a shift")))
                    }
                    _ => panic!("{name} is not known"),
                };
                self.check(&name, &found, self.prediction);
            }
        }
    }

    fn activations(&mut self, golden: &Path) {
        let Some(points) = self.run.meta["activations"].as_object() else { return };
        let windows = windows(golden, self.run);
        let trunk = load(&self.run.source(golden), Head::Human, self.kind);
        for ((case, allele), bases) in &windows {
            if !self.run.tensors.contains_key(&format!("act.final.{case}.{allele}")) {
                continue;
            }
            let found = activations(&trunk, bases);
            for (point, place) in points {
                // Inside a stage, where nothing is kept.
                let Some(found) = found.get(point).or_else(|| {
                    assert_eq!(point, "stem.conv");
                    None
                }) else {
                    continue;
                };
                assert_eq!(found.size()[1], place["length"].as_i64().expect("a length"), "{point}");
                let mean = format!("act_mean.{point}.{case}.{allele}");
                if self.run.tensors.contains_key(&mean) {
                    self.check(&mean, &found.mean_dim([1i64].as_slice(), false, self.kind), self.activation);
                }
                let chosen = match place["positions"].as_array() {
                    None => found.shallow_clone(),
                    Some(places) => {
                        let places: Vec<i64> = places.iter().filter_map(Value::as_i64).collect();
                        found.index_select(1, &Tensor::from_slice(&places))
                    }
                };
                self.check(&format!("act.{point}.{case}.{allele}"), &chosen, self.activation);
            }
        }
    }
}

fn compare(family: &str, runs_expected: usize) {
    let Some(golden) = golden() else { return };
    let tolerances = json(&golden.join("tolerances.json"));
    let group = if family == "enformer" { "enformer" } else { "borzoi/flashzoi" };
    let activation = tolerances["tolerances"].as_array().expect("a list").iter().find_map(|row| {
        (row["quantity"] == "act.*, act_mean.*" && row["family"] == group).then(|| row["atol"].as_f64())?
    });
    let runs = runs(&golden, family);
    assert!(runs.len() >= runs_expected, "{} runs", runs.len());
    for run in &runs {
        let checkpoint = run.meta["checkpoint"].as_str().expect("a checkpoint");
        let prediction = tolerances["pred_atol"][checkpoint].as_f64().expect("a tolerance");
        let single = (Kind::Float, "", prediction, activation.expect("a tolerance"));
        // The table of TensorFlow's gammas is float32, and computed here: not to the last bit.
        let exact = if checkpoint == "enformer-tfgamma" { 1e-4 } else { 1e-9 };
        for (kind, suffix, prediction, activation) in [single, (Kind::Double, ".f64", exact, exact)] {
            let worst = BTreeMap::new();
            let mut comparison = Comparison { run, kind, suffix, prediction, activation, worst, compared: 0 };
            comparison.predictions(&golden);
            comparison.activations(&golden);
            let shares: Vec<String> =
                comparison.worst.iter().map(|(group, share)| format!("{group} {share:.2}")).collect();
            eprintln!(
                "{} {kind:?}: {} compared, share of tolerance {}",
                run.name,
                comparison.compared,
                shares.join(", ")
            );
        }
    }
}

#[test]
fn borzoi_is_reproduced() {
    compare("borzoi", 7);
}

#[test]
fn flashzoi_is_reproduced() {
    compare("flashzoi", 4);
}

#[test]
fn enformer_is_reproduced() {
    compare("enformer", 4);
}
