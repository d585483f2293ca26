//! Queries for roots.

use std::fmt::Write as _;
use std::sync::Arc;

use monitor_state::{AttemptNow, title};
use monitor_store::{RootKey, RootSort, RootsQuery};
use monitor_wire::{Counts, Error, ProcessId, Progress, Root, RootId, RootsPage, State, WorkerId};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Result, Row, params_from_iter};

use super::dictionary::Dictionary;
use super::expected::Outlook;
use super::ids::{KNOWN_STATES, code};
use super::pool::Snapshot;
use super::row::{Known, ProcessRow};
use super::{ReadError, as_of, ids};

const COLUMNS: &str = "number, id, base, last, process, own, at, name, batch, worker, state, started, ended, elapsed, error, cause, \
                       pending, running, succeeded, failed, cancelled, lost, other, pinned, heard, line, progress";
/// Microseconds of a second, the unit of the column `heard`.
pub(super) const SECOND_US: i64 = 1_000_000;

/// A row of `root`. Texts, the state and the worker are keys; times are Unix microseconds.
#[derive(Debug, Clone)]
pub(super) struct RootRow {
    pub number: i64,
    pub id: RootId,
    /// Time that the times in its rows are relative to.
    pub base_us: i64,
    /// Start of the process that started last.
    pub last_us: i64,
    /// The process whose data the root shows: its own or, while that is unknown, its earliest one.
    pub process: Option<ProcessId>,
    /// True if `process` is the root's own process.
    pub is_own: bool,
    /// True if the root's own process was started without a context. The column `own` is 2 then.
    pub is_unattached: bool,
    /// Start of `process`, as far as it is known.
    pub at_us: u64,
    pub name: i64,
    pub batch: Option<i64>,
    pub worker: Option<i64>,
    pub state: i64,
    pub started_us: Option<u64>,
    pub ended_us: Option<u64>,
    pub elapsed_ns: Option<u64>,
    pub error: Option<(i64, i64)>,
    /// Key of the line that lists show of the error, if it has more than the message.
    pub line: Option<i64>,
    /// Progress of `process`.
    pub progress: Option<Arc<Progress>>,
    /// Current attempt of `process`. It isn't stored in the row: see [`attempt_in_file`].
    pub attempt: AttemptNow,
    /// Number of processes by the code of their state. The last item counts all states without a column of their own.
    pub counts: [u64; KNOWN_STATES + 1],
    /// True if no retention rule deletes the tree.
    pub is_pinned: bool,
    /// Time at which the server received the last event of the tree. The row has it in whole seconds after the base.
    pub heard_us: i64,
    /// Greatest key of its processes, if the writer has read it.
    pub greatest: Option<i64>,
}

impl RootRow {
    /// Returns number and base, which are needed to read its processes.
    pub(super) fn place(&self) -> (i64, i64) {
        (self.number, self.base_us)
    }

    /// Returns true if `id`, which belongs to none of its processes, means the root's own process: see [`RootId::own_process`].
    pub(super) fn is_stood_for_by(&self, id: ProcessId) -> bool {
        self.is_own && self.id.own_process() == Some(id)
    }

    /// Returns the number of processes.
    pub(super) fn processes(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the number of processes in a state.
    pub(super) fn count(&mut self, code: i64) -> &mut u64 {
        &mut self.counts[(code as usize).min(KNOWN_STATES)]
    }

    /// Converts the row to the root that clients receive.
    pub(super) fn show(&self, connection: &Connection, dictionary: &mut Dictionary) -> Result<Root> {
        let words = RootWords::of(self, connection, dictionary)?;
        let outlook = match self.process.filter(|_| self.state == code::RUNNING) {
            Some(own) => Outlook::of(connection, dictionary, self.name, (self.number, ids::process_key(own)))?,
            None => Outlook::default(),
        };
        let attempt = attempt_in_file(connection, dictionary, self)?;
        Ok(words.root(&Self { attempt, ..self.clone() }, outlook))
    }
}

/// Values that the keys in a root's row refer to.
pub(super) struct RootWords {
    pub name: Arc<str>,
    pub batch: Option<Arc<str>>,
    pub worker: Option<WorkerId>,
    pub state: State,
    pub error: Option<Arc<Error>>,
}

impl RootWords {
    pub(super) fn of(row: &RootRow, connection: &Connection, dictionary: &mut Dictionary) -> Result<Self> {
        Ok(Self {
            name: dictionary.text(connection, row.name)?,
            batch: row.batch.map(|batch| dictionary.text(connection, batch)).transpose()?,
            worker: row.worker.map(|worker| dictionary.worker_id(connection, worker)).transpose()?,
            state: ids::state(connection, dictionary, row.state)?,
            error: row.error.map(|keys| dictionary.error(connection, keys)).transpose()?,
        })
    }

