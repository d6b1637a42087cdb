//! The tables of studies and their runs.

use redb::{Key, ReadOnlyTable, ReadableTable, TableDefinition, TableError};
use vestore_schema::catalog::{STUDIES, STUDY_RUNS};
use vestore_schema::{Study, StudyRun};

use super::{CatalogRead, CatalogWrite, encode};
use crate::store::error::StoreError;

impl CatalogRead<'_> {
    pub(crate) fn studies(&self) -> Result<Vec<Study>, StoreError> {
        let Some(rows) = self.later_table(STUDIES)? else { return Ok(Vec::new()) };
        let entries = rows.iter().map_err(|error| self.catalog.failed(error))?;
        entries
            .map(|entry| {
                let (key, value) = entry.map_err(|error| self.catalog.failed(error))?;
                let (key, study) = (key.value(), self.catalog.decode::<Study>(key.value(), value.value())?);
                study.check().map_err(|error| self.catalog.broken(key, error.to_string()))?;
                let named = study.name == key;
                if named {
                    Ok(study)
                } else {
                    Err(self.catalog.broken(key, "it has another name".to_owned()))
                }
            })
            .collect()
    }

    /// The study of a name.
    pub(crate) fn study(&self, name: &str) -> Result<Study, StoreError> {
        let mut studies = self.studies()?;
        if let Some(at) = studies.iter().position(|study| study.name == name) {
            return Ok(studies.swap_remove(at));
        }
        let known = studies.into_iter().map(|study| study.name).collect();
        Err(StoreError::Unknown { kind: "study", name: name.to_owned(), known })
    }

    /// The runs of a study by variation and seed.
    pub(crate) fn study_runs(&self, name: &str) -> Result<Vec<StudyRun>, StoreError> {
        let study = self.study(name)?;
        let Some(rows) = self.later_table(STUDY_RUNS)? else { return Ok(Vec::new()) };
        let entries = rows.range((name, "", 0)..).map_err(|error| self.catalog.failed(error))?;
        let mut runs = Vec::new();
        for entry in entries {
            let (key, value) = entry.map_err(|error| self.catalog.failed(error))?;
            if key.value().0 != name {
                break;
            }
            runs.push(self.study_run(&study, key.value(), value.value())?);
        }
        runs.sort_by(|a, b| (&a.variation, a.seed).cmp(&(&b.variation, b.seed)));
        Ok(runs)
    }

    /// A run's record, which must agree with its key and its study.
    fn study_run(&self, study: &Study, key: RunKey<'_>, bytes: &[u8]) -> Result<StudyRun, StoreError> {
        let name = run_key(key);
        let run: StudyRun = self.catalog.decode(&name, bytes)?;
        run.check(study).map_err(|error| self.catalog.broken(&name, error.to_string()))?;
        let agrees = (run.study.as_str(), run.variation.to_string().as_str(), run.seed) == key;
        if agrees { Ok(run) } else { Err(self.catalog.broken(&name, "it is another run".to_owned())) }
    }

    /// Reads every study and every run, each of which must have a study.
    pub(crate) fn check_studies(&self) -> Result<(), StoreError> {
        let studies = self.studies()?;
        let Some(rows) = self.later_table(STUDY_RUNS)? else { return Ok(()) };
        for entry in rows.iter().map_err(|error| self.catalog.failed(error))? {
            let (key, value) = entry.map_err(|error| self.catalog.failed(error))?;
            let key = key.value();
            let lost = || self.catalog.broken(&run_key(key), "its study is missing".to_owned());
            let study = studies.iter().find(|study| study.name == key.0).ok_or_else(lost)?;
            self.study_run(study, key, value.value())?;
        }
        Ok(())
    }

    /// A table that stores have since they hold studies; whoever writes the first one makes it.
    fn later_table<K: Key + 'static>(
        &self,
        table: TableDefinition<'_, K, &'static [u8]>,
    ) -> Result<Option<ReadOnlyTable<K, &'static [u8]>>, StoreError> {
        match self.transaction.open_table(table) {
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            table => table.map(Some).map_err(|error| self.catalog.failed(error)),
        }
    }
}

impl CatalogWrite<'_> {
    pub(crate) fn put_study(&self, study: &Study) -> Result<(), StoreError> {
        self.put(STUDIES, &study.name, study)
    }

    pub(crate) fn put_study_run(&self, run: &StudyRun) -> Result<(), StoreError> {
        let variation = run.variation.to_string();
        let key = (run.study.as_str(), variation.as_str(), run.seed);
        let bytes = encode(&run_key(key), run);
        let mut table =
            self.transaction.open_table(STUDY_RUNS).map_err(|error| self.catalog.failed(error))?;
        table.insert(key, bytes.as_slice()).map_err(|error| self.catalog.failed(error))?;
        Ok(())
    }

    /// Forgets a study and its `runs`.
    pub(crate) fn remove_study(&self, name: &str, runs: &[StudyRun]) -> Result<(), StoreError> {
        let mut table = self.transaction.open_table(STUDIES).map_err(|error| self.catalog.failed(error))?;
        table.remove(name).map_err(|error| self.catalog.failed(error))?;
        let mut table =
            self.transaction.open_table(STUDY_RUNS).map_err(|error| self.catalog.failed(error))?;
        for run in runs {
            let variation = run.variation.to_string();
            let key = (name, variation.as_str(), run.seed);
            table.remove(key).map_err(|error| self.catalog.failed(error))?;
        }
        Ok(())
    }
}

/// Study, variation in words, seed.
type RunKey<'a> = (&'a str, &'a str, u64);

/// The key of a run as text.
fn run_key((study, variation, seed): RunKey<'_>) -> String {
    format!("{study}/{variation}/{seed}")
}
