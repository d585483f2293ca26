//! How the tools reach the HTTP API.

use serde_json::Value;
use url::Url;

/// Sends requests to the HTTP API of a server, with the rights of one caller.
pub trait Ask: Clone + Send + Sync + 'static {
    /// Sends a request and returns the JSON of its answer.
    ///
    /// # Errors
    /// Returns an error if the server can't be reached, refuses the request, or its answer is not JSON.
    fn ask(&self, request: Request) -> impl Future<Output = Result<Value, Failure>> + Send;
}

/// A request to the HTTP API.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Segments of the path below `/api/v1`.
    pub path: Vec<String>,
    /// Parameters of the query.
    pub query: Vec<(&'static str, String)>,
    /// True if the request is a POST, else it is a GET.
    pub is_change: bool,
    /// JSON body of a POST, if the route has one.
    pub body: Option<Value>,
    /// Name and version of the MCP client, in printable ASCII. Empty if it did not send them.
    pub client: String,
}

/// Error of a request.
#[derive(Debug, Clone)]
pub struct Failure {
    /// HTTP status of the answer, if there was one.
    pub status: Option<u16>,
    /// Cause and remedy.
    pub detail: String,
}

/// Longest name of a client, in bytes.
const MAX_CLIENT_BYTES: usize = 100;

impl Request {
    /// Returns a GET request.
    pub(crate) fn get(path: &[&str]) -> Self {
        Self { path: path.iter().map(|part| (*part).to_owned()).collect(), ..Self::default() }
    }

    /// Returns a POST request. With `null`, it has no body.
    pub(crate) fn post(path: &[&str], body: Value) -> Self {
        Self { is_change: true, body: Some(body).filter(|body| !body.is_null()), ..Self::get(path) }
    }

    /// Adds a parameter to the query.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: &(impl ToString + ?Sized)) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// Adds a parameter to the query, if there is a value.
    #[must_use]
    pub(crate) fn with_some(self, name: &'static str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.with(name, &value),
            None => self,
        }
    }

    /// Returns path and query as they are sent, such as `/api/v1/roots?limit=2`.
    pub fn path_and_query(&self) -> String {
        let mut url: Url = "http://localhost/api/v1".parse().expect("a URL");
        url.path_segments_mut().expect("an http URL has a path").extend(&self.path);
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        url[url::Position::BeforePath..].to_owned()
    }

    /// Returns the `User-Agent` of the request. The audit log contains it, so that it names the MCP client.
    pub fn user_agent(&self) -> String {
        let own = concat!("monitor-mcp/", env!("CARGO_PKG_VERSION"));
        if self.client.is_empty() { own.to_owned() } else { format!("{own} ({})", self.client) }
    }
}

/// Returns the name of a client as printable ASCII, shortened.
pub(crate) fn client_name(text: &str) -> String {
    text.chars().filter(|c| (' '..='~').contains(c) && !matches!(c, '(' | ')')).take(MAX_CLIENT_BYTES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_of_a_caller_stays_in_its_segment_or_parameter() {
        let request = Request::get(&["roots", "../users?x#"]).with("q", "a&state=b c");
        assert_eq!(request.path_and_query(), "/api/v1/roots/..%2Fusers%3Fx%23?q=a%26state%3Db+c");
    }

    #[test]
    fn the_name_of_a_client_is_one_line_of_ascii() {
        let request = Request { client: client_name("evil)\r\nX: 1\u{202e}é".repeat(99).as_str()), ..Request::default() };
        let agent = request.user_agent();
        assert!(agent.len() < 130 && agent.starts_with("monitor-mcp/") && agent.contains("(evilX: 1evilX: 1"), "{agent}");
    }
}
