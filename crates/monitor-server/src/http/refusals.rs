//! Error responses that many routes have in common, for the description of the API.

use monitor_wire::Problem;
use utoipa::IntoResponses;

/// Response to a request with an invalid parameter.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers")]
pub(super) enum Unreadable {
    #[response(status = 400, description = "A parameter is invalid", content_type = "application/problem+json")]
    Unreadable(Problem),
}

/// Error responses of routes about a run.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers")]
pub(super) enum NoTree {
    #[response(status = 400, description = "A parameter is invalid", content_type = "application/problem+json")]
    Unreadable(Problem),
    #[response(status = 404, description = "The run does not exist", content_type = "application/problem+json")]
    Unknown(Problem),
    #[response(status = 410, description = "The data has been deleted", content_type = "application/problem+json")]
    Gone(Problem),
}

/// Error responses to a JSON body that can't be accepted.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers")]
pub(super) enum NotTaken {
    #[response(status = 413, description = "The body is too large", content_type = "application/problem+json")]
    TooLarge(Problem),
    #[response(status = 415, description = "The body is not JSON, or is compressed", content_type = "application/problem+json")]
    NoJson(Problem),
}

/// Response to a command that is not allowed.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers")]
pub(super) enum NotAllowed {
    #[response(
        status = 403,
        description = "The caller is not allowed to send this command, the request comes from a page of another site, or the server's setting `commands` forbids it",
        content_type = "application/problem+json"
    )]
    Forbidden(Problem),
}
