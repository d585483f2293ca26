//! Conversion of ids and words to columns.

use monitor_store::packed::PlainOutcome;
use monitor_wire::{Phase, ProcessId, RootId, State, WorkerId, WorkerState};
use rusqlite::types::Type;
use rusqlite::{Connection, Error, Result, Row};

use super::dictionary::Dictionary;

/// Returns a process id with its top bit inverted, so that `SQLite` sorts it as an unsigned number.
pub(super) fn process_key(id: ProcessId) -> i64 {
    process_key_of(id.get())
}

/// Like [`process_key`], for a number that need not be an id.
pub(super) fn process_key_of(id: u64) -> i64 {
    (id ^ (1 << 63)) as i64
}

/// Returns the id for a key from [`process_key`].
pub(super) fn process_id(key: i64) -> Result<ProcessId> {
    ProcessId::new(key as u64 ^ (1 << 63)).ok_or_else(|| damaged(0, Type::Integer, "a process id is zero"))
}

pub(super) fn root_key(id: RootId) -> [u8; 16] {
    id.get().to_be_bytes()
}

pub(super) fn root(row: &Row<'_>, column: usize) -> Result<RootId> {
    RootId::new(u128::from_be_bytes(row.get(column)?)).ok_or_else(|| damaged(column, Type::Blob, "a root id is zero"))
}

/// Returns the first and the last id that begin with these hex digits; `None` if there are fewer than four.
pub(super) fn root_keys_from(digits: &str) -> Option<([u8; 16], [u8; 16])> {
    let is_hex = (4..=32).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let bounds = |fill: &str| u128::from_str_radix(&format!("{digits}{}", fill.repeat(32 - digits.len())), 16).ok();
    let (first, last) = Some(()).filter(|()| is_hex).and_then(|()| bounds("0").zip(bounds("f")))?;
    Some((first.to_be_bytes(), last.to_be_bytes()))
}

pub(super) fn worker_key(id: WorkerId) -> [u8; 16] {
    id.get().to_be_bytes()
}

pub(super) fn worker(row: &Row<'_>, column: usize) -> Result<WorkerId> {
    WorkerId::new(u128::from_be_bytes(row.get(column)?)).ok_or_else(|| damaged(column, Type::Blob, "a worker id is zero"))
}

/// Returns the error of a row that this program can't have written.
pub(super) fn damaged(column: usize, kind: Type, what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::FromSqlConversionFailure(column, kind, what.into())
}

/// Reads JSON that this program wrote.
pub(super) fn from_json<T: serde::de::DeserializeOwned>(column: usize, json: &[u8]) -> Result<T> {
    serde_json::from_slice(json).map_err(|error| damaged(column, Type::Blob, error))
}

/// Writes plain data as JSON.
pub(super) fn to_json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain data with text keys is JSON")
}

/// Codes of the states that every build knows. They are stored in the database, so they never change.
pub(super) mod code {
    pub(in super::super) const SUCCEEDED: i64 = 0;
    pub(in super::super) const RUNNING: i64 = 1;
    pub(in super::super) const PENDING: i64 = 2;
    pub(in super::super) const FAILED: i64 = 3;
    pub(in super::super) const CANCELLED: i64 = 4;
    pub(in super::super) const LOST: i64 = 5;
    pub(in super::super) const RETRYING: i64 = 6;
}

/// States by their codes.
const STATES: [State; 7] =
    [State::SUCCEEDED, State::RUNNING, State::PENDING, State::FAILED, State::CANCELLED, State::LOST, State::RETRYING];

/// Number of states with a count in a column of its own, the first in [`STATES`]. All others are counted together.
pub(super) const KNOWN_STATES: usize = 6;

/// Returns the outcome of a plain process, by the code of its state.
pub(super) fn plain_outcome(code: i64) -> Option<PlainOutcome> {
    match code {
        code::SUCCEEDED => Some(PlainOutcome::Succeeded),
        code::FAILED => Some(PlainOutcome::Failed),
        code::CANCELLED => Some(PlainOutcome::Cancelled),
        _ => None,
    }
}

