//! Studies in the catalog, from a seed.

use std::path::Path;

use redb::{ReadableTable, ReadableTableMetadata};
use serde_json::json;
use vestore::{
    Agreement, BaselineFigure, LayerVerdict, Ranking, Store, StoreError, Study, StudyFigure, StudyResult,
    StudyRun, Variation, mean_and_deviation,
};
use vestore_schema::Digest;
use vestore_schema::catalog::{REPORTS, STUDIES, STUDY_RUNS};

use crate::programs::{fails, ok};
use crate::support::{Random, new_store};

/// Metrics of a study of classes.
pub(crate) const CLASSES: [&str; 4] = ["auroc", "accuracy", "f1", "true_positive_rate"];
/// Metrics of a study of numbers.
pub(crate) const NUMBERS: [&str; 2] = ["spearman", "r2"];

/// A study of `layers` layers under `seeds` seeds that is done: every third layer a cornerstone, the layer after
/// it unfavourable.
pub(crate) fn study(name: &str, metrics: &[&str], layers: u32, seeds: u64) -> (Study, Vec<StudyRun>) {
    let plan = json!({
        "data": Digest::of(b"labelled variants"),
        "split": { "by": "contig", "training": ["chr1", "chr2"], "test": ["chr8"] },
        "learning_rate": 5e-5,
        "batch": 16,
        "seeds": (0..seeds).collect::<Vec<_>>(),
        "methods": ["full", "linear", "lora", "ia3", "houlsby"],
    });
    let mut study = Study {
        name: name.to_owned(),
        model: "small".to_owned(),
        model_id: Digest::of(b"model"),
        plan_digest: Digest::of_json(&plan),
        plan,
        program: "vestore 0.1.0".to_owned(),
        device: "cpu".to_owned(),
        threads: 2,
        metrics: metrics.iter().map(|metric| (*metric).to_owned()).collect(),
        higher_is_better: vec![true; metrics.len()],
        layers: (0..layers).collect(),
        started: 1_795_000_000,
        finished: Some(1_795_003_000),
        result: None,
    };
    let mut random = Random(17);
    let (mut runs, all) = (Vec::new(), study.layers.clone());
    let mut train = |variation: &Variation, method: &str, kept: &[u32], share: u64, loss: f64| {
        for seed in 0..seeds {
            runs.push(one(&study, variation, seed, method, kept, share, loss, &mut random));
        }
    };
    train(&Variation::Baseline, "full", &all, 1000, 0.0);
    for layer in 0..layers {
        let kept: Vec<u32> = all.iter().copied().filter(|kept| *kept != layer).collect();
        let loss = [0.16, -0.01, 0.03][layer as usize % 3] * (1.0 + f64::from(layer) / 40.0);
        train(&Variation::Without { layer }, "full", &kept, 1000, loss);
    }
    let favourable: Vec<u32> = all.iter().copied().filter(|layer| layer % 3 != 1).collect();
    train(&Variation::WithoutUnfavourable, "full", &favourable, 1000, -0.005);
    let cornerstones: Vec<u32> = all.iter().copied().filter(|layer| layer % 3 == 0).collect();
    train(&Variation::CornerstonesOnly, "full", &cornerstones, 1000, 0.02);
    for (method, share, loss) in
        [("linear", 1, 0.09), ("lora", 12, 0.006), ("ia3", 3, 0.03), ("houlsby", 25, 0.01)]
    {
        train(&Variation::Method { method: method.to_owned() }, method, &all, share, loss);
    }
    study.result = Some(result(&study, &runs, &mut random));
    (study, runs)
}

