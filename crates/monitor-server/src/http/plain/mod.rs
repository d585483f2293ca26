//! `?plain` at the page's addresses: the list of runs, a run, and its failures with their causes, as HTML that needs neither scripts nor
//! the built page.

mod html;
mod words;

use std::collections::HashSet;
use std::fmt::Write;

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, Uri, header};
use monitor_store::{ProcessesQuery, RootKey, RootsQuery};
use monitor_wire::{Error, Process, ProcessId, RootsPage, State, TreePage};

use self::html::{counts, document, duration, link, moment};
use self::words::Words;
use super::App;
use super::params::RootName;
use super::problem::ApiError;
use crate::commands::Watched;
use crate::html::Text;

/// Number of runs per page.
const ROOTS: usize = 100;
/// Number of processes per page of a run.
const PROCESSES: usize = 1_000;
/// Maximum indentation. Deeper rows are indented no further.
const MOST_INDENTED: u32 = 24;

/// True if the address requests the plain page.
pub(super) fn is_wanted(uri: &Uri) -> bool {
    uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "plain" || pair.starts_with("plain=")))
}

/// Returns the list or a run, by the path below `/tasks`.
pub(super) async fn get_plain(app: App, uri: Uri, headers: HeaderMap) -> Response {
    let words = Words::of(headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default());
    let below = uri.path().trim_start_matches("/tasks").trim_matches('/').to_owned();
    let made = if below.is_empty() { list(app, &uri, words).await } else { tree(app, &below, &uri, words).await };
    match made {
        Ok(html) => html.into_response(),
        // The status of the API's error response with its text, as HTML.
        Err(error) => {
            let detail = error.to_string();
            let status = error.into_response().status();
            let body = format!("<p>{}</p><p>{}</p>", Text(&detail), link("/tasks?plain", words.all));
            (status, document(words, words.problem, &body)).into_response()
        }
    }
}

/// Returns the parameter `name`. Other parameters are ignored, because addresses of the full page can have more than this page supports.
fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let query = uri.query().unwrap_or_default();
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(given, value)| given == name && !value.is_empty()).map(|(_, value)| value.into_owned())
}

async fn list(app: App, uri: &Uri, words: &'static Words) -> Result<Html<String>, ApiError> {
    let query = RootsQuery {
        states: parameter(uri, "state").iter().flat_map(|states| states.split(',')).map(State::from).collect(),
        name: parameter(uri, "name"),
        batch: parameter(uri, "batch"),
        text: parameter(uri, "q"),
        cursor: parameter(uri, "cursor"),
        limit: ROOTS,
        ..RootsQuery::default()
    };
    let page = app.ask(move |store| store.roots(&query)).await?;
    Ok(document(words, words.tasks, &list_of(&page, uri, words)))
}

fn list_of(page: &RootsPage, uri: &Uri, words: &Words) -> String {
    let mut body = format!(
        "<form action=/tasks><input type=hidden name=plain><label>{} <input name=q></label> <button>{}</button></form>",
        words.search, words.search
    );
    body.push_str("<p>");
    for state in State::KNOWN.iter().chain([&State::RETRYING]) {
        let _ = write!(body, "{} ", link(&format!("/tasks?plain&state={state}"), &html::state(words, state)));
    }
    body.push_str("</p>");
    if page.roots.is_empty() {
        let _ = write!(body, "<p>{}</p>", words.none);
    } else {
        let _ =
            write!(body, "<table><tr><th>{}<th>{}<th>{}<th>{}<th>{}", words.state, words.task, words.started, words.took, words.processes);
        for root in &page.roots {
            let _ = write!(
                body,
                "<tr><td>{}<td>{}{}<td>{}<td class=n>{}<td>{}",
                html::state(words, &root.state),
                link(&format!("/tasks/{}?plain", root.number), &Text(&root.title).to_string()),
                root.error.as_ref().map(|error| format!("<br><small>{}</small>", why(error))).unwrap_or_default(),
                moment(root.started_us),
                duration(root.elapsed_ns),
                counts(words, &root.counts),
            );
        }
        body.push_str("</table>");
    }
    next_page(&mut body, page.next_cursor.as_deref(), uri, words);
    body
}

async fn tree(app: App, below: &str, uri: &Uri, words: &'static Words) -> Result<Html<String>, ApiError> {
    let Ok(RootName(root)) = below.parse() else { return Err(ApiError::NoPath { path: uri.path().to_owned() }) };
    app.commands.watch_once(Watched::Trees(vec![root]));
    let cursor = parameter(uri, "cursor");
    let found = app.ask(move |store| store.tree(root, PROCESSES, cursor.as_deref())).await?;
    let Some(page) = found else { return Err(app.no_root(root, below).await) };
    let path = failing_path(&app, root, &page).await?;
    let title = Text(&page.root.title).to_string();
    Ok(document(words, &title, &tree_of(&page, &path, uri, words)))
}

