//! `GET /api/task/events/TYPE/[UUID]`: events of tasks over a WebSocket, as in versions of Flower before 1.0.

use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, RequestExt as _};
use http::{Method, header};
use serde::Deserialize;

use super::counting::Line;
use super::{Flower, USER_AGENT, challenged};
use crate::http::access;
use crate::http::connections::Busy;
use crate::http::problem::ApiError;
use crate::http::stream::{Reader, turn};
use crate::live::{Wanted, WantedTypes};

/// Longest type of an event, and longest id of a task, in bytes.
const LONGEST: usize = 1_000;

/// Parts of the path.
#[derive(Deserialize)]
struct Of {
    r#type: String,
    uuid: Option<String>,
}

pub(super) async fn events(State(flower): State<Flower>, request: Request) -> Response {
    flower.events(request).await.unwrap_or_else(|error| challenged(error.into_response()))
}

impl Flower {
    async fn events(&self, mut request: Request) -> Result<Response, ApiError> {
        let (uri, headers, peer) = (request.uri().clone(), request.headers().clone(), access::peer(&request));
        self.guard.check(&uri, &headers)?;
        // Browsers let any page open a WebSocket to any host and read the messages.
        if headers.contains_key(header::ORIGIN) {
            self.guard.check_same(&uri, &headers)?;
        }
        let wrong = |name: &str, detail: String| ApiError::Parameter { name: name.to_owned(), detail };
        let path: Result<Path<Of>, PathRejection> = request.extract_parts().await;
        let Path(Of { r#type, uuid }) = path.map_err(|rejection| wrong("uuid", rejection.body_text()))?;
        if !r#type.starts_with("task-") || r#type.len() > LONGEST || uuid.as_ref().is_some_and(|uuid| uuid.len() > LONGEST) {
            return Err(wrong(
                "type",
                "the address is /api/task/events/TYPE/ or /api/task/events/TYPE/UUID, with a type like task-succeeded".to_owned(),
            ));
        }
        let types = WantedTypes::read([r#type]).map_err(|why| wrong("type", why))?;
        let upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection> = request.extract_parts().await;
        let upgrade = upgrade.map_err(|rejection| wrong("Upgrade", format!("this is no WebSocket: {}", rejection.body_text())))?;
        let busy: Result<Extension<Busy>, _> = request.extract_parts().await;
        let Extension(busy) = busy.map_err(|rejection| wrong("Upgrade", rejection.body_text()))?;

        let mut caller = self
            .caller(peer, &headers)
            .await?
            .0
            .request(Method::GET, "/", None, USER_AGENT)
            .map_err(|error| wrong("Upgrade", error.to_string()))?;
        caller.extensions_mut().insert(busy.clone());
        access::admit_reader(&self.app, &mut caller)?;
        let turn = turn(&self.app)?;
        let wanted = Wanted { types, task: uuid, ..Wanted::default() };
        let reader = Reader::new(&self.app, wanted, self.app.live.newest(), turn);
        Ok(reader.upgraded(upgrade, busy, texts))
    }
}

/// Converts the events of a message of the stream into those of Celery, one per text.
fn texts(told: &Bytes) -> Vec<Message> {
    let lines = told.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let events = lines.filter_map(|line| serde_json::from_slice::<Line>(line).ok());
    events.filter_map(|Line { data }| monitor_flower::event(&data)).map(|event| Message::Text(event.to_string().into())).collect()
}