/// One run whose figures lie `loss` below those of the baseline, and `share` thousandths of whose parameters are
/// trained.
#[expect(clippy::too_many_arguments, reason = "a record of many fields")]
fn one(
    study: &Study,
    variation: &Variation,
    seed: u64,
    method: &str,
    kept: &[u32],
    share: u64,
    loss: f64,
    random: &mut Random,
) -> StudyRun {
    let mut noise = || random.below(2001) as f64 / 1e5 - 0.01;
    let figure = |(at, metric): (usize, &String)| {
        let value = 0.84 - 0.06 * at as f64 - loss + noise();
        StudyFigure {
            metric: metric.clone(),
            value: Some(value),
            low: Some(value - 0.02),
            high: Some(value + 0.018),
        }
    };
    let figures: Vec<StudyFigure> = study.metrics.iter().enumerate().map(figure).collect();
    let parameters = 800_000 + 410_000 * kept.len() as u64;
    let seconds = 2.5 * kept.len() as f64 * if share < 1000 { 0.7 } else { 1.0 };
    StudyRun {
        study: study.name.clone(),
        variation: variation.clone(),
        seed,
        kept_layers: kept.to_vec(),
        method: method.to_owned(),
        parameters,
        trained_parameters: parameters * share / 1000,
        steps: 400,
        best_step: 250 + 10 * seed,
        validation_loss: 0.48 + loss + noise(),
        validation_figures: figures.clone(),
        figures,
        training_seconds: seconds + noise(),
        evaluation_seconds: seconds / 10.0,
        seconds_per_step: seconds / 420.0,
        peak_memory: (seed == 0).then_some(700_000_000 + parameters * 16 * share.max(10) / 1000),
        rows: [4096, 512, 1024],
        model: (*variation == Variation::WithoutUnfavourable).then(|| format!("pruned-{seed}")),
    }
}

/// What the runs say, by the definitions.
fn result(study: &Study, runs: &[StudyRun], random: &mut Random) -> StudyResult {
    let mean = |variation: &Variation, metric: &str| {
        let of = runs.iter().filter(|run| run.variation == *variation);
        mean_and_deviation(&of.filter_map(|run| run.value(metric)).collect::<Vec<_>>()).unwrap()
    };
    let baseline = |metric: &str| mean(&Variation::Baseline, metric);
    let verdict = |layer: &u32| {
        let without = |metric: &str| mean(&Variation::Without { layer: *layer }, metric).0;
        let held = |metric: &&String| {
            let (mean, deviation) = baseline(metric);
            without(metric) >= mean - deviation.unwrap_or_default()
        };
        let primary = &study.metrics[0];
        let importance = baseline(primary).0 - without(primary);
        let mut ranking = |name: &str, spread: u64| Ranking {
            name: name.to_owned(),
            value: importance + random.below(spread) as f64 / 1e4,
        };
        LayerVerdict {
            layer: *layer,
            cornerstone: study.metrics.iter().all(|metric| without(metric) <= 0.95 * baseline(metric).0),
            unfavourable: study.metrics.iter().filter(held).count() >= study.metrics.len().min(3),
            importance: Some(importance),
            rankings: vec![ranking("ablation", 400), ranking("block influence", 2000)],
        }
    };
    StudyResult {
        layers: study.layers.iter().map(verdict).collect(),
        agreement: vec![
            Agreement {
                name: "ablation".to_owned(),
                spearman: Some(0.8125),
                note: "mean absolute change of the log-odds".to_owned(),
            },
            Agreement {
                name: "block influence".to_owned(),
                spearman: None,
                note: "undefined: every layer has the same value".to_owned(),
            },
        ],
        baseline: study
            .metrics
            .iter()
            .map(|metric| {
                let (mean, deviation) = baseline(metric);
                BaselineFigure { metric: metric.clone(), mean, deviation }
            })
            .collect(),
    }
}

/// Puts a study and its runs into a store.
pub(crate) fn put(store: &Store, (study, runs): &(Study, Vec<StudyRun>)) {
    let mut writer = store.writer("test").unwrap();
    writer.put_study(study).unwrap();
    for run in runs {
        writer.put_study_run(run).unwrap();
    }
}

