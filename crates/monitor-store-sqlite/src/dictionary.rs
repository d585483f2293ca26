//! Stores each text, site and origin once: rows have small keys, and separate tables have the values.

use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::{HashMap, HashSet};
use monitor_store::ProcessesQuery;
use monitor_store::packed::Ending;
use monitor_store::shape::shape;
use monitor_wire::{Error, ErrorKind, Kind, Source, WorkerId};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Result, Row, params};
use serde::{Deserialize, Serialize};

use super::expected::{self, Expected};
use super::ids;

/// Approximate maximum size of the writer's dictionary in bytes.
pub(super) const MAX_BYTES: usize = 32 << 20;
/// Approximate maximum size of a reader's dictionary in bytes.
pub(super) const MAX_READER_BYTES: usize = 8 << 20;

/// A cache of keys and values. Entries never change once they are committed.
#[derive(Default)]
pub(super) struct Dictionary {
    texts: HashMap<i64, Arc<str>>,
    /// Keys of texts, with true if the text is searchable.
    text_keys: HashMap<Arc<str>, (i64, bool)>,
    sites: HashMap<i64, Arc<Site>>,
    site_keys: HashMap<(i64, i64, i64, i64), i64>,
    origins: HashMap<i64, Origin>,
    origin_keys: HashMap<Origin, i64>,
    workers: HashMap<i64, WorkerId>,
    endings: HashMap<Arc<Ending>, EndingKeys>,
    endings_by_keys: HashMap<EndingKeys, Arc<Ending>>,
    errors_by_keys: HashMap<(i64, i64), Arc<Error>>,
    /// Time spent on the full-text index since the last call of [`Dictionary::take_full_text`].
    full_text: Duration,
    /// Keys of the shapes of messages, by the keys of the messages.
    shapes: HashMap<i64, i64>,
    expected: HashMap<i64, (Instant, Option<Expected>)>,
    bytes: usize,
    /// Keys that were looked up, if they are recorded.
    touched: Option<Touched>,
}

/// Keys that rows may refer to since a search for unused rows began.
#[derive(Default)]
pub(super) struct Touched {
    pub texts: HashSet<i64>,
    pub origins: HashSet<i64>,
}

/// Where a process ran, as keys. A key is 0 if there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Origin {
    worker: i64,
    thread: i64,
    /// The worker that numbered the events, if it is another one.
    relay: i64,
}

/// Name, kind and source location of processes.
#[derive(Debug)]
pub(super) struct Site {
    pub name_key: i64,
    pub name: Arc<str>,
    pub kind: Kind,
    /// The kind's key, if it is a rare kind.
    pub rare_kind: Option<i64>,
    pub source: Option<Source>,
}

/// Key of the message of an end's error, if it has one, and key of all other data of the end except its outcome.
pub(super) type EndingKeys = (Option<i64>, i64);

/// Data of an end except its outcome and the message of its error. A program has few different values of it.
#[derive(Serialize, Deserialize)]
struct Rest {
    #[serde(flatten)]
    error: Option<Cause>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// An error without its message.
#[derive(Serialize, Deserialize)]
struct Cause {
    kind: ErrorKind,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    type_name: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    chain: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<Source>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tail: Option<String>,
}

impl Dictionary {
    /// Empties the dictionary if it is too large. Must not be called within a transaction or query.
    pub(super) fn trim(&mut self, max_bytes: usize) {
        if self.bytes > max_bytes {
            self.forget();
        }
    }

    /// Empties the dictionary, except for the recorded keys.
    pub(super) fn forget(&mut self) {
        *self = Self { touched: self.touched.take(), ..Self::default() };
    }

    /// Empties the dictionary, and starts or stops recording the keys that are looked up.
    pub(super) fn note_touched(&mut self, is_wanted: bool) {
        *self = Self { touched: is_wanted.then(Touched::default), ..Self::default() };
    }

    /// Returns the recorded keys; `None` if they are not recorded.
    pub(super) fn touched(&self) -> Option<&Touched> {
        self.touched.as_ref()
    }

