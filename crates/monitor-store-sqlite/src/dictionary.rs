//! Every text, site and origin once: small keys in the rows, the words in tables of their own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use foldhash::{HashMap, HashSet};
use monitor_store::ProcessesQuery;
use monitor_store::packed::Ending;
use monitor_store::shape::shape;
use monitor_wire::{Error, ErrorKind, Kind, Source, WorkerId};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Result, params};
use serde::{Deserialize, Serialize};

use super::expected::{self, Expected};
use super::ids;

/// At most about so many bytes are remembered by the one who writes, and by each who reads.
pub(super) const MAX_BYTES: usize = 32 << 20;
pub(super) const MAX_READER_BYTES: usize = 8 << 20;

/// Remembers what it looked up; entries never change once they are committed.
#[derive(Default)]
pub(super) struct Dictionary {
    texts: HashMap<i64, Arc<str>>,
    /// With each key, whether the text can be searched for.
    text_keys: HashMap<Arc<str>, (i64, bool)>,
    sites: HashMap<i64, Arc<Site>>,
    site_keys: HashMap<(i64, i64, i64, i64), i64>,
    origins: HashMap<i64, (i64, i64)>,
    origin_keys: HashMap<(i64, i64), i64>,
    workers: HashMap<i64, WorkerId>,
    endings: HashMap<Arc<Ending>, EndingKeys>,
    endings_by_keys: HashMap<EndingKeys, Arc<Ending>>,
    errors_by_keys: HashMap<(i64, i64), Arc<Error>>,
    /// What making texts searchable took lately.
    full_text: Duration,
    /// Keys of messages' shapes by the messages' own.
    shapes: HashMap<i64, i64>,
    expected: HashMap<i64, (Instant, Option<Expected>)>,
    bytes: usize,
    /// What was looked up since this is wanted.
    touched: Option<Touched>,
}

/// Keys of what may be referred to since a search for what is unused began.
#[derive(Default)]
pub(super) struct Touched {
    pub texts: HashSet<i64>,
    pub origins: HashSet<i64>,
}

/// What and where a process is in its program.
#[derive(Debug)]
pub(super) struct Site {
    pub name_key: i64,
    pub name: Arc<str>,
    pub kind: Kind,
    /// The kind's key, if it is a rare kind.
    pub rare_kind: Option<i64>,
    pub source: Option<Source>,
}

/// Keys of the message of an end's error, if it has one, and of all else that an end says beside its outcome.
pub(super) type EndingKeys = (Option<i64>, i64);

/// What an end says beside its outcome and its error's message: few ends of a program differ in it.
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

/// An error apart from its message.
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
    /// Forgets everything if it grew too large. Never in the middle of a transaction or query.
    pub(super) fn trim(&mut self, max_bytes: usize) {
        if self.bytes > max_bytes {
            self.forget();
        }
    }

    /// Forgets everything but what was looked up.
    pub(super) fn forget(&mut self) {
        *self = Self { touched: self.touched.take(), ..Self::default() };
    }

    /// Notes from now on what is looked up, or no longer.
    pub(super) fn note_touched(&mut self, is_wanted: bool) {
        *self = Self { touched: is_wanted.then(Touched::default), ..Self::default() };
    }

    /// What was looked up since this is wanted.
    pub(super) fn touched(&self) -> Option<&Touched> {
        self.touched.as_ref()
    }

    /// What is expected of a process of this name; as long as it is remembered, what was true a moment ago.
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

    /// What making texts searchable took since this was asked last.
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

    /// The key of a text that is there.
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

    /// The key of a text, made if need be.
    pub(super) fn text_key(&mut self, connection: &Connection, text: &str) -> Result<i64> {
        match self.find(connection, text)? {
            Some((key, _)) => Ok(key),
            None => self.add(connection, text, false),
        }
    }

    /// The key of a text that can be searched for, made if need be.
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

    /// Key of the worker and, if it is known, name of the thread.
    pub(super) fn origin(&mut self, connection: &Connection, key: i64) -> Result<(i64, Option<Arc<str>>)> {
        let (worker, thread) = if let Some(origin) = self.origins.get(&key) {
            *origin
        } else {
            let sql = "SELECT worker, thread FROM origin WHERE id = ?1";
            let origin = connection.prepare_cached(sql)?.query_row([key], |row| Ok((row.get(0)?, row.get(1)?)))?;
            self.bytes += 32;
            self.touch_origin(key);
            self.origins.insert(key, origin);
            origin
        };
        let thread = if thread == 0 { None } else { Some(self.text(connection, thread)?) };
        Ok((worker, thread))
    }

    pub(super) fn origin_key(&mut self, connection: &Connection, worker: i64, thread: Option<&str>) -> Result<i64> {
        let thread = thread.map_or(Ok(0), |thread| self.text_key(connection, thread))?;
        if let Some(key) = self.origin_keys.get(&(worker, thread)) {
            return Ok(*key);
        }
        let select = "SELECT id FROM origin WHERE worker = ?1 AND thread = ?2";
        let key = find_or_insert(connection, select, "INSERT INTO origin(worker, thread) VALUES(?1, ?2)", params![worker, thread])?;
        self.bytes += 64;
        self.touch_origin(key);
        self.origin_keys.insert((worker, thread), key);
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

    /// Keys of an error's message and of all else about it.
    pub(super) fn error_keys(&mut self, connection: &Connection, error: &Error) -> Result<(i64, i64)> {
        let (_, (_, rest)) = self.shared_ending(connection, &Ending { error: Some(error.clone()), ..Ending::default() })?;
        Ok((self.searched_key(connection, &error.message)?, rest))
    }

    /// Keys of what an end says beside its outcome, remembered, and that to share.
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

    /// Key of the shape of a message, given the message's.
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

    /// What [`Dictionary::error_keys`] has keys of.
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

    /// What [`Dictionary::shared_ending`] has keys of.
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

/// FNV-1a, folded to half its size: texts are compared anyway. It is in the file, so it may never change.
pub(super) fn hash(text: &str) -> i64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    i64::from((hash ^ hash >> 32) as i32)
}
