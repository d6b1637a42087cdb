//! The extension of the Python package `vestore`: stores, and rows as Arrow streams. What people import is the Python
//! code in `python/vestore`.

#![expect(clippy::needless_pass_by_value, reason = "arguments come from Python, which hands over values")]

mod error;
mod fork;
mod rows;
mod store;
mod view;

/// The extension's module.
#[pyo3::pymodule(name = "_native")]
mod native {
    #[pymodule_export]
    use crate::error::VestoreError;
    #[pymodule_export]
    use crate::rows::{Rows, Table};
    #[pymodule_export]
    use crate::store::Store;
    #[pymodule_export]
    use crate::view::View;

    #[pymodule_init]
    fn init() {
        crate::fork::remember();
    }
}