    /// Returns the expected durations of processes of this name. Cached values are used for [`expected::VALID`].
    pub(super) fn expected(&mut self, connection: &Connection, name: i64) -> Result<Option<Expected>> {
        if let Some((at, expected)) = self.expected.get(&name)
            && at.elapsed() < expected::VALID
        {
            return Ok(*expected);
        }
        let expected = Expected::of(connection, name)?;
        self.bytes += 64;
        self.expected.insert(name, (Instant::now(), expected));
        Ok(expected)
    }

    /// Returns the time spent on the full-text index since the last call.
    pub(super) fn take_full_text(&mut self) -> Duration {
        std::mem::take(&mut self.full_text)
    }

    pub(super) fn text(&mut self, connection: &Connection, key: i64) -> Result<Arc<str>> {
        if let Some(text) = self.texts.get(&key) {
            return Ok(text.clone());
        }
        let sql = "SELECT value, found FROM text WHERE id = ?1";
        let (text, found): (String, bool) = connection.prepare_cached(sql)?.query_row([key], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let text = Arc::from(text);
        self.remember_text(key, &text, found);
        Ok(text)
    }

    /// Returns the key of a text; `None` if it is not stored.
    pub(super) fn find_text(&mut self, connection: &Connection, text: &str) -> Result<Option<i64>> {
        Ok(self.find(connection, text)?.map(|(key, _)| key))
    }

    fn find(&mut self, connection: &Connection, text: &str) -> Result<Option<(i64, bool)>> {
        if let Some(known) = self.text_keys.get(text) {
            return Ok(Some(*known));
        }
        let sql = "SELECT id, found FROM text WHERE hash = ?1 AND value = ?2";
        let mut statement = connection.prepare_cached(sql)?;
        let found = statement.query_row(params![hash(text), text], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        if let Some((key, found)) = found {
            self.remember_text(key, &Arc::from(text), found);
        }
        Ok(found)
    }

    /// Returns the key of a text. Inserts the text if it is not stored.
    pub(super) fn text_key(&mut self, connection: &Connection, text: &str) -> Result<i64> {
        match self.find(connection, text)? {
            Some((key, _)) => Ok(key),
            None => self.add(connection, text, false),
        }
    }

    /// Returns the key of a text. Inserts the text if it is not stored, and adds it to the full-text index if it is not searchable yet.
    pub(super) fn searched_key(&mut self, connection: &Connection, text: &str) -> Result<i64> {
        let key = match self.find(connection, text)? {
            Some((key, true)) => return Ok(key),
            Some((key, false)) => {
                connection.prepare_cached("UPDATE text SET found = 1 WHERE id = ?1")?.execute([key])?;
                self.remember_text(key, &Arc::from(text), true);
                key
            }
            None => self.add(connection, text, true)?,
        };
        let begin = Instant::now();
        connection.prepare_cached("INSERT INTO text_parts(rowid, value) VALUES(?1, ?2)")?.execute(params![key, text])?;
        self.full_text += begin.elapsed();
        Ok(key)
    }

    fn add(&mut self, connection: &Connection, text: &str, found: bool) -> Result<i64> {
        let sql = "INSERT INTO text(hash, value, found) VALUES(?1, ?2, ?3)";
        connection.prepare_cached(sql)?.execute(params![hash(text), text, found])?;
        let key = connection.last_insert_rowid();
        self.remember_text(key, &Arc::from(text), found);
        Ok(key)
    }

    fn remember_text(&mut self, key: i64, text: &Arc<str>, found: bool) {
        self.bytes += text.len() + 96;
        if let Some(touched) = &mut self.touched {
            touched.texts.insert(key);
        }
        self.texts.insert(key, text.clone());
        self.text_keys.insert(text.clone(), (key, found));
    }

    pub(super) fn site(&mut self, connection: &Connection, key: i64) -> Result<Arc<Site>> {
        if let Some(site) = self.sites.get(&key) {
            return Ok(site.clone());
        }
        let (name_key, kind_key, file, line) = connection
            .prepare_cached("SELECT name, kind, file, line FROM site WHERE id = ?1")?
            .query_row([key], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?, row.get(3)?)))?;
        let source = if file == 0 { None } else { Some(Source { file: self.text(connection, file)?.to_string(), line }) };
        let kind = Kind::from(&*self.text(connection, kind_key)?);
        let rare_kind = (!ProcessesQuery::NUMEROUS.contains(&kind)).then_some(kind_key);
        let site = Arc::new(Site { name_key, name: self.text(connection, name_key)?, kind, rare_kind, source });
        self.bytes += 192;
        self.sites.insert(key, site.clone());
        Ok(site)
    }

