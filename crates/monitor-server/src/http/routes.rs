//! Declaration of routes, each with the scope that it requires. A route can't be added without one. A request that matches no declared
//! route requires `read`, or `operate` if its method can change something.

use std::collections::BTreeMap;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, on};
use http::Method;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::App;
use crate::access::Scope;

/// Requirements of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) wants: Wants,
    /// Text for the audit log, in addition to method and path. `None` if requests are not recorded there.
    pub(super) audit: Option<&'static str>,
}

/// Right that a caller needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    Nothing,
    /// Document of the page: a caller without `read` is redirected to the login.
    Page,
    Scope(Scope),
}

/// Route without a required scope: its response is the same for every caller, or its handler checks the caller.
pub(super) const PUBLIC: Rule = Rule { wants: Wants::Nothing, audit: None };
pub(super) const PAGE: Rule = Rule { wants: Wants::Page, audit: None };
/// Route that accepts events.
pub(super) const INGEST: Rule = Rule { wants: Wants::Scope(Scope::Ingest), audit: None };
/// Route that shows recorded data.
pub(super) const READ: Rule = Rule { wants: Wants::Scope(Scope::Read), audit: None };
/// Route that shows the effect of a request without changing anything.
pub(super) const TRY: Rule = READ;
/// Route for agents.
pub(super) const AGENT: Rule = Rule { wants: Wants::Scope(Scope::Agent), audit: None };
/// Route that shows the scripts of jobs.
pub(super) const OPERATE: Rule = Rule { wants: Wants::Scope(Scope::Operate), audit: None };
/// Route that shows the audit log and tokens.
pub(super) const ADMIN: Rule = Rule { wants: Wants::Scope(Scope::Admin), audit: None };

/// Returns the rule of a route that changes something, with its text for the audit log.
pub(super) const fn change(scope: Scope, audit: &'static str) -> Rule {
    Rule { wants: Wants::Scope(scope), audit: Some(audit) }
}

/// Rules of all routes, by the path as declared and by method.
#[derive(Debug, Default)]
pub(super) struct Rules(BTreeMap<String, BTreeMap<String, Rule>>);

impl Rules {
    /// Returns the rule of the route with this path. A request without a route gets the rule `READ`, or `operate` for methods that change
    /// something.
    pub(super) fn of(&self, method: &Method, path: Option<&str>) -> Rule {
        // axum answers HEAD with the handler of GET.
        let declared = if *method == Method::HEAD { "GET" } else { method.as_str() };
        let rule = path.and_then(|path| self.0.get(path)?.get(declared));
        rule.copied().unwrap_or_else(|| if is_read(method) { READ } else { change(Scope::Operate, "") })
    }

    fn declare(&mut self, rule: Rule, method: &str, path: &str) {
        self.0.entry(path.to_owned()).or_default().insert(method.to_owned(), rule);
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str, Rule)> {
        self.0.iter().flat_map(|(path, methods)| methods.iter().map(move |(method, rule)| (method.as_str(), path.as_str(), *rule)))
    }
}

/// True if requests with this method change nothing.
pub(super) fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Router under construction, with its rules and its description.
pub(super) struct Routes {
    router: OpenApiRouter<App>,
    rules: Rules,
}

impl Routes {
    pub(super) fn new(description: OpenApi) -> Self {
        Self { router: OpenApiRouter::with_openapi(description), rules: Rules::default() }
    }

    /// Adds the described handlers of one path, as returned by `routes!`.
    pub(super) fn add(mut self, rule: Rule, routes: UtoipaMethodRouter<App>) -> Self {
        for (path, item) in &routes.1.paths {
            let methods = [("GET", &item.get), ("POST", &item.post), ("PUT", &item.put), ("PATCH", &item.patch), ("DELETE", &item.delete)];
            for (method, _) in methods.into_iter().filter(|(_, operation)| operation.is_some()) {
                self.rules.declare(rule, method, path);
            }
        }
        self.router = self.router.routes(routes);
        self
    }

    /// Adds a handler that is not part of the API and not described.
    pub(super) fn hidden<T: 'static>(mut self, rule: Rule, method: MethodFilter, path: &str, handler: impl Handler<T, App>) -> Self {
        let name = if method == MethodFilter::GET { "GET" } else { "POST" };
        assert!(method == MethodFilter::GET || method == MethodFilter::POST, "only pages and forms are hidden");
        self.rules.declare(rule, name, path);
        self.router = self.router.route(path, on(method, handler));
        self
    }

    pub(super) fn into_parts(self) -> (Router<App>, Rules, OpenApi) {
        let (router, description) = self.router.split_for_parts();
        (router, self.rules, description)
    }
}
