//! Error responses that many routes have in common, for the description of the API.

use monitor_wire::Problem;
use utoipa::IntoResponses;

/// Response to a request with an invalid parameter.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers")]
pub(super) enum Unreadable {
    #[response(status = 400, description = "A parameter can't be read", content_type = "application/problem+json")]
    Unreadable(Problem),
}

/// Error responses of routes about a run.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers")]
pub(super) enum NoTree {
    #[response(status = 400, description = "A parameter can't be read", content_type = "application/problem+json")]
    Unreadable(Problem),
    #[response(status = 404, description = "No such tree", content_type = "application/problem+json")]
    Unknown(Problem),
    #[response(status = 410, description = "It is no longer kept", content_type = "application/problem+json")]
    Gone(Problem),
}

/// Error responses to a JSON body that can't be accepted.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers")]
pub(super) enum NotTaken {
    #[response(status = 413, description = "It is too large", content_type = "application/problem+json")]
    TooLarge(Problem),
    #[response(status = 415, description = "It is no JSON, or compressed", content_type = "application/problem+json")]
    NoJson(Problem),
}

/// Response to a command that is not allowed.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers")]
pub(super) enum NotAllowed {
    #[response(
        status = 403,
        description = "Whoever asks may not, a page of another site asks, or the server's setting `commands` doesn't pass it on",
        content_type = "application/problem+json"
    )]
    Forbidden(Problem),
}
