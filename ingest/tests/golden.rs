//! Checks the engine against the numbers that the reference implementations gave for the golden set
//! beside the repository (its README.md states every rule and tolerance). Skipped where it is absent.

#![expect(clippy::print_stderr, reason = "the worst deviations, and whether anything was compared")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::support::Scoring;
use safetensors::SafeTensors;
use serde_json::Value;
use tch::{Device, Kind, Tensor};
use vestore_ingest::{
    AblatedPart, EncoderWindow, GridWindow, Model, ModelSource, Row, Scorer, Strands, Tokenizer, WindowPair,
    ablate, change, describe, reverse_complement, rows,
};

fn golden() -> Option<PathBuf> {
    let shared = std::env::var_os("VESTORE_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let golden = shared.join("golden");
    if golden.join("windows.json").is_file() {
        return Some(golden);
    }
    eprintln!("skipped: no golden set at {}", golden.display());
    None
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON")
}

/// Expected numbers of one run, as float64.
struct Expected {
    bytes: Vec<u8>,
    meta: Value,
}

impl Expected {
    fn open(golden: &Path, run: &str) -> Self {
        let file = golden.join("expected").join(run);
        let bytes = std::fs::read(file.with_extension("safetensors")).expect("expected values");
        Self { bytes, meta: json(&golden.join("expected").join(format!("{run}.json"))) }
    }

    fn get(&self, name: &str) -> Option<Vec<f64>> {
        let tensors = SafeTensors::deserialize(&self.bytes).expect("safetensors");
        let tensor = tensors.tensor(name).ok()?;
        let data = tensor.data();
        Some(match tensor.dtype() {
            safetensors::Dtype::F32 => {
                data.chunks(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().expect("4")))).collect()
            }
            safetensors::Dtype::F64 => {
                data.chunks(8).map(|b| f64::from_le_bytes(b.try_into().expect("8"))).collect()
            }
            other => panic!("{name} is {other:?}"),
        })
    }

    fn list(&self, key: &str) -> Vec<String> {
        let list = self.meta[key].as_array().expect("a list");
        list.iter().map(|id| id.as_str().expect("an id").to_owned()).collect()
    }
}

/// The largest deviation of each quantity, in units of its tolerance.
#[derive(Default)]
struct Report {
    worst: BTreeMap<String, (f64, f64, usize)>,
}

impl Report {
    fn compare(&mut self, run: &str, name: &str, tolerance: f64, found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len(), "{run} {name}");
        for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert_eq!(found.is_nan(), expected.is_nan(), "{run} {name}[{index}]: {found}, want {expected}");
            if expected.is_nan() {
                continue;
            }
            let deviation = (found - expected).abs();
            assert!(deviation <= tolerance, "{run} {name}[{index}]: {found}, want {expected} (±{tolerance})");
            let kind =
                name.split('.').filter(|part| !part.starts_with('c')).take(3).collect::<Vec<_>>().join(".");
            let entry = self.worst.entry(kind).or_insert((0.0, tolerance, 0));
            entry.0 = entry.0.max(deviation);
            entry.2 += 1;
        }
    }
}

struct Case {
    id: String,
    /// Reference and alternate, forward and reverse.
    windows: [Vec<u8>; 4],
    centre: [u32; 2],
    lengths: [u32; 2],
    tokens: Value,
}

impl Case {
    fn read(case: &Value) -> Self {
        let sequence = |name: &str| case["seq"][name].as_str().expect("bases").as_bytes().to_vec();
        let number = |name: &str| case[name].as_u64().expect("a number") as u32;
        let length = |name: &str| case[name].as_str().expect("an allele").len() as u32;
        Self {
            id: case["id"].as_str().expect("an id").to_owned(),
            windows: ["ref_fwd", "alt_fwd", "ref_rev", "alt_rev"].map(sequence),
            centre: [number("centre_fwd"), number("centre_rev")],
            lengths: ["ref", "alt"].map(length),
            tokens: case["tokens"].clone(),
        }
    }

    fn window(&self, alternate: bool, strand: usize) -> &[u8] {
        &self.windows[2 * strand + usize::from(alternate)]
    }

    /// The pair as the store sees it, or as its reverse strand alone.
    fn pair(&self, strand: usize) -> EncoderWindow {
        let reference: Arc<[u8]> = self.window(false, strand).into();
        let snv = self.lengths == [1, 1];
        let grid = snv.then(|| GridWindow { bases: Arc::clone(&reference), position: self.centre[strand] });
        let pair = WindowPair {
            alternate: self.window(true, strand).into(),
            centre: self.centre[strand],
            reference_length: self.lengths[0],
            alternate_length: self.lengths[1],
            reference,
        };
        EncoderWindow { pair, grid }
    }
}

