//! The form of all answers: `{result, code, message, data, job_request_id}`.

use axum::Json;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use http_body_util::BodyExt as _;
use monitor_wire::Problem;
use serde_json::{Value, json};

use super::super::App;
use super::super::access::DeedWords;
use super::caller::identified;
use super::failure::{Failure, code};
use crate::access::random;

/// Header of a refusal with its code.
const ERROR_CODE: HeaderName = HeaderName::from_static("x-bkapi-error-code");

/// Returns the answer of a call that has succeeded.
pub(super) fn success(data: Value) -> Response {
    envelope(0, "success", data).into_response()
}

/// Returns the answer of a call that is refused.
pub(super) fn refusal(code: u32, message: &str) -> Response {
    ([(ERROR_CODE, HeaderValue::from(code))], envelope(code, message, Value::Null)).into_response()
}

/// Answers a call that changes something, with words for the audit log.
pub(super) fn recorded(what: String, called: Result<(Value, String), Failure>) -> Response {
    let (response, outcome) = match called {
        Ok((data, outcome)) => (success(data), outcome),
        Err(failure) => {
            let outcome = failure.to_string();
            (failure.into_response(), outcome)
        }
    };
    DeedWords { what, outcome }.recorded(response)
}

fn envelope(code: u32, message: &str, data: Value) -> Json<Value> {
    // Without random numbers, the answer is still valid.
    let id = random(16).unwrap_or_default();
    let mut answer = json!({"result": code == 0, "code": code, "message": message, "data": null, "job_request_id": id});
    answer["data"] = data;
    Json(answer)
}

/// Reads the token of a call where `BlueKing`'s clients send it, and gives errors of the server the form of these answers. Other routes are
/// not affected.
pub(in super::super) async fn translate(State(app): State<App>, request: Request, next: Next) -> Response {
    if !super::is_path(request.uri().path()) {
        return next.run(request).await;
    }
    let response = match identified(&app, request).await {
        Ok(request) => next.run(request).await,
        Err(failure) => failure.into_response(),
    };
    let is_problem = response.headers().get(header::CONTENT_TYPE).is_some_and(|found| found == "application/problem+json");
    if is_problem { of_problem(response).await } else { response }
}

/// Returns an error of the server in the form of these answers. The headers remain, such as `Retry-After`.
async fn of_problem(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let problem = body.collect().await.ok().and_then(|body| serde_json::from_slice::<Problem>(&body.to_bytes()).ok());
    let code = match parts.status {
        StatusCode::UNAUTHORIZED => code::UNKNOWN_CALLER,
        StatusCode::FORBIDDEN => code::FORBIDDEN,
        StatusCode::NOT_FOUND => code::NO_CALL,
        StatusCode::TOO_MANY_REQUESTS => code::TOO_MANY,
        StatusCode::SERVICE_UNAVAILABLE => code::UNAVAILABLE,
        status if status.is_server_error() => code::INTERNAL,
        _ => code::BAD_REQUEST,
    };
    let message = problem.map_or_else(|| parts.status.to_string(), |problem| problem.detail);
    let mut answer = refusal(code, &message);
    if matches!(parts.status, StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        *answer.status_mut() = parts.status;
    }
    parts.headers.remove(header::CONTENT_TYPE);
    parts.headers.remove(header::CONTENT_LENGTH);
    answer.headers_mut().extend(parts.headers);
    answer.extensions_mut().extend(parts.extensions);
    answer
}