/// Returns the code of a state that every build knows; `None` for another state.
pub(super) fn known_code(state: &State) -> Option<i64> {
    STATES.iter().position(|known| known == state).map(|code| code as i64)
}

/// First code of states that this build doesn't know. The key of the state's text is added to it.
const FIRST_OTHER: i64 = 16;

/// Returns the code of a state. Inserts the text of an unknown state.
pub(super) fn state_code(connection: &Connection, dictionary: &mut Dictionary, state: &State) -> Result<i64> {
    code_of(connection, dictionary, known_code(state), state.as_str())
}

/// Returns the code of a state; `None` if no row can have it.
pub(super) fn find_state_code(connection: &Connection, dictionary: &mut Dictionary, state: &State) -> Result<Option<i64>> {
    find_code(connection, dictionary, known_code(state), state.as_str())
}

/// Phases of queue tasks by their codes. They are stored in the database, so they never change.
const PHASES: [&str; 10] =
    ["sent", "received", "started", "succeeded", "failed", "retried", "requeued", "rejected", "revoked", "cancelled"];

fn known_phase(phase: &Phase) -> Option<i64> {
    PHASES.iter().position(|known| *known == phase.as_str()).map(|code| code as i64)
}

/// Returns the code of a phase. Inserts the text of an unknown phase.
pub(super) fn phase_code(connection: &Connection, dictionary: &mut Dictionary, phase: &Phase) -> Result<i64> {
    code_of(connection, dictionary, known_phase(phase), phase.as_str())
}

/// Returns the code of a phase; `None` if no row can have it.
pub(super) fn find_phase_code(connection: &Connection, dictionary: &mut Dictionary, phase: &Phase) -> Result<Option<i64>> {
    find_code(connection, dictionary, known_phase(phase), phase.as_str())
}

fn code_of(connection: &Connection, dictionary: &mut Dictionary, known: Option<i64>, word: &str) -> Result<i64> {
    known.map_or_else(|| Ok(FIRST_OTHER + dictionary.text_key(connection, word)?), Ok)
}

fn find_code(connection: &Connection, dictionary: &mut Dictionary, known: Option<i64>, word: &str) -> Result<Option<i64>> {
    if known.is_some() { Ok(known) } else { Ok(dictionary.find_text(connection, word)?.map(|key| FIRST_OTHER + key)) }
}

/// Returns the SQL expression for the text of a state, from the column `state` of `table`.
pub(super) fn state_text(table: &str) -> String {
    let known: Vec<_> = STATES.iter().enumerate().map(|(code, state)| format!("WHEN {code} THEN '{state}'")).collect();
    format!("CASE {table}.state {} ELSE (SELECT value FROM text WHERE text.id = {table}.state - {FIRST_OTHER}) END", known.join(" "))
}

pub(super) fn state(connection: &Connection, dictionary: &mut Dictionary, code: i64) -> Result<State> {
    match STATES.get(code as usize) {
        Some(state) => Ok(state.clone()),
        None => Ok(State::from(&*dictionary.text(connection, code - FIRST_OTHER)?)),
    }
}

const WORKER_STATES: [WorkerState; 3] = [WorkerState::ONLINE, WorkerState::OFFLINE, WorkerState::LOST];

pub(super) fn worker_state_code(state: &WorkerState) -> i64 {
    WORKER_STATES.iter().position(|known| known == state).expect("a worker's state is derived here") as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_phase_has_a_code() {
        assert!(Phase::KNOWN.iter().all(|phase| known_phase(phase).is_some()));
    }

    #[test]
    fn every_code_matches_its_state() {
        for (code, state) in [
            (code::SUCCEEDED, State::SUCCEEDED),
            (code::RUNNING, State::RUNNING),
            (code::PENDING, State::PENDING),
            (code::FAILED, State::FAILED),
            (code::CANCELLED, State::CANCELLED),
            (code::LOST, State::LOST),
            (code::RETRYING, State::RETRYING),
        ] {
            assert_eq!((known_code(&state), &STATES[code as usize]), (Some(code), &state));
            assert_eq!(plain_outcome(code).map(PlainOutcome::state), Some(state).filter(|_| [0, 3, 4].contains(&code)));
        }
    }
}
