//! Answers in the form of Flower.

use serde_json::{Value, json};

use crate::Failure;

/// An answer of Flower.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body, or target of a redirect.
    pub content: Content,
}

/// Content of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// JSON.
    Json(Value),
    /// A text, such as an error.
    Text(String),
    /// A text that Flower sends as HTML. Special characters in it are escaped.
    Html(String),
    /// Metrics in the `OpenMetrics` format.
    Metrics(String),
    /// Address of a screen of the page.
    Redirect(String),
}

impl Answer {
    pub(crate) fn json(value: Value) -> Self {
        Self { status: 200, content: Content::Json(value) }
    }

    pub(crate) fn message(text: impl Into<String>) -> Self {
        Self::json(json!({"message": text.into()}))
    }

    pub(crate) fn text(status: u16, text: impl Into<String>) -> Self {
        Self { status, content: Content::Text(text.into()) }
    }

    pub(crate) fn html(status: u16, text: &str) -> Self {
        let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        Self { status, content: Content::Html(escaped) }
    }

    pub(crate) fn redirect(to: String) -> Self {
        Self { status: 302, content: Content::Redirect(to) }
    }
}

impl From<Failure> for Answer {
    fn from(Failure { status, detail }: Failure) -> Self {
        Self::text(status, detail)
    }
}