#[test]
fn studies_and_their_runs_come_back_as_they_were_put() {
    let folder = tempfile::tempdir().unwrap();
    let store = new_store(&folder.path().join("s"), &["1"]);
    let (first, second) = (study("first", &CLASSES, 12, 3), study("first-2", &NUMBERS, 4, 1));
    put(&store, &first);
    put(&store, &second);
    assert_eq!(store.studies().unwrap(), [first.0.clone(), second.0.clone()]);
    // By layer as a number, not as a word; the derived models and methods last.
    let order = |runs: &[StudyRun]| -> Vec<String> {
        runs.iter().map(|run| format!("{} {}", run.variation, run.seed)).collect()
    };
    let found = store.study_runs("first").unwrap();
    let mut sorted = first.1.clone();
    sorted.sort_by(|a, b| (&a.variation, a.seed).cmp(&(&b.variation, b.seed)));
    assert_eq!(found, sorted);
    assert_eq!(order(&found)[..4], ["baseline 0", "baseline 1", "baseline 2", "without 0 0"]);
    assert_eq!(order(&found)[33], "without 10 0");
    assert_eq!(store.study_runs("first-2").unwrap().len(), second.1.len());
    assert!(store.verify(|_| {}).unwrap().is_empty());

    // A run of the same variation and seed takes the place of the old one.
    let mut writer = store.writer("test").unwrap();
    let again = StudyRun { steps: 7, ..found[0].clone() };
    writer.put_study_run(&again).unwrap();
    assert_eq!(store.study_runs("first").unwrap().len(), found.len());
    assert_eq!(store.study_runs("first").unwrap()[0], again);

    assert_eq!(writer.remove_study("first").unwrap(), found.len());
    assert_eq!(store.studies().unwrap(), [second.0]);
    let told = store.study_runs("first").unwrap_err().to_string();
    assert!(told.contains("no study `first`; it has first-2"), "{told}");
    assert_eq!(store.study_runs("first-2").unwrap().len(), second.1.len());
    assert!(matches!(writer.remove_study("first"), Err(StoreError::Unknown { .. })));
    // A study of the same name starts without the runs of the removed one.
    writer.put_study(&first.0).unwrap();
    assert_eq!(store.study_runs("first").unwrap(), []);
}

#[test]
fn a_study_that_makes_no_sense_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = new_store(&folder.path().join("s"), &["1"]);
    let (good, runs) = study("s", &CLASSES, 3, 2);
    let mut writer = store.writer("test").unwrap();
    let mut refused = |change: fn(&mut Study), reason: &str| {
        let mut study = good.clone();
        change(&mut study);
        let told = writer.put_study(&study).unwrap_err().to_string();
        assert!(told.contains(reason), "{told}");
    };
    refused(|study| study.name = "a b".to_owned(), "invalid name of a track, model or study");
    refused(|study| study.metrics.clear(), "0 metrics");
    refused(|study| study.metrics[1] = "auroc".to_owned(), "each once");
    refused(|study| study.higher_is_better.truncate(3), "4 metrics, which must be one or more");
    refused(|study| study.layers = vec![2, 1], "do not ascend");
    refused(
        |study| study.result.as_mut().unwrap().layers[1].importance = Some(f64::NAN),
        "importance is not a finite number",
    );
    assert_eq!(store.studies().unwrap(), []);
    let told = writer.put_study_run(&runs[0]).unwrap_err().to_string();
    assert!(told.contains("no study `s`"), "{told}");

    writer.put_study(&good).unwrap();
    let mut refused = |change: fn(&mut StudyRun), reason: &str| {
        let mut run = runs[0].clone();
        change(&mut run);
        let told = writer.put_study_run(&run).unwrap_err().to_string();
        assert!(told.contains("baseline, seed 0") && told.contains(reason), "{told}");
    };
    refused(|run| drop(run.figures.pop()), "the study's metrics");
    refused(|run| run.figures.swap(0, 1), "the study's metrics");
    refused(|run| run.validation_loss = f64::INFINITY, "validation loss is not a finite number");
    refused(|run| run.figures[2].high = Some(f64::NAN), "f1 is not a finite number");
    assert_eq!(store.study_runs("s").unwrap(), []);
    let other = Study { plan_digest: Digest::of(b"other"), ..good };
    let told = writer.put_study(&other).unwrap_err().to_string();
    assert!(told.contains("another model or plan") && told.contains("study remove"), "{told}");
}

