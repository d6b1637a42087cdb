//! Errors as Python exceptions.

use std::error::Error;

use pyo3::PyErr;

pyo3::create_exception!(
    vestore,
    VestoreError,
    pyo3::exceptions::PyException,
    "What is wrong, what was expected and what to do about it, in the words of the command line."
);

/// The exception for an error, with the message that the command line prints.
pub(crate) fn raised(error: &(dyn Error + 'static)) -> PyErr {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text.push_str(vestore::remedy_of(error));
    VestoreError::new_err(text)
}

/// `?` for the library's errors.
pub(crate) trait Raise<T> {
    fn raise(self) -> Result<T, PyErr>;
}

impl<T, E: Error + 'static> Raise<T> for Result<T, E> {
    fn raise(self) -> Result<T, PyErr> {
        self.map_err(|error| raised(&error))
    }
}
