//! Reading roots.

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
/// When a root was heard of is kept in seconds.
pub(super) const SECOND_US: i64 = 1_000_000;

/// A row of `root`. Texts, the state and the worker are keys; times are Unix microseconds.
#[derive(Debug, Clone)]
pub(super) struct RootRow {
    pub number: i64,
    pub id: RootId,
    /// What the times of its rows count from.
    pub base_us: i64,
    /// When its last process began.
    pub last_us: i64,
    /// The process whose face it shows.
    pub process: Option<ProcessId>,
    /// Whether that is the root's own, not just the earliest.
    pub is_own: bool,
    /// Whether that was started without a context: `own` is 2 then.
    pub is_unattached: bool,
    /// When that began, as far as is known.
    pub at_us: u64,
    pub name: i64,
    pub batch: Option<i64>,
    pub worker: Option<i64>,
    pub state: i64,
    pub started_us: Option<u64>,
    pub ended_us: Option<u64>,
    pub elapsed_ns: Option<u64>,
    pub error: Option<(i64, i64)>,
    /// The line that is shown of the error, if it says more than the message.
    pub line: Option<i64>,
    /// How far its own process is.
    pub progress: Option<Arc<Progress>>,
    /// Which attempt its own process is at. It isn't in the row: see [`attempt_in_file`].
    pub attempt: AttemptNow,
    /// Processes by the code of their state; the last are those in a state unknown here.
    pub counts: [u64; KNOWN_STATES + 1],
    /// No rule drops it.
    pub is_pinned: bool,
    /// When something of it came last, by the server's clock; from the file in whole seconds after the base.
    pub heard_us: i64,
    /// No process has a greater key, as far as the writer has looked.
    pub greatest: Option<i64>,
}

impl RootRow {
    /// Number and base, by which its processes are found.
    pub(super) fn place(&self) -> (i64, i64) {
        (self.number, self.base_us)
    }

    /// Whether this id, which is none of its processes, means the root's own process: see [`RootId::own_process`].
    pub(super) fn is_stood_for_by(&self, id: ProcessId) -> bool {
        self.is_own && self.id.own_process() == Some(id)
    }

    /// How many processes it has.
    pub(super) fn processes(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The processes of a state.
    pub(super) fn count(&mut self, code: i64) -> &mut u64 {
        &mut self.counts[(code as usize).min(KNOWN_STATES)]
    }

    /// The root as it is shown.
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

/// What the keys of a root's row stand for.
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

    /// Title of the root with this number.
    pub(super) fn title(&self, number: i64) -> String {
        title(&self.name, self.batch.as_deref(), number as u64)
    }

    /// The root of a row, as it is shown.
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

/// Which attempt the process that a root shows is at, by that process's row.
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

/// One root.
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
    // By the codes of the states, which is not the order of the columns.
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

/// By how much processes may have begun after their root's base, and before it: (longest, earliest), in microseconds. Not so those of
/// trees that are in `wide`.
pub(super) fn spread(connection: &Connection) -> Result<(i64, i64)> {
    connection.prepare_cached("SELECT longest, earliest FROM counter")?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Where a page of roots ends: when its last root began, as far as that is known, and that root's number.
pub(super) fn place_of(cursor: &str) -> Result<(i64, i64), ReadError> {
    let place = cursor.split_once('.').and_then(|(begin, number)| Some((begin.parse().ok()?, number.parse().ok()?)));
    place.ok_or_else(|| ReadError::Cursor(cursor.to_owned()))
}

/// One page of roots.
pub(super) fn list(snapshot: &mut Snapshot<'_>, query: &RootsQuery) -> Result<RootsPage, ReadError> {
    let mut page = RootsPage { roots: Vec::new(), next_cursor: None, as_of: as_of(snapshot)? };
    let Some(statements) = statements(snapshot, query)? else { return Ok(page) };
    // One statement per state, each by its own index and in the list's order: together they hold the page.
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

/// So many roots that contain a text are sorted for a page, at most.
pub(super) const FEW: i64 = 10_000;

pub(super) type Statement = (String, Vec<Value>);

/// The statements whose rows together hold the page; none if nothing can match.
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
    // The index of the condition that few rows fulfil, most likely. All of them go on in the order of the starts.
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
    if let Some(worker) = query.worker {
        let Some(key) = super::workers::key(snapshot, worker)? else { return Ok(None) };
        add("worker = ?", Some("root_worker"), Value::Integer(key));
    }
    // A tree's own start decides, which is where its index entry stands.
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
        // Few are sorted; of many the list's own order soon comes to some that match.
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

/// A statement for the numbers of the roots that show a text: in name, batch mark, error or its causes, as their number or as the beginning
/// of their id. Its values are added to `values`.
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

/// The number that a text asks for: `2106`, `#2106`, `<2106>`, `<batch001:2106>`, or a whole title that ends so.
fn number_in(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = match text.strip_suffix('>') {
        Some(title) => title.rsplit(['<', ':']).next()?,
        None => text.trim_start_matches(['#', '<']),
    };
    digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A statement for the keys of the texts that contain `text`, ASCII letters in any case; its values are added to `values`.
pub(super) fn matching(text: &str, values: &mut Vec<Value>) -> String {
    values.push(Value::Text(like(text)));
    let like = values.len();
    // The index has what is three characters long: a text with all these parts may contain the whole.
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

/// Of a long text so many parts are looked for: what else it has is compared.
const MAX_PARTS: usize = 32;

/// A pattern that matches whatever contains `text`.
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