/// Changes the catalog behind the store's back.
fn tamper(store: &Store, change: impl FnOnce(&redb::WriteTransaction)) {
    let database = redb::Database::open(store.root().join("catalog.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    change(&transaction);
    transaction.commit().unwrap();
}

#[test]
fn a_store_without_the_table_has_no_studies_until_one_is_put() {
    let folder = tempfile::tempdir().unwrap();
    let store = new_store(&folder.path().join("s"), &["1"]);
    tamper(&store, |transaction| assert!(transaction.delete_table(REPORTS).unwrap()));
    let store = Store::open(store.root()).unwrap();
    assert_eq!(store.studies().unwrap(), []);
    assert!(matches!(store.study_runs("s"), Err(StoreError::Unknown { .. })));
    assert!(store.verify(|_| {}).unwrap().is_empty());
    let made = study("s", &NUMBERS, 2, 1);
    store.writer("test").unwrap().put_study(&made.0).unwrap();
    assert_eq!(store.study_runs("s").unwrap(), []);
    put(&store, &made);
    assert_eq!((store.studies().unwrap().len(), store.study_runs("s").unwrap().len()), (1, made.1.len()));
}

#[test]
fn studies_of_stores_from_before_reports_are_read_and_moved() {
    let folder = tempfile::tempdir().unwrap();
    let store = new_store(&folder.path().join("s"), &["1"]);
    let (mut older, newer) = (study("older", &NUMBERS, 2, 2), study("newer", &NUMBERS, 3, 1));
    older.1.sort_by(|a, b| (&a.variation, a.seed).cmp(&(&b.variation, b.seed)));
    let seal = |key: &str, json: String| {
        let sum = crc32fast::hash(format!("{key}\n{json}").as_bytes());
        format!("{json}\n{sum:08x}").into_bytes()
    };
    tamper(&store, |transaction| {
        let mut studies = transaction.open_table(STUDIES).unwrap();
        let record = seal("older", serde_json::to_string(&older.0).unwrap());
        studies.insert("older", record.as_slice()).unwrap();
        let mut runs = transaction.open_table(STUDY_RUNS).unwrap();
        for run in &older.1 {
            let variation = run.variation.to_string();
            let key = format!("older/{variation}/{}", run.seed);
            let record = seal(&key, serde_json::to_string(run).unwrap());
            runs.insert(("older", variation.as_str(), run.seed), record.as_slice()).unwrap();
        }
    });
    let check = |store: &Store| {
        assert_eq!(store.study("older").unwrap(), older.0);
        assert_eq!(store.study_runs("older").unwrap(), older.1);
        assert!(store.verify(|_| {}).unwrap().is_empty());
    };
    check(&store);
    put(&store, &newer);
    check(&store);
    assert_eq!(store.studies().unwrap().len(), 2);
    tamper(&store, |transaction| {
        assert!(!transaction.delete_table(STUDIES).unwrap(), "the next write moves them");
        assert_eq!(
            transaction.open_table(REPORTS).unwrap().len().unwrap() as usize,
            2 + older.1.len() + newer.1.len()
        );
    });
    assert_eq!(store.writer("test").unwrap().remove_study("older").unwrap(), older.1.len());
    assert_eq!(store.studies().unwrap(), [newer.0]);
}

/// Keys of the study `s` and of its first run.
const HEAD: (&str, &str, &str) = ("layer-study", "s", "");
const RUN: (&str, &str, &str) = ("layer-study", "s", "baseline/0");

/// What the JSON of a record is changed to, and what is said then.
type Case = (fn(&str) -> String, &'static str);

#[test]
fn damaged_records_of_studies_are_refused_by_name() {
    let cases: [Case; 4] = [
        (|json| json.replace(r#""program":"vestore 0.1.0""#, r#""program":"vestore 0.1.1""#), "checksum"),
        (|json| json.replace(r#","threads":2"#, ""), "missing field `threads`"),
        (|json| json.replace(r#""name":"s","part"#, r#""name":"t","part"#), "not its key"),
        (|json| json.replace("[true,true]", "[true]"), "1 directions"),
    ];
    for (number, (change, reason)) in cases.into_iter().enumerate() {
        let told = damaged(number > 0, |transaction, seal| {
            let mut table = transaction.open_table(REPORTS).unwrap();
            let old = table.get(HEAD).unwrap().map(|value| value.value().to_vec()).unwrap();
            table.insert(HEAD, seal("layer-study/s/", &old, change).as_slice()).unwrap();
        });
        assert!(told.contains("record `layer-study/s/`") && told.contains(reason), "{told}");
    }
    let cases: [Case; 4] = [
        (|json| json.replace(r#""steps":400"#, r#""steps":401"#), "checksum"),
        (|json| json.replace(r#""steps":400,"#, ""), "missing field `steps`"),
        (|json| json.replace(r#""seed":0"#, r#""seed":1"#), "another name"),
        (|json| json.replace("spearman", "pearson"), "the study's metrics"),
    ];
    for (number, (change, reason)) in cases.into_iter().enumerate() {
        let told = damaged(number > 0, |transaction, seal| {
            let mut table = transaction.open_table(REPORTS).unwrap();
            let old = table.get(RUN).unwrap().map(|value| value.value().to_vec()).unwrap();
            table.insert(RUN, seal("layer-study/s/baseline/0", &old, change).as_slice()).unwrap();
        });
        assert!(told.contains("record `layer-study/s/baseline/0`") && told.contains(reason), "{told}");
    }
}

#[test]
fn a_study_of_another_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = new_store(&folder.path().join("s"), &["1"]);
    let made = study("s", &NUMBERS, 2, 1);
    put(&store, &made);
    tamper(&store, |transaction| {
        let mut table = transaction.open_table(REPORTS).unwrap();
        let old = String::from_utf8(table.get(HEAD).unwrap().unwrap().value().to_vec()).unwrap();
        let json = old.split_once('\n').unwrap().0.replace(r#""version":1"#, r#""version":2"#);
        let sum = crc32fast::hash(format!("layer-study/s/\n{json}").as_bytes());
        table.insert(HEAD, format!("{json}\n{sum:08x}").as_bytes()).unwrap();
    });
    assert_eq!(store.studies().unwrap(), []);
    assert!(store.verify(|_| {}).unwrap().is_empty());
    for error in [
        store.study("s").unwrap_err(),
        store.find_study("s").unwrap_err(),
        store.writer("test").unwrap().put_study(&made.0).unwrap_err(),
    ] {
        assert!(error.to_string().contains("its version is 2"), "{error}");
    }
}

#[test]
fn runs_whose_study_is_lost_are_told() {
    let told = damaged(true, |transaction, _| {
        assert!(transaction.open_table(REPORTS).unwrap().remove(HEAD).unwrap().is_some());
    });
    assert!(
        told.contains("record `layer-study/s/baseline/0`") && told.contains("its report is missing"),
        "{told}"
    );
}

/// Makes a record of a key, an old record and a change of its JSON.
type Seal<'a> = &'a dyn Fn(&str, &[u8], fn(&str) -> String) -> Vec<u8>;

/// What verify says of a store of one small study that was tampered with; with the checksum put right or not.
fn damaged(mend: bool, change: impl FnOnce(&redb::WriteTransaction, Seal<'_>)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let store = new_store(&folder.path().join("s"), &["1"]);
    put(&store, &study("s", &NUMBERS, 2, 1));
    assert!(ok("verify {}", &[store.root()]).is_empty());
    let seal = |key: &str, old: &[u8], change: fn(&str) -> String| {
        let (json, sum) = std::str::from_utf8(old).unwrap().split_once('\n').unwrap();
        let changed = change(json);
        assert_ne!(changed, json);
        let mended = format!("{:08x}", crc32fast::hash(format!("{key}\n{changed}").as_bytes()));
        format!("{changed}\n{}", if mend { &mended } else { sum }).into_bytes()
    };
    tamper(&store, |transaction| change(transaction, &seal));
    let root: &Path = store.root();
    let told = fails(1, "verify {}", &[root]);
    assert!(told.contains("catalog.redb") && told.contains("backup"), "{told}");
    told
}
