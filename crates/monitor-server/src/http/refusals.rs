//! Refusals that many routes have in common, for the description of the API.

use monitor_wire::Problem;
use utoipa::IntoResponses;

/// The refusal of a request with a wrong parameter.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers")]
pub(super) enum Unreadable {
    #[response(status = 400, description = "A parameter can't be read", content_type = "application/problem+json")]
    Unreadable(Problem),
}

/// The refusals of a question about a tree.
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

/// The refusals of a JSON body before it is read.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers")]
pub(super) enum NotTaken {
    #[response(status = 413, description = "It is too large", content_type = "application/problem+json")]
    TooLarge(Problem),
    #[response(status = 415, description = "It is no JSON, or compressed", content_type = "application/problem+json")]
    NoJson(Problem),
}

/// The refusal of a command.
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