    pub(super) fn site_key(&mut self, connection: &Connection, name: &str, kind: &Kind, source: Option<&Source>) -> Result<i64> {
        let (file, line) = match source {
            Some(source) => (self.text_key(connection, &source.file)?, i64::from(source.line)),
            None => (0, 0),
        };
        let site = (self.searched_key(connection, name)?, self.text_key(connection, kind.as_str())?, file, line);
        if let Some(key) = self.site_keys.get(&site) {
            return Ok(*key);
        }
        let values = params![site.0, site.1, site.2, site.3];
        let select = "SELECT id FROM site WHERE name = ?1 AND kind = ?2 AND file = ?3 AND line = ?4";
        let insert = "INSERT INTO site(name, kind, file, line) VALUES(?1, ?2, ?3, ?4)";
        let key = find_or_insert(connection, select, insert, values)?;
        self.bytes += 64;
        self.site_keys.insert(site, key);
        Ok(key)
    }

    /// Returns the key of the worker and, if it is known, the name of the thread.
    pub(super) fn origin(&mut self, connection: &Connection, key: i64) -> Result<(i64, Option<Arc<str>>)> {
        let Origin { worker, thread, .. } = self.stored_origin(connection, key)?;
        let thread = if thread == 0 { None } else { Some(self.text(connection, thread)?) };
        Ok((worker, thread))
    }

    /// Returns the ids of the workers of an origin, of which the first executes the process.
    pub(super) fn origin_workers(&mut self, connection: &Connection, key: i64) -> Result<Vec<WorkerId>> {
        let Origin { worker, relay, .. } = self.stored_origin(connection, key)?;
        [worker, relay].into_iter().filter(|key| *key > 0).map(|key| self.worker_id(connection, key)).collect()
    }

    fn stored_origin(&mut self, connection: &Connection, key: i64) -> Result<Origin> {
        if let Some(origin) = self.origins.get(&key) {
            return Ok(*origin);
        }
        let mut statement = connection.prepare_cached("SELECT worker, thread, relay FROM origin WHERE id = ?1")?;
        let origin = |row: &Row<'_>| Ok(Origin { worker: row.get(0)?, thread: row.get(1)?, relay: row.get(2)? });
        let origin = statement.query_row([key], origin)?;
        self.bytes += 32;
        self.touch_origin(key);
        self.origins.insert(key, origin);
        Ok(origin)
    }

    pub(super) fn origin_key(&mut self, connection: &Connection, worker: i64, thread: Option<&str>, relay: i64) -> Result<i64> {
        let thread = thread.map_or(Ok(0), |thread| self.text_key(connection, thread))?;
        let origin = Origin { worker, thread, relay };
        if let Some(key) = self.origin_keys.get(&origin) {
            return Ok(*key);
        }
        let select = "SELECT id FROM origin WHERE worker = ?1 AND thread = ?2 AND relay = ?3";
        let insert = "INSERT INTO origin(worker, thread, relay) VALUES(?1, ?2, ?3)";
        let key = find_or_insert(connection, select, insert, params![worker, thread, relay])?;
        self.bytes += 64;
        self.touch_origin(key);
        self.origin_keys.insert(origin, key);
        Ok(key)
    }

    fn touch_origin(&mut self, key: i64) {
        if let Some(touched) = &mut self.touched {
            touched.origins.insert(key);
        }
    }

    pub(super) fn worker_id(&mut self, connection: &Connection, key: i64) -> Result<WorkerId> {
        if let Some(id) = self.workers.get(&key) {
            return Ok(*id);
        }
        let id = connection.prepare_cached("SELECT id FROM worker WHERE key = ?1")?.query_row([key], |row| ids::worker(row, 0))?;
        self.bytes += 32;
        self.workers.insert(key, id);
        Ok(id)
    }