/// Returns the failing path from the root down. It ends before the first process that is not among the last 1,000 failures. Empty unless
/// the root failed or is lost.
async fn failing_path(app: &App, root: RootKey, page: &TreePage) -> Result<Vec<Process>, ApiError> {
    let Some(own) =
        page.processes.first().filter(|own| own.depth == Some(0) && page.root.counts.failed + page.root.counts.lost > 0).cloned()
    else {
        return Ok(Vec::new());
    };
    let made = app.ask(move |store| {
        let query =
            ProcessesQuery { root: Some(root), states: vec![State::FAILED, State::LOST], limit: 1_000, ..ProcessesQuery::default() };
        let failed = store.processes(&query)?.processes;
        let parents = failed.iter().map(|process| (process.parent_id.filter(|_| !process.orphan), process));
        Ok(monitor_state::failing_path(&own, parents).into_iter().cloned().collect())
    });
    made.await
}

fn tree_of(page: &TreePage, path: &[Process], uri: &Uri, words: &Words) -> String {
    let root = &page.root;
    let mut body = format!(
        "<p>{} · {} · {} · {}</p>",
        html::state(words, &root.state),
        moment(root.started_us),
        duration(root.elapsed_ns),
        counts(words, &root.counts)
    );
    if let Some(leaf) = path.last() {
        let _ = write!(body, "<h2>{}</h2><p>", words.path);
        for (place, process) in path.iter().enumerate() {
            let _ = write!(body, "{}{}", if place > 0 { " › " } else { "" }, name(process, words));
        }
        body.push_str("</p>");
        if let Some(error) = &leaf.error {
            error_of(&mut body, error, words);
        }
    }
    for dropped in &page.dropped {
        let _ = write!(body, "<p>{}: {} × {} ({})</p>", words.missing, dropped.count, Text(&dropped.event_type), Text(&dropped.reason));
    }
    if page.deep_parents > 0 {
        let _ = write!(body, "<p>{}: {} (max-depth)</p>", words.deep, page.deep_parents);
    }
    let _ = write!(body, "<h2>{}</h2><table><tr><th>{}<th>{}<th>{}", words.tree, words.state, words.process, words.took);
    let on_path: HashSet<ProcessId> = path.iter().map(|process| process.id).collect();
    for process in &page.processes {
        let depth = process.depth.unwrap_or_default();
        let shown = name(process, words);
        let _ = write!(
            body,
            "<tr><td>{}<td>{}{}{}{}{}<td class=n>{}",
            html::state(words, &process.state),
            // Text browsers ignore styles, so the indentation also consists of visible characters.
            "· ".repeat(depth.min(MOST_INDENTED) as usize),
            if on_path.contains(&process.id) { format!("<b>{shown}</b>") } else { shown },
            process.fold.as_ref().map(|fold| format!(" ×{}", fold.count)).unwrap_or_default(),
            if process.orphan { format!(" <small>({})</small>", words.orphan) } else { String::new() },
            process.error.as_ref().map(|error| format!("<br><small>{}</small>", why(error))).unwrap_or_default(),
            duration(process.elapsed_ns),
        );
    }
    body.push_str("</table>");
    next_page(&mut body, page.next_cursor.as_deref(), uri, words);
    let _ = write!(body, "<p>{}</p>", link("/tasks?plain", words.all));
    body
}

fn name(process: &Process, words: &Words) -> String {
    if process.name.is_empty() { words.unnamed.to_owned() } else { Text(&process.name).to_string() }
}

/// Formats an error on one line: `context: cause`.
fn why(error: &Error) -> String {
    error.line(|link| Text(link).to_string()) + &ended_by(error)
}

fn error_of(body: &mut String, error: &Error, words: &Words) {
    let mut links = error.links().into_iter();
    let _ = write!(body, "<pre><b>{}</b>{}", Text(links.next().unwrap_or_default()), ended_by(error));
    for cause in links {
        let _ = write!(body, "\n{}: {}", words.caused_by, Text(cause));
    }
    if let Some(source) = &error.source {
        let _ = write!(body, "\n{}:{}", Text(&source.file), source.line);
    }
    for line in error.tail.iter().flat_map(|tail| tail.lines()) {
        let _ = write!(body, "\n{}", Text(&line.replace('\t', "    ")));
    }
    body.push_str("</pre>");
}

/// Returns the exit code or the signal, which the message does not contain.
fn ended_by(error: &Error) -> String {
    error.code.map(|code| format!(" ({} {code})", error.kind)).unwrap_or_default()
}

/// Adds a link to the next page of the same address.
fn next_page(body: &mut String, cursor: Option<&str>, uri: &Uri, words: &Words) {
    let Some(cursor) = cursor else { return };
    let query = uri.query().unwrap_or_default();
    let mut next = url::form_urlencoded::Serializer::new(String::new());
    next.extend_pairs(url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "cursor"));
    next.append_pair("cursor", cursor);
    let _ = write!(body, "<p>{}</p>", link(&format!("{}?{}", uri.path(), next.finish()), words.more));
}
