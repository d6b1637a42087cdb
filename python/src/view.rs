//! Pages that show a stretch of a store.

use std::path::PathBuf;

use pyo3::{PyResult, Python, pyclass, pymethods};
use vestore::{Output, OutputRules};

use crate::error::Raise;

/// A page.
#[pyclass(frozen, module = "vestore._native")]
pub(crate) struct View {
    pub(crate) view: vestore::View,
}

#[pymethods]
impl View {
    /// The page.
    fn html(&self, py: Python<'_>) -> PyResult<String> {
        let mut page = Vec::new();
        py.detach(|| self.view.write_page(&mut page)).raise()?;
        String::from_utf8(page).raise()
    }

    /// Writes the page to a file.
    fn save(&self, py: Python<'_>, path: PathBuf, force: bool) -> PyResult<()> {
        py.detach(|| {
            let mut output = Output::create(Some(&path), &OutputRules { force, inputs: &[] }).raise()?;
            self.view.write_page(&mut output).raise()?;
            output.finish().raise()
        })
    }

    /// The heatmap, an SVG.
    fn figure(&self, py: Python<'_>) -> String {
        py.detach(|| self.view.figure())
    }

    /// How many variants it shows, of which tracks.
    fn summary(&self) -> (usize, Vec<String>) {
        (self.view.variants(), self.view.tracks().map(str::to_owned).collect())
    }
}
