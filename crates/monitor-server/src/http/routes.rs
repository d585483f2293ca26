//! Routes, each declared with what it asks of its callers. A route can't be added without that, and what is not declared is refused to
//! whoever may not read, or not change, what there is.

use std::collections::BTreeMap;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, on};
use http::Method;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::App;
use crate::access::Scope;

/// What one route asks of its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) wants: Wants,
    /// The words that the audit log has beside method and path, if calls are recorded there.
    pub(super) audit: Option<&'static str>,
}

/// The right that a caller needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    Nothing,
    /// A document of the page: whoever may not read is led to the login.
    Page,
    Scope(Scope),
}

/// A route that is the same for everybody, or that asks by itself.
pub(super) const PUBLIC: Rule = Rule { wants: Wants::Nothing, audit: None };
/// A document of the page.
pub(super) const PAGE: Rule = Rule { wants: Wants::Page, audit: None };
/// A route that takes events.
pub(super) const INGEST: Rule = Rule { wants: Wants::Scope(Scope::Ingest), audit: None };
/// A route that shows what is recorded.
pub(super) const READ: Rule = Rule { wants: Wants::Scope(Scope::Read), audit: None };
/// A route that shows what would become of what is sent, and changes nothing.
pub(super) const TRY: Rule = READ;
/// A route for agents.
pub(super) const AGENT: Rule = Rule { wants: Wants::Scope(Scope::Agent), audit: None };
/// A route that shows who did what.
pub(super) const ADMIN: Rule = Rule { wants: Wants::Scope(Scope::Admin), audit: None };

/// A route that changes something, with its word for the audit log.
pub(super) const fn change(scope: Scope, audit: &'static str) -> Rule {
    Rule { wants: Wants::Scope(scope), audit: Some(audit) }
}

/// The rules of all routes, by path as it is declared and by method.
#[derive(Debug, Default)]
pub(super) struct Rules(BTreeMap<String, BTreeMap<String, Rule>>);

impl Rules {
    /// Returns the rule for a request that matched the route with this path, or none.
    pub(super) fn of(&self, method: &Method, path: Option<&str>) -> Rule {
        // axum answers HEAD by the route for GET.
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

/// Returns true if a method changes nothing.
pub(super) fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Routes so far, with their rules and their description.
pub(super) struct Routes {
    router: OpenApiRouter<App>,
    rules: Rules,
}

impl Routes {
    pub(super) fn new(description: OpenApi) -> Self {
        Self { router: OpenApiRouter::with_openapi(description), rules: Rules::default() }
    }

    /// Adds described handlers of one path, as `routes!` makes them of their OpenAPI entries.
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

    /// Adds a handler that is no part of the API, and so is not described.
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