fn cases(golden: &Path, order: &[String]) -> Vec<Case> {
    let windows = json(&golden.join("windows.json"));
    let all = windows["cases"].as_array().expect("cases");
    let find = |id: &String| all.iter().find(|case| case["id"] == id.as_str()).expect("a case");
    order.iter().map(|id| Case::read(find(id))).collect()
}

fn ids(tokens: &[i64]) -> Tensor {
    Tensor::from_slice(tokens).view([1, -1])
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    Vec::<f64>::try_from(tensor.to_kind(Kind::Double).flatten(0, -1)).expect("numbers")
}

fn score(model: &Model, scoring: &Scoring, windows: &[EncoderWindow]) -> Vec<Row> {
    rows(&scoring.scorer(model).expect("a fitting recipe"), model, windows).expect("rows")
}

fn source(golden: &Path, meta: &Value) -> ModelSource {
    let mut source =
        ModelSource::new(golden.join("checkpoints").join(meta["checkpoint"].as_str().expect("a name")));
    source.adapter = meta["adapter"].as_str().map(|name| golden.join("adapters").join(name));
    source.kept_layers = meta["keep_layers"]
        .as_array()
        .map(|layers| layers.iter().map(|layer| layer.as_u64().expect("a layer") as u32).collect());
    source
}

const DISTANCES: [(&str, f64); 4] = [("l1", 3e-4), ("l2", 5e-5), ("cosine", 5e-6), ("dot", 4e-4)];

/// Every score column, on the forward strand, the reverse strand and both.
fn check_scores(report: &mut Report, name: &str, model: &Model, expected: &Expected, cases: &[Case]) {
    let description = model.description();
    let mut kinds = vec!["distance"];
    let words = expected.get("llr.fwd").is_some();
    if words {
        kinds.extend(["llr", "llr-grid"]);
    }
    if description.labels.is_some() {
        kinds.push("classifier");
    }
    for (suffix, strand, strands) in
        [("fwd", 0, Strands::Forward), ("rev", 1, Strands::Forward), ("avg", 0, Strands::Both)]
    {
        let recipe = Scoring { kinds: kinds.clone(), strands, batch_tokens: 4096, embeddings: true };
        let columns = recipe.scorer(model).expect("a fitting recipe").columns();
        let pairs: Vec<EncoderWindow> = cases.iter().map(|case| case.pair(strand)).collect();
        let rows = score(model, &recipe, &pairs);
        let column = |column: &str| -> Vec<f64> {
            let place = columns.iter().position(|name| *name == column).expect("a column");
            rows.iter().map(|row| row.values[place].map_or(f64::NAN, f64::from)).collect()
        };
        let mut compare = |key: String, tolerance, found: &[f64]| {
            let expected = expected.get(&key).unwrap_or_else(|| panic!("{name} has no {key}"));
            report.compare(name, &key, tolerance, found, &expected);
        };
        for (distance, tolerance) in DISTANCES {
            compare(format!("dist.mean.{distance}.{suffix}"), tolerance, &column(distance));
            compare(
                format!("dist.var.{distance}.{suffix}"),
                tolerance,
                &column(&format!("{distance}_variant")),
            );
        }
        if words {
            compare(format!("llr.{suffix}"), 3e-5, &column("llr"));
            // With the variant's own window as its grid window the two conventions are one.
            assert!(rows.iter().all(|row| {
                let place = |name| columns.iter().position(|column| *column == name).expect("a column");
                row.values[place("llr_grid")] == row.values[place("llr")]
            }));
        }
        if description.labels.is_some() {
            compare(format!("prob1.alt.{suffix}"), 5e-6, &column("probability"));
            compare(format!("delta_logodds.{suffix}"), 2e-5, &column("delta_logit"));
        }
        if suffix != "avg" {
            let pooled =
                rows.iter().flat_map(|row| row.embedding.as_ref().expect("an embedding").reference.clone());
            let pooled: Vec<f64> = pooled.map(f64::from).collect();
            compare(format!("final.mean.ref.{suffix}"), 5e-5, &pooled);
        }
    }
}

