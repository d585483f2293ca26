//! `GET /api/v1/roots/{root}/tree`: the processes of a run.

use std::cell::RefCell;
use std::convert::Infallible;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, header};
use monitor_store::{COLUMNS_MEDIA_TYPE, Queries, RootKey, StoreError, TreeColumns};
use monitor_wire::{Dropped, Problem, Process, Root, TreePage};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::IntoParams;

use super::App;
use super::params::{Limit, PathParts, RootName, Strict};
use super::problem::ApiError;
use super::refusals::NoTree;
use crate::commands::Watched;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TreeParams {
    /// Maximum number of processes to return (1 to 100,000, default 50).
    #[serde(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100_000)]
    limit: Limit<100_000>,
    /// `next_cursor` of the previous page, unchanged.
    cursor: Option<String>,
}

/// Lists the processes of a run in pre-order.
///
/// The root's own process comes first. Siblings are ordered by their start.
#[utoipa::path(
    get,
    path = "/api/v1/roots/{root}/tree",
    tag = "runs",
    params(
        ("root" = String, Path, description = "Id or number of the run"),
        ("Accept" = Option<String>, Header, description = "`application/vnd.process-monitor.tree` requests the whole run as binary columns (docs/internals/columns.md); `limit` and `cursor` are ignored"),
        TreeParams
    ),
    responses(
        (status = 200, description = "One page, or the whole run as columns", content((TreePage = "application/json"), (Vec<u8> = "application/vnd.process-monitor.tree"))),
        NoTree,
        (status = 503, description = "Too many large answers are being sent. Send the request again after `Retry-After`", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_tree(
    State(app): State<App>,
    path: PathParts,
    headers: HeaderMap,
    Strict(params): Strict<TreeParams>,
) -> Result<Response, ApiError> {
    let RootName(root) = path.read("root")?;
    app.commands.watch_once(Watched::Trees(vec![root]));
    let answer = if wants_columns(&headers) { columns(&app, root).await? } else { json(&app, root, params).await? };
    let Some(mut response) = answer else { return Err(app.no_root(root, path.text("root")).await) };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// Responds like [`axum::Json`], which would serialize on an async thread. This response can be the largest of all, so it is serialized on
/// a thread that may block, and only once it has its share of the memory budget.
async fn json(app: &App, root: RootKey, params: TreeParams) -> Result<Option<Response>, ApiError> {
    let held = app.answers.room(json_bytes(params.limit.0)).await?;
    let json = app.ask(move |store| write_json(store, root, params.limit.0, params.cursor.as_deref())).await?;
    let body = |body| ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], held.body(body)).into_response();
    Ok(json.map(body))
}

/// Estimates the size in bytes of a page with `processes` processes as JSON.
fn json_bytes(processes: usize) -> usize {
    600_usize.saturating_mul(processes.saturating_add(2))
}

/// Writes one page of a tree as JSON. Each process is written before the next one is created, to save memory. Returns `None` if the tree
/// does not exist.
fn write_json(store: &dyn Queries, root: RootKey, limit: usize, cursor: Option<&str>) -> Result<Option<Vec<u8>>, StoreError> {
    let mut json = Vec::new();
    let is_there = store.read_tree(root, limit, cursor, &mut |page, processes| {
        json.reserve(json_bytes(processes.size_hint().1.unwrap_or(0)));
        let TreePage { root, ignored_parents, deep_parents, dropped, next_cursor, as_of, .. } = page;
        let page = Page { root, processes: Each(RefCell::new(processes)), ignored_parents, deep_parents, dropped, next_cursor, as_of };
        serde_json::to_writer(&mut json, &page).expect("plain data with text keys is JSON");
    })?;
    Ok(is_there.then_some(json))
}

/// [`TreePage`] whose processes are produced one at a time.
#[derive(Serialize)]
struct Page<'a> {
    root: Root,
    processes: Each<'a>,
    ignored_parents: u64,
    deep_parents: u64,
    dropped: Vec<Dropped>,
    next_cursor: Option<String>,
    as_of: u64,
}

/// Items of an iterator, serialized as a sequence.
struct Each<'a>(RefCell<&'a mut dyn Iterator<Item = Process>>);

impl Serialize for Each<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&mut **self.0.borrow_mut())
    }
}

fn wants_columns(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let mut types = values.flat_map(|value| value.split(',')).filter_map(|part| part.split(';').next());
    types.any(|media_type| media_type.trim().eq_ignore_ascii_case(COLUMNS_MEDIA_TYPE))
}

/// Returns the whole tree as columns. They stay in memory, within the memory budget, and each part is encoded when the socket can send it.
async fn columns(app: &App, root: RootKey) -> Result<Option<Response>, ApiError> {
    let Some(known) = app.ask(move |store| store.root(root)).await? else { return Ok(None) };
    let count = usize::try_from(known.counts.total()).unwrap_or(usize::MAX);
    let mut held = app.answers.room(TreeColumns::bytes_of(count)).await?;
    let Some(tree) = app.ask(move |store| store.tree_columns(root)).await? else { return Ok(None) };
    held.shrink(tree.bytes());
    let parts = futures_util::stream::iter(tree.map(move |part| {
        let _held = &held;
        Ok::<_, Infallible>(part)
    }));
    Ok(Some(([(header::CONTENT_TYPE, COLUMNS_MEDIA_TYPE)], Body::from_stream(parts)).into_response()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use monitor_store::Intake as _;
    use monitor_store::memory::{Memory, MemoryStore};
    use monitor_store::support::{root, script};

    #[test]
    fn a_page_is_written_with_the_same_json_as_its_type() {
        let store = MemoryStore::open(&Memory::default());
        for batch in script::parse(
            "started 1 root=1 name=\"a\"\nstarted 2 root=1 parent=1\nended 2 root=1 failed error=wrong\nstarted 3 root=1 parent=9",
        ) {
            store.append(&[Arc::new(batch.into())], 1).unwrap();
        }
        let (mut cursor, mut pages) = (None::<String>, 0);
        loop {
            let page = store.tree(RootKey::Number(1), 1, cursor.as_deref()).unwrap().unwrap();
            let json = write_json(&store, RootKey::Id(root(1)), 1, cursor.as_deref()).unwrap().unwrap();
            assert_eq!(String::from_utf8(json).unwrap(), serde_json::to_string(&page).unwrap());
            (cursor, pages) = (page.next_cursor, pages + 1);
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(pages, 3);
        assert!(write_json(&store, RootKey::Number(7), 1, None).unwrap().is_none());
        assert!(write_json(&store, RootKey::Number(1), 1, Some("nonsense")).is_err());
    }
}