    /// Returns the keys of an error's message and of its other data.
    pub(super) fn error_keys(&mut self, connection: &Connection, error: &Error) -> Result<(i64, i64)> {
        let (_, (_, rest)) = self.shared_ending(connection, &Ending { error: Some(error.clone()), ..Ending::default() })?;
        Ok((self.searched_key(connection, &error.message)?, rest))
    }

    /// Returns the keys of an ending and a shared copy of it. Caches both.
    pub(super) fn shared_ending(&mut self, connection: &Connection, ending: &Ending) -> Result<(Arc<Ending>, EndingKeys)> {
        if let Some((shared, keys)) = self.endings.get_key_value(ending) {
            return Ok((shared.clone(), *keys));
        }
        let Ending { error, exit_code, signal, reason } = ending.clone();
        let message = error.as_ref().map(|error| self.searched_key(connection, &error.message)).transpose()?;
        let error =
            error.map(|Error { kind, type_name, chain, source, code, tail, .. }| Cause { kind, type_name, chain, source, code, tail });
        let rest = serde_json::to_string(&Rest { error, exit_code, signal, reason }).expect("plain data with text keys is JSON");
        let keys = (message, self.text_key(connection, &rest)?);
        let shared = Arc::new(ending.clone());
        self.bytes += 256 + monitor_store::packed::size::ending(ending);
        self.endings.insert(shared.clone(), keys);
        self.endings_by_keys.insert(keys, shared.clone());
        Ok((shared, keys))
    }

    /// Returns the key of a message's shape, given the key of the message.
    pub(super) fn shape_key(&mut self, connection: &Connection, message: i64) -> Result<i64> {
        if let Some(key) = self.shapes.get(&message) {
            return Ok(*key);
        }
        let text = self.text(connection, message)?;
        let key = self.text_key(connection, &shape(&text))?;
        self.bytes += 32;
        self.shapes.insert(message, key);
        Ok(key)
    }

    /// Returns the error with keys from [`Dictionary::error_keys`].
    pub(super) fn error(&mut self, connection: &Connection, keys: (i64, i64)) -> Result<Arc<Error>> {
        if let Some(error) = self.errors_by_keys.get(&keys) {
            return Ok(error.clone());
        }
        let damaged = || ids::damaged(0, Type::Text, "an error is none");
        let ending = self.ending(connection, (Some(keys.0), keys.1))?;
        let error = Arc::new(ending.error.clone().ok_or_else(damaged)?);
        self.bytes += 256 + monitor_store::packed::size::error(&error);
        self.errors_by_keys.insert(keys, error.clone());
        Ok(error)
    }

    /// Returns the ending with keys from [`Dictionary::shared_ending`].
    pub(super) fn ending(&mut self, connection: &Connection, keys: EndingKeys) -> Result<Arc<Ending>> {
        if let Some(ending) = self.endings_by_keys.get(&keys) {
            return Ok(ending.clone());
        }
        let Rest { error, exit_code, signal, reason } = ids::from_json(11, self.text(connection, keys.1)?.as_bytes())?;
        let message = keys.0.map(|message| self.text(connection, message)).transpose()?;
        let error = message.zip(error).map(|(message, cause)| {
            let Cause { kind, type_name, chain, source, code, tail } = cause;
            Error { kind, type_name, message: message.to_string(), chain, source, code, tail }
        });
        let ending = Arc::new(Ending { error, exit_code, signal, reason });
        self.bytes += 256 + monitor_store::packed::size::ending(&ending);
        self.endings_by_keys.insert(keys, ending.clone());
        Ok(ending)
    }
}

fn find_or_insert(connection: &Connection, select: &str, insert: &str, values: impl rusqlite::Params + Copy) -> Result<i64> {
    if let Some(key) = connection.prepare_cached(select)?.query_row(values, |row| row.get(0)).optional()? {
        return Ok(key);
    }
    connection.prepare_cached(insert)?.execute(values)?;
    Ok(connection.last_insert_rowid())
}

/// Returns the FNV-1a hash of a text, folded to 32 bits. Collisions are possible, so texts are compared as well. Hashes are stored in the
/// database, so this function must never change.
pub(super) fn hash(text: &str) -> i64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    i64::from((hash ^ hash >> 32) as i32)
}