/// Tokens, hidden states layer by layer, logits, the grid: one window at a time.
fn check_parts(report: &mut Report, name: &str, model: &Model, expected: &Expected, cases: &[Case]) {
    let tokenizer = model.tokenizer();
    let family = expected.meta["family"].as_str().expect("a family");
    for case in cases {
        for (strand, suffix) in [(0, "fwd"), (1, "rev")] {
            assert_eq!(reverse_complement(case.window(false, strand)), case.window(false, 1 - strand));
            for (alternate, side) in [(false, "ref"), (true, "alt")] {
                let tokens = tokenizer.encode(case.window(alternate, strand)).expect("tokens");
                let wanted = &case.tokens[family][format!("{side}_{suffix}")];
                let wanted_ids: Vec<i64> = wanted["ids"]
                    .as_array()
                    .expect("ids")
                    .iter()
                    .map(|id| id.as_i64().expect("an id"))
                    .collect();
                assert_eq!(tokens.ids, wanted_ids, "{name} {}", case.id);
                let at = tokens.token_at(case.centre[strand]).expect("a token");
                assert_eq!(at as u64, wanted["variant_token"].as_u64().expect("a token"));
                let Some(states) = expected.get(&format!("hidden_states.{}.{side}.{suffix}", case.id)) else {
                    continue;
                };
                let found = model.hidden_states(&ids(&tokens.ids)).expect("hidden states");
                let found: Vec<f64> = found.iter().flat_map(flat).collect();
                report.compare(name, &format!("hidden_states.{}", case.id), 5e-5, &found, &states);
            }
        }
        let Some(logits) = expected.get(&format!("masked_logits.{}.ref.fwd", case.id)) else { continue };
        let found = masked(model, tokenizer, case.window(false, 0), case.centre[0]);
        report.compare(name, &format!("masked_logits.{}", case.id), 5e-5, &found.1, &logits);
    }
    for (strand, suffix) in [(0, "fwd"), (1, "rev")] {
        let Some(grid) = expected.get(&format!("grid.{suffix}")) else { continue };
        let mut found = Vec::new();
        for case in cases {
            if case.lengths != [1, 1] {
                found.extend([f64::NAN; 24]);
                continue;
            }
            let (token, logits) = masked(model, tokenizer, case.window(false, strand), case.centre[strand]);
            for offset in 0..6 {
                for base in *b"ACGT" {
                    let other = tokenizer.replaced(token, offset, base).filter(|other| *other != token);
                    found.push(
                        other.map_or(f64::NAN, |other| logits[other as usize] - logits[token as usize]),
                    );
                }
            }
        }
        report.compare(name, &format!("grid.{suffix}"), 3e-5, &found, &grid);
    }
    for (strand, suffix) in [(0, "fwd"), (1, "rev")] {
        for (alternate, side) in [(false, "ref"), (true, "alt")] {
            let Some(logits) = expected.get(&format!("logits.{side}.{suffix}")) else { continue };
            let found: Vec<f64> = cases
                .iter()
                .flat_map(|case| {
                    let tokens = tokenizer.encode(case.window(alternate, strand)).expect("tokens");
                    flat(
                        &model
                            .class_logits(&model.hidden(&ids(&tokens.ids)).expect("hidden"))
                            .expect("logits"),
                    )
                })
                .collect();
            report.compare(name, &format!("logits.{side}"), 2e-5, &found, &logits);
        }
    }
}

/// The token at `centre` and all logits when it is masked.
fn masked(model: &Model, tokenizer: &Tokenizer, window: &[u8], centre: u32) -> (i64, Vec<f64>) {
    let mut tokens = tokenizer.encode(window).expect("tokens");
    let at = tokens.token_at(centre).expect("a token");
    let token = std::mem::replace(&mut tokens.ids[at], tokenizer.mask_id().expect("a mask"));
    let hidden = model.hidden(&ids(&tokens.ids)).expect("hidden").select(1, at as i64);
    (token, flat(&model.masked_logits(&hidden).expect("logits")))
}

fn check_pll(report: &mut Report, name: &str, model: &Model, expected: &Expected, cases: &[Case]) {
    for id in expected.list("pll_cases") {
        let case = cases.iter().find(|case| case.id == id).expect("a case");
        let side = |side: &str| expected.get(&format!("pll.{id}.{side}.fwd")).expect("a value")[0];
        let recipe =
            Scoring { kinds: vec!["pll"], strands: Strands::Forward, batch_tokens: 256, embeddings: false };
        let rows = score(model, &recipe, &[case.pair(0)]);
        let found = rows[0].values[0].map_or(f64::NAN, f64::from);
        report.compare(name, "pll", 1e-4, &[found], &[side("alt") - side("ref")]);
    }
}

