//! A Python module that is written in Rust with attributes. `script.py` calls it.

use monitor_client::{cross_process, cross_thread, in_current, normal_task, root_task};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Functions that `script.py` calls.
#[pymodule]
mod monitor_test_python {
    #[pymodule_export]
    use super::{calls_back, handle, night, square, traceparent, work};
}

/// Begins the tree and calls a Python function.
#[pyfunction]
#[root_task("night")]
fn night(body: &Bound<'_, PyAny>) -> PyResult<()> {
    body.call0().map(|_| ())
}

/// Returns the length of a text, or a Python error.
#[pyfunction]
#[normal_task]
fn handle(text: &str) -> PyResult<usize> {
    if text == "nonsense" { Err(PyValueError::new_err("nonsense can't be handled")) } else { Ok(text.len()) }
}

/// Runs on a Python thread below the process in the header. Meanwhile other Python threads may run.
#[pyfunction]
#[cross_process("work", begin)]
fn work(py: Python<'_>, text: String, traceparent: Option<String>) -> PyResult<usize> {
    py.detach(|| {
        let lengths = monitor_client::scope(|scope| {
            let half = text.len() / 2;
            let halves = [&text[..half], &text[half..]].map(|half| scope.spawn(move || part(half)));
            halves.map(|half| half.join().unwrap_or_default())
        });
        Ok(lengths.iter().sum())
    })
}

#[cross_thread]
fn part(text: &str) -> usize {
    text.len()
}

/// Calls a Python function on a Rust thread.
#[pyfunction]
#[normal_task]
fn calls_back(py: Python<'_>, function: Py<PyAny>) -> PyResult<u64> {
    let thread = std::thread::spawn(in_current(move || Python::attach(|py| function.call1(py, (4,))?.extract(py))));
    py.detach(|| thread.join()).unwrap_or_else(|_| Err(PyValueError::new_err("the thread panicked")))
}

/// Called by a Python function that Rust has called.
#[pyfunction]
#[normal_task]
fn square(number: u64) -> u64 {
    number * number
}

/// The header `traceparent` of the current process, for another Python thread.
#[pyfunction]
fn traceparent() -> Option<String> {
    monitor_client::traceparent()
}