    /// Returns the title of the root with this number.
    pub(super) fn title(&self, number: i64) -> String {
        title(&self.name, self.batch.as_deref(), number as u64)
    }

    /// Converts a row to the root that clients receive.
    pub(super) fn root(&self, row: &RootRow, outlook: Outlook) -> Root {
        let [succeeded, running, pending, failed, cancelled, lost, other] = row.counts;
        let mut root = Root {
            root_id: row.id,
            number: row.number as u64,
            title: self.title(row.number),
            name: self.name.to_string(),
            batch: self.batch.as_ref().map(ToString::to_string),
            state: self.state.clone(),
            started_us: row.started_us,
            ended_us: row.ended_us,
            elapsed_ns: row.elapsed_ns,
            worker_id: self.worker,
            counts: Counts { pending, running, succeeded, failed, cancelled, lost, other },
            error: self.error.as_deref().cloned(),
            begun_us: if row.started_us.is_none() && row.process.is_some() { Some(row.at_us) } else { None },
            progress: row.progress.as_deref().cloned(),
            pinned: row.is_pinned,
            unattached: row.is_unattached,
            expected_ns: None,
            expected_p95_ns: None,
            overdue: false,
            attempt: row.attempt.attempt,
            attempts_of: row.attempt.of,
            next_attempt_us: row.attempt.next_us,
        };
        outlook.tell_root(&mut root);
        root
    }
}

/// Reads the current attempt of the process that a root shows from the row of that process.
pub(super) fn attempt_in_file(connection: &Connection, dictionary: &mut Dictionary, row: &RootRow) -> Result<AttemptNow> {
    let Some(process) = row.process.filter(|_| matches!(row.state, code::RUNNING | code::RETRYING)) else {
        return Ok(AttemptNow::default());
    };
    let found = ProcessRow::find(connection, row.place(), process)?.filter(|process| process.more.is_some());
    let Some(Known::Full(facts)) = found.map(|process| process.known(connection, dictionary)).transpose()? else {
        return Ok(AttemptNow::default());
    };
    Ok(facts.attempt_now(&ids::state(connection, dictionary, row.state)?))
}

/// Reads one root.
pub(super) fn find_row(connection: &Connection, key: RootKey) -> Result<Option<RootRow>> {
    let (sql, value) = match key {
        RootKey::Id(id) => (format!("SELECT {COLUMNS} FROM root WHERE id = ?1"), Value::Blob(ids::root_key(id).to_vec())),
        RootKey::Number(number) => {
            (format!("SELECT {COLUMNS} FROM root WHERE number = ?1"), Value::Integer(number.min(i64::MAX as u64) as i64))
        }
    };
    connection.prepare_cached(&sql)?.query_row([value], read).optional()
}

fn read(row: &Row<'_>) -> Result<RootRow> {
    let base_us: i64 = row.get(2)?;
    let time = |column| -> Result<_> { Ok(row.get::<_, Option<i64>>(column)?.map(|time| (time + base_us) as u64)) };
    let mut counts = [0; KNOWN_STATES + 1];
    // The counts are ordered by the codes of the states, the columns are not.
    for (count, column) in counts.iter_mut().zip([18, 17, 16, 19, 20, 21, 22]) {
        *count = row.get::<_, i64>(column)? as u64;
    }
    let error: (Option<i64>, Option<i64>) = (row.get(14)?, row.get(15)?);
    Ok(RootRow {
        number: row.get(0)?,
        id: ids::root(row, 1)?,
        base_us,
        last_us: row.get::<_, i64>(3)? + base_us,
        process: row.get::<_, Option<i64>>(4)?.map(ids::process_id).transpose()?,
        is_own: row.get::<_, i64>(5)? != 0,
        is_unattached: row.get::<_, i64>(5)? == 2,
        at_us: (row.get::<_, i64>(6)? + base_us) as u64,
        name: row.get(7)?,
        batch: row.get(8)?,
        worker: row.get(9)?,
        state: row.get(10)?,
        started_us: time(11)?,
        ended_us: time(12)?,
        elapsed_ns: row.get::<_, Option<i64>>(13)?.map(|elapsed| elapsed as u64),
        error: error.0.zip(error.1),
        line: row.get(25)?,
        progress: row.get_ref(26)?.as_blob_or_null()?.map(|json| ids::from_json(26, json)).transpose()?.map(Arc::new),
        attempt: AttemptNow::default(),
        counts,
        is_pinned: row.get(23)?,
        heard_us: base_us + row.get::<_, i64>(24)? * SECOND_US,
        greatest: None,
    })
}

/// Returns (longest, earliest): the greatest distances in microseconds from a root's base to later and to earlier starts of its processes.
/// They are not valid for trees in `wide`.
pub(super) fn spread(connection: &Connection) -> Result<(i64, i64)> {
    connection.prepare_cached("SELECT longest, earliest FROM counter")?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Parses the cursor of a page: start of its last root, as far as it is known, and that root's number.
pub(super) fn place_of(cursor: &str) -> Result<(i64, i64), ReadError> {
    let place = cursor.split_once('.').and_then(|(begin, number)| Some((begin.parse().ok()?, number.parse().ok()?)));
    place.ok_or_else(|| ReadError::Cursor(cursor.to_owned()))
}

/// Reads one page of roots.
pub(super) fn list(snapshot: &mut Snapshot<'_>, query: &RootsQuery) -> Result<RootsPage, ReadError> {
    let mut page = RootsPage { roots: Vec::new(), next_cursor: None, as_of: as_of(snapshot)? };
    let Some(statements) = statements(snapshot, query)? else { return Ok(page) };
    // Each state has a statement with its own index, in the order of the list. Their rows together contain the page.
    let left_out = if statements.len() > 1 { query.offset } else { 0 };
    let (connection, dictionary) = snapshot.parts();
    let mut found = Vec::new();
    for (sql, values) in statements {
        let mut statement = connection.prepare_cached(&sql)?;
        found.extend(statement.query_map(params_from_iter(values), read)?.collect::<Result<Vec<_>>>()?);
    }
    found.sort_unstable_by_key(|row| (row.at_us, row.number));
    if query.sort == RootSort::Newest {
        found.reverse();
    }
    let mut rows = found.into_iter().skip(left_out);
    let shown: Vec<RootRow> = rows.by_ref().take(query.limit).collect();
    if rows.next().is_some() {
        page.next_cursor = shown.last().map(|row| format!("{}.{}", row.at_us, row.number));
    }
    for row in shown {
        page.roots.push(row.show(connection, dictionary)?);
    }
    Ok(page)
}

/// Maximum number of roots with a text that are sorted for a page.
pub(super) const FEW: i64 = 10_000;

pub(super) type Statement = (String, Vec<Value>);

/// Returns the statements whose rows together contain the page; `None` if nothing can match.
pub(super) fn statements(snapshot: &mut Snapshot<'_>, query: &RootsQuery) -> Result<Option<Vec<Statement>>, ReadError> {
    let (order, compare, begin) = match query.sort {
        RootSort::Newest => ("DESC", "<", (i64::MAX, i64::MAX)),
        RootSort::Oldest => ("ASC", ">", (i64::MIN, i64::MIN)),
    };
    let begin = query.cursor.as_deref().map_or(Ok(begin), place_of)?;
    let mut values = vec![Value::Integer(begin.0), Value::Integer(begin.1)];
    let unattached = match query.unattached {
        Some(true) => " AND own = 2",
        Some(false) => " AND own <> 2",
        None => "",
    };
    let mut conditions = format!("base + at {compare}= ?1 AND (base + at {compare} ?1 OR number {compare} ?2){unattached}");
    // Index of the first condition, which most likely has the fewest rows. All of these indexes are ordered by start.
    let mut index = None;
    let mut add = |condition: &str, by: Option<&'static str>, value: Value| {
        values.push(value);
        write!(conditions, " AND {}", condition.replace('?', &format!("?{}", values.len()))).expect("a string takes all");
        index = index.or(by);
    };
    if let Some(batch) = &query.batch {
        let Some(key) = snapshot.find_text(batch)? else { return Ok(None) };
        add("batch = ?", Some("root_batch"), Value::Integer(key));
    }
    if let Some(name) = &query.name {
        let Some(key) = snapshot.find_text(name)? else { return Ok(None) };
        add("name = ?", Some("root_name"), Value::Integer(key));
    }
    if let [worker] = query.workers[..] {
        let Some(key) = super::workers::key(snapshot, worker)? else { return Ok(None) };
        add("worker = ?", Some("root_worker"), Value::Integer(key));
    } else if !query.workers.is_empty() {
        let (keys, are_few) = workers(snapshot, &query.workers)?;
        add("worker IN (SELECT value FROM json_each(?))", Some("root_worker").filter(|_| are_few), Value::Text(keys));
    }
    // `started` decides. `at` has the same value if `started` is known, and it is indexed.
    for (of_start, time) in
        [("base + started >= ? AND base + at >= ?", query.started_after), ("base + started < ? AND base + at < ?", query.started_before)]
    {
        if let Some(time) = time {
            add(of_start, None, Value::Integer(time.min(i64::MAX as u64) as i64));
        }
    }
    let index = index.or(Some("root_unattached").filter(|_| query.unattached == Some(true)));
    let mut is_sorted = true;
    if let Some(text) = &query.text {
        let found = numbers_with(text, &mut values);
        write!(conditions, " AND number IN ({found})").expect("a string takes all");
        // Few matching roots are sorted. If there are many, reading in the order of the list soon finds some of them.
        let sql = format!("SELECT count(*) FROM (SELECT 1 FROM ({found}) LIMIT {})", FEW + 1);
        let mut statement = snapshot.prepare_cached(&sql)?;
        let needed = values[..statement.parameter_count()].to_vec();
        is_sorted = statement.query_row(params_from_iter(needed), |row| row.get::<_, i64>(0))? > FEW;
    }
    let (limit, offset) = (query.limit.saturating_add(1), query.offset);
    let mut statements = Vec::new();
    let mut add = |extra: &str, index: &str| {
        let by = if is_sorted { format!("INDEXED BY {index}") } else { "NOT INDEXED".to_owned() };
        let sql = format!("SELECT {COLUMNS} FROM root {by} WHERE {conditions}{extra} ORDER BY base + at {order}, number {order}");
        statements.push((sql, values.clone()));
    };
    if query.states.is_empty() {
        add("", index.unwrap_or("root_begin"));
    }
    for state in &query.states {
        if let Some(code) = snapshot.find_state(state)? {
            add(&format!(" AND state = {code}"), index.unwrap_or("root_state"));
        }
    }
    statements.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    statements.dedup_by(|a, b| a.0 == b.0);
    let is_one = statements.len() == 1;
    for (sql, _) in &mut statements {
        let bounds = if is_one { format!(" LIMIT {limit} OFFSET {offset}") } else { format!(" LIMIT {}", limit.saturating_add(offset)) };
        sql.push_str(&bounds);
    }
    Ok(Some(statements))
}

/// Returns the keys of workers as a JSON array, and true if they have so few roots that these are sorted for a page. If there are many,
/// reading in the order of the list soon finds some of them.
fn workers(snapshot: &Snapshot<'_>, ids: &[WorkerId]) -> Result<(String, bool)> {
    let keys = ids.iter().filter_map(|id| super::workers::key(snapshot, *id).transpose()).collect::<Result<Vec<_>>>()?;
    let keys = format!("[{}]", keys.iter().map(i64::to_string).collect::<Vec<_>>().join(","));
    let sql = "SELECT count(*) FROM (SELECT 1 FROM root INDEXED BY root_worker WHERE worker IN (SELECT value FROM json_each(?1)) LIMIT ?2)";
    let count: i64 = snapshot.prepare_cached(sql)?.query_row(rusqlite::params![keys, FEW + 1], |row| row.get(0))?;
    Ok((keys, count <= FEW))
}

/// Returns a statement for the numbers of the roots that show a text: in their name, batch mark, error or its causes, as their number, or
/// as the beginning of their id. Appends its values to `values`.
fn numbers_with(text: &str, values: &mut Vec<Value>) -> String {
    let matching = matching(text, values);
    let mut sql = format!(
        "WITH matching(id) AS MATERIALIZED ({matching}) \
         SELECT number FROM root INDEXED BY root_name WHERE name IN matching UNION \
         SELECT number FROM root INDEXED BY root_batch WHERE batch IN matching AND batch IS NOT NULL UNION \
         SELECT number FROM root INDEXED BY root_error WHERE error IN matching AND error IS NOT NULL UNION \
         SELECT number FROM root INDEXED BY root_line WHERE line IN matching AND line IS NOT NULL"
    );
    if let Some(number) = number_in(text) {
        values.push(Value::Integer(number));
        write!(sql, " UNION SELECT number FROM root WHERE number = ?{}", values.len()).expect("a string takes all");
    }
    if let Some((first, last)) = ids::root_keys_from(text) {
        values.extend([first, last].map(|key| Value::Blob(key.to_vec())));
        let last = values.len();
        write!(sql, " UNION SELECT number FROM root WHERE id BETWEEN ?{} AND ?{last}", last - 1).expect("a string takes all");
    }
    sql
}

/// Returns the number that a text refers to: `2106`, `#2106`, `<2106>`, `<batch001:2106>`, or a whole title with such an end.
fn number_in(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = match text.strip_suffix('>') {
        Some(title) => title.rsplit(['<', ':']).next()?,
        None => text.trim_start_matches(['#', '<']),
    };
    digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Returns a statement for the keys of the texts that contain `text`, ASCII letters in any case. Appends its values to `values`.
pub(super) fn matching(text: &str, values: &mut Vec<Value>) -> String {
    values.push(Value::Text(like(text)));
    let like = values.len();
    // The full-text index has sequences of three characters. A text with all sequences of `text` may contain it; `LIKE` decides.
    let characters: Vec<char> = text.chars().collect();
    if characters.len() < 3 || text.contains('\0') {
        return format!("SELECT id FROM text WHERE found AND value LIKE ?{like} ESCAPE '\\'");
    }
    let parts = characters.windows(3).take(MAX_PARTS).map(|part| format!("\"{}\"", part.iter().collect::<String>().replace('"', "\"\"")));
    values.push(Value::Text(parts.collect::<Vec<_>>().join(" AND ")));
    let parts = values.len();
    format!(
        "SELECT id FROM text WHERE id IN (SELECT rowid FROM text_parts WHERE text_parts MATCH ?{parts}) \
         AND value LIKE ?{like} ESCAPE '\\'"
    )
}

/// Maximum number of sequences that are searched in the index. `LIKE` compares the rest of a long text.
const MAX_PARTS: usize = 32;

/// Returns a `LIKE` pattern that matches all texts that contain `text`.
fn like(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}
