//! Stores.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::str::FromStr;

use pyo3::{PyResult, Python, pyclass, pymethods};
use serde_json::to_string;
use vestore::{
    Answer, Compared, Filter, Nearness, Places, Question, RefMismatch, Report, SimilarOptions, SortKey,
    ViewOptions, open_variants,
};
use vestore_schema::Table;

use crate::error::{Raise, VestoreError};
use crate::fork;
use crate::rows::{Rows, Table as InMemory};
use crate::view::View;

/// A store that is read.
#[pyclass(frozen, module = "vestore._native")]
pub(crate) struct Store {
    store: vestore::Store,
}

#[pymethods]
impl Store {
    #[new]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        last_committed: bool,
        reference: Option<PathBuf>,
    ) -> PyResult<Self> {
        let open = if last_committed { vestore::Store::open_last_committed } else { vestore::Store::open };
        let mut store = py.detach(|| open(&path)).raise()?;
        if let Some(reference) = reference {
            store.read_reference_from(&reference);
        }
        Ok(Self { store })
    }

    /// Models, as JSON.
    fn models(&self, py: Python<'_>) -> PyResult<String> {
        to_string(&py.detach(|| self.store.snapshot()).raise()?.models).raise()
    }

    /// Tracks, as JSON.
    fn tracks(&self, py: Python<'_>) -> PyResult<String> {
        to_string(&py.detach(|| self.store.snapshot()).raise()?.tracks).raise()
    }

    /// Runs, as JSON.
    fn runs(&self, py: Python<'_>) -> PyResult<String> {
        to_string(&py.detach(|| self.store.runs()).raise()?).raise()
    }

    /// Contigs of the reference, as JSON.
    fn contigs(&self) -> PyResult<String> {
        to_string(&self.store.assembly().contigs).raise()
    }

    /// What the store holds, as JSON.
    fn info(&self, py: Python<'_>) -> PyResult<String> {
        Ok(py.detach(|| self.store.summary()).raise()?.to_string())
    }

    /// The files of the rows of scores that are committed now, with their tracks.
    fn score_files(&self, py: Python<'_>) -> PyResult<Vec<(String, PathBuf)>> {
        let segments = py.detach(|| self.store.all_segments()).raise()?;
        let scores = segments.into_iter().filter(|segment| segment.table == Table::Scores);
        Ok(scores.map(|segment| (segment.track.clone(), self.store.root().join(segment.path()))).collect())
    }

    /// Rows, and remarks on the files that were read for the question. `texts` are regions and variants; none of
    /// `texts`, `bed` and `file` means all rows.
    #[expect(clippy::too_many_arguments, reason = "each is an argument of Python's")]
    fn rows(
        &self,
        py: Python<'_>,
        table: &str,
        texts: Option<Vec<String>>,
        bed: Option<PathBuf>,
        file: Option<PathBuf>,
        ref_mismatch: &str,
        models: Vec<String>,
        tracks: Vec<String>,
        condition: Option<&str>,
        wide: bool,
        columns: Vec<String>,
        targets: Vec<String>,
        top: Option<usize>,
        sort: Vec<String>,
        limit: Option<usize>,
    ) -> PyResult<(Rows, Vec<String>)> {
        let policy = policy(ref_mismatch)?;
        let filter = condition.map(Filter::parse).transpose().raise()?;
        let sort = sort.iter().map(|key| SortKey::from_str(key)).collect::<Result<Vec<_>, _>>().raise()?;
        let table = named(table)?;
        let mut remarks = Vec::new();
        let mut note = |report: &Report| {
            remarks.extend(report.warnings.iter().cloned());
            if report.has_rejected() {
                remarks.push(report.summary().trim_end().to_owned());
            }
        };
        let file = py.detach(|| file.as_deref().map(open_variants).transpose()).raise()?;
        let places = py
            .detach(|| {
                let mut places = Places { asked: texts.is_some(), ..Places::default() };
                for text in texts.iter().flatten() {
                    places.add(&self.store, text)?;
                }
                if let Some(bed) = &bed {
                    note(&places.add_bed(&self.store, bed)?);
                }
                if let Some(file) = file {
                    note(&places.add_file(&self.store, file, policy)?);
                }
                Ok::<_, vestore::PlacesError>(places)
            })
            .raise()?;
        let question =
            Question { places, models, tracks, table, filter, wide, columns, targets, top, sort, limit };
        let answer = py.detach(|| Answer::new(&self.store, question)).raise()?;
        Ok((Rows::new(answer), remarks))
    }

    /// The page of the places `texts`, and remarks on how it was made.
    #[expect(clippy::too_many_arguments, reason = "each is an argument of Python's")]
    fn view(
        &self,
        py: Python<'_>,
        texts: Vec<String>,
        tracks: Vec<String>,
        scores: Vec<String>,
        labels: Option<PathBuf>,
        genes: Option<PathBuf>,
        ref_mismatch: &str,
    ) -> PyResult<(View, Vec<String>)> {
        let ref_mismatch = policy(ref_mismatch)?;
        let view = py.detach(|| {
            let mut places = Places { asked: true, ..Places::default() };
            texts.iter().try_for_each(|text| places.add(&self.store, text)).raise()?;
            let options = ViewOptions { places, tracks, scores, labels, genes, ref_mismatch };
            fork::with_threads(|| vestore::View::new(&self.store, &options)).raise()?.raise()
        })?;
        let remarks = view.remarks.clone();
        Ok((View { view }, remarks))
    }

    /// Figures on how `column` differs between two tracks, as JSON.
    fn diff(
        &self,
        py: Python<'_>,
        first: &str,
        second: &str,
        column: &str,
        regions: Vec<String>,
    ) -> PyResult<String> {
        let regions = py.detach(|| Places::regions(&self.store, &regions)).raise()?;
        let diff = || fork::with_threads(|| vestore::diff(&self.store, [first, second], column, &regions));
        to_string(&py.detach(diff).raise()?.raise()?).raise()
    }

    /// The variants whose embeddings are nearest to that of `variant`, and remarks on the labels.
    #[expect(clippy::too_many_arguments, reason = "each is an argument of Python's")]
    fn similar(
        &self,
        py: Python<'_>,
        variant: &str,
        track: Option<String>,
        top: usize,
        by: &str,
        metric: &str,
        labels: Option<(PathBuf, String)>,
    ) -> PyResult<(InMemory, Vec<String>)> {
        let by = one_of("by", by, &Compared::ALL, Compared::as_str)?;
        let metric = one_of("metric", metric, &Nearness::ALL, Nearness::as_str)?;
        let mut places = Places::default();
        py.detach(|| places.add(&self.store, variant)).raise()?;
        let [one] = places.variants.as_slice() else {
            return Err(VestoreError::new_err(format!(
                "not one variant: `{variant}`; expected for example `17-43044295-G-A`"
            )));
        };
        let options = SimilarOptions { track, by, metric, top, labels };
        let found = || fork::with_threads(|| vestore::similar(&self.store, one, &options));
        let found = py.detach(found).raise()?.raise()?;
        Ok((InMemory::new(found.rows), found.warnings))
    }

    /// The folder or address of the store, as text: Python's paths make one slash of two.
    #[getter]
    fn path(&self) -> &OsStr {
        self.store.root().as_os_str()
    }
}

fn named(table: &str) -> PyResult<Table> {
    let all = [Table::Scores, Table::Embeddings, Table::Ablation, Table::GeneEffects, Table::Effects];
    all.into_iter()
        .find(|one| one.as_str() == table)
        .ok_or_else(|| VestoreError::new_err(format!("unknown table `{table}`")))
}

fn one_of<T: Copy>(argument: &str, text: &str, all: &[T], name: fn(T) -> &'static str) -> PyResult<T> {
    all.iter().copied().find(|one| name(*one) == text).ok_or_else(|| {
        let known = all.iter().map(|one| name(*one)).collect::<Vec<_>>().join(", ");
        VestoreError::new_err(format!("unknown {argument} `{text}`; expected one of {known}"))
    })
}

fn policy(name: &str) -> PyResult<RefMismatch> {
    RefMismatch::ALL.into_iter().find(|policy| policy.as_str() == name).ok_or_else(|| {
        let known = RefMismatch::ALL.map(RefMismatch::as_str).join(", ");
        VestoreError::new_err(format!("unknown ref_mismatch `{name}`; expected one of {known}"))
    })
}