fn check_ablation(report: &mut Report, name: &str, golden: &Path, expected: &Expected, cases: &[Case]) {
    let chosen = expected.list("ablation_cases");
    if chosen.is_empty() {
        return;
    }
    let pairs: Vec<EncoderWindow> =
        chosen.iter().map(|id| cases.iter().find(|case| case.id == *id).expect("a case").pair(0)).collect();
    let layers = expected.meta["n_layers_original"].as_u64().expect("a count") as u32;
    let words = expected.get("ablation.llr.avg").is_some();
    let kinds = if words { vec!["llr", "distance"] } else { vec!["distance"] };
    let recipe = Scoring { kinds, strands: Strands::Both, batch_tokens: 2048, embeddings: false };
    let model = Model::load(&source(golden, &expected.meta), Device::Cpu, Kind::Float).expect("a model");
    assert_eq!(model.depth() as u32, layers);
    let scorer = recipe.scorer(&model).expect("a fitting recipe");
    let (columns, work) = (scorer.columns(), scorer.plan(&pairs, true).expect("work"));
    let (mut full, mut without) = (Vec::new(), vec![Vec::new(); model.depth()]);
    for batch in 0..work.batches() {
        let ablated = ablate(&model, &work, batch, &AblatedPart::default()).expect("outputs");
        full.push(ablated.full.outputs);
        without.iter_mut().zip(ablated.without).for_each(|(to, from)| to.push(from.outputs));
    }
    let full = work.finish(full);
    let mut found: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for outputs in without {
        for (full, without) in full.iter().zip(work.finish(outputs)) {
            let (changes, _) = change(full, &without);
            for ((column, full), change) in columns.iter().zip(&full.values).zip(changes) {
                let value =
                    full.zip(change).map_or(f64::NAN, |(full, change)| f64::from(full) + f64::from(change));
                found.entry(column).or_default().push(value);
            }
        }
    }
    let mut compare = |key: &str, column: &str, tolerance| {
        report.compare(name, key, tolerance, &found[column], &expected.get(key).expect("a column"));
    };
    compare("ablation.dist.mean.l2.avg", "l2", 5e-5);
    compare("ablation.dist.mean.cosine.avg", "cosine", 5e-6);
    if words {
        compare("ablation.llr.avg", "llr", 3e-5);
        compare("ablation.llr.fwd", "llr_forward", 3e-5);
        compare("ablation.llr.rev", "llr_reverse", 3e-5);
    }
}

#[test]
fn every_run_of_the_golden_set_is_within_tolerance() {
    let Some(golden) = golden() else { return };
    let mut report = Report::default();
    let mut runs: Vec<String> = std::fs::read_dir(golden.join("expected"))
        .expect("runs")
        .filter_map(|entry| {
            Some(entry.expect("an entry").file_name().to_str()?.strip_suffix(".json")?.to_owned())
        })
        .collect();
    runs.sort_unstable();
    assert!(runs.len() >= 10, "{runs:?}");
    for name in &runs {
        let expected = Expected::open(&golden, name);
        let cases = cases(&golden, &expected.list("case_order"));
        let source = source(&golden, &expected.meta);
        let model = Model::load(&source, Device::Cpu, Kind::Float).expect(name);
        assert_eq!(model.description(), &describe(&source).expect(name));
        check_parts(&mut report, name, &model, &expected, &cases);
        check_scores(&mut report, name, &model, &expected, &cases);
        check_pll(&mut report, name, &model, &expected, &cases);
        check_ablation(&mut report, name, &golden, &expected, &cases);
    }
    let mut numbers = 0;
    for (quantity, (worst, tolerance, count)) in &report.worst {
        eprintln!("{quantity:28} {count:8} numbers, worst {worst:.1e} of {tolerance:.0e}");
        numbers += count;
    }
    eprintln!("{} runs, {numbers} numbers", runs.len());
}

#[test]
fn bad_adapters_are_refused_with_their_reason() {
    let Some(golden) = golden() else { return };
    for (name, words) in [
        ("dnabert2-tiny-lora-query-value", ["names no module", "attention.self.Wqkv"]),
        ("dnabert2-tiny-lora-bad-shape", ["lora_B", "[216, 4]"]),
    ] {
        let mut source = ModelSource::new(golden.join("checkpoints/dnabert2-tiny"));
        source.adapter = Some(golden.join("adapters").join(name));
        let error = describe(&source).expect_err(name).to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
}
