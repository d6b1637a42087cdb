//! Studies of layers as reports of a store: the study is the head, each of its runs a part.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use vestore_schema::ReportRecord;

use super::study::{Study, StudyRun};
use crate::store::{Store, StoreError, Writer, find};

/// Their kind.
const KIND: &str = "layer-study";

/// The version of their documents.
const VERSION: u32 = 1;

impl Store {
    /// Every study by name. Those whose documents are of another version are left out.
    ///
    /// # Errors
    /// When the catalog cannot be read or a study makes no sense.
    pub fn studies(&self) -> Result<Vec<Study>, StoreError> {
        let reports = self.reports(KIND)?;
        let heads = reports.iter().filter(|report| report.part.is_empty() && report.version == VERSION);
        heads.map(|report| read_study(self, report)).collect()
    }

    /// The study of a name.
    ///
    /// # Errors
    /// When `name` is unknown, or the catalog cannot be read.
    pub fn study(&self, name: &str) -> Result<Study, StoreError> {
        study_of(self, &self.reports(KIND)?, name)
    }

    /// The study of a name; `None` when it is unknown.
    ///
    /// # Errors
    /// When its documents are of another version, or the catalog cannot be read.
    pub fn find_study(&self, name: &str) -> Result<Option<Study>, StoreError> {
        match self.study(name) {
            Err(StoreError::Unknown { .. }) => Ok(None),
            study => study.map(Some),
        }
    }

    /// The runs of a study by variation and seed: the baseline, then the layers, methods and derived models.
    ///
    /// # Errors
    /// When `name` is unknown, or the catalog cannot be read.
    pub fn study_runs(&self, name: &str) -> Result<Vec<StudyRun>, StoreError> {
        let reports = self.reports(KIND)?;
        read_runs(self, &study_of(self, &reports, name)?, &reports)
    }

    /// Reads every study and every run.
    pub(crate) fn check_studies(&self) -> Result<(), StoreError> {
        let reports = self.reports(KIND)?;
        for head in reports.iter().filter(|report| report.part.is_empty() && report.version == VERSION) {
            read_runs(self, &read_study(self, head)?, &reports)?;
        }
        Ok(())
    }
}

/// The study of a name among `reports`.
fn study_of(store: &Store, reports: &[ReportRecord], name: &str) -> Result<Study, StoreError> {
    let heads: Vec<&ReportRecord> = reports.iter().filter(|report| report.part.is_empty()).collect();
    read_study(store, find("study", name, &heads, |report| &report.name)?)
}

/// The runs of `study` among `reports`, in order.
fn read_runs(store: &Store, study: &Study, reports: &[ReportRecord]) -> Result<Vec<StudyRun>, StoreError> {
    let parts = reports.iter().filter(|report| report.name == study.name && !report.part.is_empty());
    let mut runs = parts.map(|part| read_run(store, study, part)).collect::<Result<Vec<_>, _>>()?;
    runs.sort_by(|a, b| (&a.variation, a.seed).cmp(&(&b.variation, b.seed)));
    Ok(runs)
}

impl Writer {
    /// Adds a study, or replaces the record of one that continues or ends under the same plan.
    ///
    /// # Errors
    /// When the name belongs to a study of another model or plan, or the record makes no sense.
    pub fn put_study(&mut self, study: &Study) -> Result<(), StoreError> {
        let conflict = |reason| StoreError::Conflict { kind: "study", name: study.name.clone(), reason };
        study.check().map_err(|error| conflict(error.to_string()))?;
        let same = |known: &Study| (known.model_id, known.plan_digest) == (study.model_id, study.plan_digest);
        if self.store().find_study(&study.name)?.is_some_and(|known| !same(&known)) {
            return Err(conflict(
                "the name belongs to a study of another model or plan; choose another name, or remove that study with \
                 `vestore study remove`"
                    .to_owned(),
            ));
        }
        self.put_report(&record(&study.name, String::new(), vec![study.model.clone()], study))
    }

    /// Adds a run to its study; one of the same variation and seed is replaced.
    ///
    /// # Errors
    /// When its study is unknown, or the record makes no sense as a run of it.
    pub fn put_study_run(&mut self, run: &StudyRun) -> Result<(), StoreError> {
        let study = self.store().study(&run.study)?;
        run.check(&study).map_err(|error| StoreError::Conflict {
            kind: "run of study",
            name: study.name.clone(),
            reason: format!("{}, seed {}: {error}", run.variation, run.seed),
        })?;
        self.put_report(&record(&run.study, part(run), run.model.iter().cloned().collect(), run))
    }

    /// Removes a study and its runs, in one durable transaction; returns the number of runs. Models that it kept stay.
    ///
    /// # Errors
    /// When `name` is unknown, or the system refuses.
    pub fn remove_study(&mut self, name: &str) -> Result<usize, StoreError> {
        let runs = self.store().study_runs(name)?.len();
        self.remove_report(KIND, name)?;
        Ok(runs)
    }
}

fn part(run: &StudyRun) -> String {
    format!("{}/{}", run.variation, run.seed)
}

fn record<T: Serialize>(name: &str, part: String, models: Vec<String>, document: &T) -> ReportRecord {
    let (kind, document) = (KIND.to_owned(), json!(document));
    ReportRecord { kind, version: VERSION, name: name.to_owned(), part, models, document }
}

fn read_study(store: &Store, report: &ReportRecord) -> Result<Study, StoreError> {
    let mut study: Study = document(store, report)?;
    // Models are renamed in the record alone.
    let Some(model) = report.models.first() else {
        return Err(store.broken_report(report, "it names no model".to_owned()));
    };
    study.model.clone_from(model);
    study.check().map_err(|error| store.broken_report(report, error.to_string()))?;
    if study.name == report.name { Ok(study) } else { Err(another(store, report)) }
}

fn read_run(store: &Store, study: &Study, report: &ReportRecord) -> Result<StudyRun, StoreError> {
    let mut run: StudyRun = document(store, report)?;
    run.model = report.models.first().cloned();
    run.check(study).map_err(|error| store.broken_report(report, error.to_string()))?;
    if run.study == report.name && part(&run) == report.part { Ok(run) } else { Err(another(store, report)) }
}

fn another(store: &Store, report: &ReportRecord) -> StoreError {
    store.broken_report(report, "it has another name".to_owned())
}

fn document<T: DeserializeOwned>(store: &Store, report: &ReportRecord) -> Result<T, StoreError> {
    if report.version != VERSION {
        let versions = format!("its version is {}; this program reads version {VERSION}", report.version);
        return Err(store.broken_report(report, format!("{versions}; use a newer vestore")));
    }
    let document: Value = report.document.clone();
    serde_json::from_value(document).map_err(|error| store.broken_report(report, error.to_string()))
}
