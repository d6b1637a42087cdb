//! Rows of an answer as an Arrow stream.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use arrow::array::{RecordBatch, RecordBatchIterator, RecordBatchReader};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ffi::FFI_ArrowSchema;
use arrow::ffi_stream::FFI_ArrowArrayStream;
use pyo3::types::PyCapsule;
use pyo3::{Bound, Py, PyAny, PyErr, PyResult, Python, pyclass, pymethods};
use vestore::{Answer, QuestionError};

use crate::error::Raise;
use crate::fork;

/// How long Ctrl-C waits for a batch.
const PATIENCE: Duration = Duration::from_millis(50);

/// The error that ended a stream: Arrow's consumers keep of it only the text.
type Failure = Arc<Mutex<Option<PyErr>>>;

/// Rows of an answer, of one moment of the store. Each stream reads them anew.
#[pyclass(frozen, module = "vestore._native")]
pub(crate) struct Rows {
    answer: Arc<Answer>,
    failure: Failure,
}

impl Rows {
    pub(crate) fn new(answer: Answer) -> Self {
        Self { answer: Arc::new(answer), failure: Failure::default() }
    }
}

#[pymethods]
impl Rows {
    /// The rows, as Arrow's interface of capsules says.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // Who wants another schema casts; the interface allows to return one's own.
        drop(requested_schema);
        let reader =
            Reader { answer: Arc::clone(&self.answer), batches: None, failure: Arc::clone(&self.failure) };
        let stream = FFI_ArrowArrayStream::new(Box::new(reader));
        PyCapsule::new_with_value(py, stream, c"arrow_array_stream")
    }

    /// Their schema, as Arrow's interface of capsules says.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        let schema = FFI_ArrowSchema::try_from(self.answer.schema().as_ref()).raise()?;
        PyCapsule::new_with_value(py, schema, c"arrow_schema")
    }

    /// Names of their columns.
    fn columns(&self) -> Vec<String> {
        self.answer.schema().fields().iter().map(|field| field.name().clone()).collect()
    }

    /// How many there are.
    fn count(&self, py: Python<'_>) -> PyResult<u64> {
        py.detach(|| fork::with_threads(|| self.answer.count())).raise()?.raise()
    }

    /// The error that ended a stream, once.
    fn take_failure(&self) -> Option<PyErr> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Rows that are in memory, with what people can ask of [`Rows`].
#[pyclass(frozen, module = "vestore._native")]
pub(crate) struct Table {
    batch: RecordBatch,
}

impl Table {
    pub(crate) fn new(batch: RecordBatch) -> Self {
        Self { batch }
    }
}

#[pymethods]
impl Table {
    /// The rows, as Arrow's interface of capsules says.
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        drop(requested_schema);
        let batches = RecordBatchIterator::new([Ok(self.batch.clone())], self.batch.schema());
        PyCapsule::new_with_value(py, FFI_ArrowArrayStream::new(Box::new(batches)), c"arrow_array_stream")
    }

    /// Their schema, as Arrow's interface of capsules says.
    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        let schema = FFI_ArrowSchema::try_from(self.batch.schema().as_ref()).raise()?;
        PyCapsule::new_with_value(py, schema, c"arrow_schema")
    }

    /// Names of their columns.
    fn columns(&self) -> Vec<String> {
        self.batch.schema().fields().iter().map(|field| field.name().clone()).collect()
    }

    /// How many there are.
    fn count(&self) -> usize {
        self.batch.num_rows()
    }

    /// Nothing fails any more.
    #[expect(clippy::unused_self, reason = "a method, as that of `Rows`")]
    fn take_failure(&self) -> Option<PyErr> {
        None
    }
}

type Batch = Result<RecordBatch, QuestionError>;

/// Reads an answer on a thread of its own, a batch ahead of who takes them: so reading and what becomes of the rows
/// overlap, and Ctrl-C ends waiting at once.
struct Reader {
    answer: Arc<Answer>,
    /// None before the first batch is asked for.
    batches: Option<Receiver<Batch>>,
    failure: Failure,
}

impl Reader {
    fn start(&self) -> io::Result<Receiver<Batch>> {
        let (sender, receiver) = sync_channel(1);
        let answer = Arc::clone(&self.answer);
        Builder::new().name("vestore".to_owned()).spawn(move || {
            let failed = sender.clone();
            let read = move || {
                let rows = match answer.rows(|_| {}) {
                    Ok(rows) => rows,
                    Err(error) => return drop(sender.send(Err(error))),
                };
                for batch in rows {
                    // Who asked may have had enough.
                    if sender.send(batch.map_err(QuestionError::from)).is_err() {
                        return;
                    }
                }
            };
            if let Err(error) = fork::with_threads(read) {
                let error = QuestionError::Store(vestore::StoreError::Io {
                    action: "start threads for",
                    path: "a forked process".into(),
                    reason: io::Error::other(error),
                });
                drop(failed.send(Err(error)));
            }
        })?;
        Ok(receiver)
    }

    /// The next batch; whoever holds the lock of Python's interpreter lets go of it meanwhile.
    fn wait(&mut self) -> PyResult<Option<RecordBatch>> {
        if self.batches.is_none() {
            self.batches = Some(self.start().raise()?);
        }
        let Some(batches) = &mut self.batches else { return Ok(None) };
        Python::attach(|py| {
            loop {
                let batches = &mut *batches;
                let received = py.detach(move || batches.recv_timeout(PATIENCE));
                py.check_signals()?;
                match received {
                    Ok(batch) => return batch.raise().map(Some),
                    Err(RecvTimeoutError::Disconnected) => return Ok(None),
                    Err(RecvTimeoutError::Timeout) => {}
                }
            }
        })
    }
}

impl Iterator for Reader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.wait().transpose().map(|batch| {
            batch.map_err(|error| {
                let text = Python::attach(|py| error.value(py).to_string());
                *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                // The thread ends with the channel.
                self.batches = Some(sync_channel(1).1);
                ArrowError::ExternalError(text.into())
            })
        })
    }
}

impl RecordBatchReader for Reader {
    fn schema(&self) -> SchemaRef {
        SchemaRef::clone(self.answer.schema())
    }
}
