//! The login page: text and a form, without scripts, in both languages.

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::super::App;
use super::local;
use crate::html::Text;

/// Stricter than the policy of the main page, because this page contains only text and a form.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; img-src 'self' data:";

#[derive(Clone, Copy)]
pub(super) struct Words {
    pub(super) lang: &'static str,
    title: &'static str,
    user: &'static str,
    password: &'static str,
    log_in: &'static str,
    hint: &'static str,
    pub(super) wrong: &'static str,
    pub(super) too_often: &'static str,
    pub(super) unreadable: &'static str,
    pub(super) unreadable_address: &'static str,
    pub(super) used: &'static str,
    /// Text before and after the provider's name.
    log_in_by: (&'static str, &'static str),
    pub(super) going_on: &'static str,
    other: (&'static str, &'static str),
}

const ENGLISH: Words = Words {
    lang: "en",
    title: "Log in",
    user: "User",
    password: "Password",
    log_in: "Log in",
    hint: "To add a user, run on the server's machine: monitor user add NAME. To log in there without a password: monitor open.",
    wrong: "The user name or password is wrong.",
    too_often: "Too many attempts: wait a minute.",
    unreadable: "The form could not be read: try again.",
    unreadable_address: "The address of this page is malformed: log in here.",
    used: "This link has already been used, or is older than a minute: run monitor open for a new one.",
    log_in_by: ("Log in with ", ""),
    going_on: "You are logged in. Continue to the page",
    other: ("zh", "中文"),
};

const CHINESE: Words = Words {
    lang: "zh",
    title: "登录",
    user: "用户",
    password: "密码",
    log_in: "登录",
    hint: "在服务器所在的机器上添加用户：monitor user add NAME。在该机器上无需密码即可登录：monitor open。",
    wrong: "用户名或密码不正确。",
    too_often: "尝试次数过多，请等待一分钟。",
    unreadable: "无法读取表单，请重试。",
    unreadable_address: "此页面的地址格式不正确，请在此登录。",
    used: "此链接已被使用，或已超过一分钟：请运行 monitor open 获取新链接。",
    log_in_by: ("通过 ", " 登录"),
    going_on: "您已登录。前往页面",
    other: ("en", "English"),
};

impl Words {
    /// Returns the texts in the requested language, or in the browser's preferred language.
    pub(super) fn of(lang: &str, headers: &HeaderMap) -> Self {
        let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let lang = if lang.is_empty() { accepted } else { lang };
        if lang.trim_start().starts_with("zh") { CHINESE } else { ENGLISH }
    }
}

/// Builder of the page.
pub(super) struct Page<'a> {
    words: Words,
    next: &'a str,
    problem: Option<&'a str>,
    user: &'a str,
    /// Host of the OpenID Connect provider, if configured.
    provider: Option<&'a str>,
}

impl<'a> Page<'a> {
    /// Creates a page that leads to the path `next`.
    pub(super) fn new(app: &'a App, words: Words, next: &'a str) -> Self {
        Self { words, next: local(next), problem: None, user: "", provider: app.oidc.as_ref().map(crate::oidc::Oidc::name) }
    }

    /// Sets the error message.
    pub(super) fn problem(self, problem: &'a str) -> Self {
        Self { problem: Some(problem), ..self }
    }

    /// Fills in the user name.
    pub(super) fn user(self, user: &'a str) -> Self {
        Self { user, ..self }
    }

    /// Renders the page as a response.
    pub(super) fn answer(self, status: StatusCode) -> Response {
        let Self { words, next, problem, user, provider } = self;
        let (user, shown_next) = (Text(user), Text(next));
        let Words { lang, hint, log_in, log_in_by, .. } = words;
        let problem = problem.map(|problem| format!("<p class=\"problem\" role=\"alert\">{}</p>", Text(problem))).unwrap_or_default();
        let (other, other_name) = words.other;
        let (user_label, password_label) = (words.user, words.password);
        let query =
            |lang| url::form_urlencoded::Serializer::new(String::new()).append_pair("next", next).append_pair("lang", lang).finish();
        let (by, with) = log_in_by;
        let provider = provider
            .map(|name| format!("<p><a class=\"button\" href=\"/login/oidc?{}\">{by}{}{with}</a></p>", Text(&query(lang)), Text(name)));
        let (provider, in_other) = (provider.unwrap_or_default(), query(other));
        let in_other = Text(&in_other);
        let body = format!(
            r#"{problem}
<form method="post" action="/login">
<label>{user_label}<input name="user" value="{user}" autocomplete="username" autocapitalize="none" required autofocus></label>
<label>{password_label}<input name="password" type="password" autocomplete="current-password" required></label>
<input type="hidden" name="next" value="{shown_next}"><input type="hidden" name="lang" value="{lang}">
<button>{log_in}</button></form>{provider}
<p class="hint">{hint}</p><p class="hint"><a href="/login?{in_other}" lang="{other}" hreflang="{other}">{other_name}</a></p>"#
        );
        document(status, words, "", &body)
    }
}

/// Returns a page that forwards the browser to `next`. The navigation then begins on this site, so that the browser sends strict cookies.
pub(super) fn going_on(words: Words, next: &str) -> Response {
    let next = Text(local(next));
    let head = format!("<meta http-equiv=\"refresh\" content=\"0; url={next}\">");
    document(StatusCode::OK, words, &head, &format!("<p><a href=\"{next}\">{}</a></p>", words.going_on))
}

fn document(status: StatusCode, words: Words, head: &str, body: &str) -> Response {
    let Words { lang, title, .. } = words;
    let html = format!(
        r#"<!doctype html>
<html lang="{lang}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">{head}
<title>{title} · Process Monitor</title><link rel="icon" href="/favicon.svg" type="image/svg+xml"><link rel="stylesheet" href="/login.css"></head>
<body><main><h1>Process Monitor</h1>{body}</main></body></html>
"#
    );
    let mut response = (status, Html(html)).into_response();
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}
