//! Parameters of a call: of its query by GET, of its JSON body by POST. Clients send numbers also as strings, and booleans as `True`.

use axum::extract::{FromRequest, Request};
use http::Method;
use serde_json::{Map, Value};

use super::super::App;
use super::super::body::beginning;
use super::MAX_BYTES;
use super::failure::{Failure, code};

/// Parameters by name. Null and empty texts count as absent.
#[derive(Debug)]
pub(super) struct Params {
    /// Path of these parameters, such as `target_server.`.
    place: String,
    values: Map<String, Value>,
}

impl FromRequest<App> for Params {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let values = if request.method() == Method::POST {
            let bytes = body(request, app).await?;
            let read = if bytes.trim_ascii().is_empty() { Ok(Value::Object(Map::new())) } else { serde_json::from_slice(&bytes) };
            match read {
                Ok(Value::Object(values)) => values,
                Ok(_) => return Err(Failure::new(code::BAD_REQUEST, "the body is not an object of JSON: send {\"NAME\": VALUE, …}")),
                Err(error) => return Err(Failure::new(code::BAD_REQUEST, format!("the body is not JSON: {error}"))),
            }
        } else {
            let pairs = url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes());
            pairs.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))).collect()
        };
        Ok(Self { place: String::new(), values })
    }
}

/// Returns the body of a request.
pub(super) async fn body(request: Request, app: &App) -> Result<Vec<u8>, Failure> {
    let (bytes, is_cut) = beginning(request, app, MAX_BYTES).await?;
    if is_cut {
        return Err(Failure::new(code::BAD_REQUEST, format!("the body is larger than {MAX_BYTES} bytes: send less")));
    }
    Ok(bytes)
}

impl Params {
    fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name).filter(|value| !value.is_null() && value.as_str() != Some(""))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Returns the refusal of a parameter's value.
    pub(super) fn illegal(&self, name: &str, why: &str) -> Failure {
        Failure::new(code::ILLEGAL, format!("{}{name}: {why}", self.place))
    }

    pub(super) fn missing(&self, name: &str) -> Failure {
        Failure::new(code::MISSING, format!("{}{name}: it is missing", self.place))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        self.get(name).map(|value| number(value).ok_or_else(|| self.unlike(name, value, "a whole number"))).transpose()
    }

    pub(super) fn needed_number(&self, name: &str) -> Result<u64, Failure> {
        self.number(name)?.ok_or_else(|| self.missing(name))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Failure> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(value) => Err(self.unlike(name, value, "a text")),
        }
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Failure> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_lowercase);
        match text.as_str() {
            "true" | "1" => Ok(Some(true)),
            "false" | "0" => Ok(Some(false)),
            _ => Err(self.unlike(name, value, "true or false")),
        }
    }

    /// Returns a list, which a query contains as JSON.
    pub(super) fn list(&self, name: &str) -> Result<Vec<Value>, Failure> {
        let list = match self.get(name) {
            None => return Ok(Vec::new()),
            Some(Value::Array(list)) => Some(list.clone()),
            Some(Value::String(text)) => serde_json::from_str(text).ok(),
            Some(_) => None,
        };
        list.ok_or_else(|| self.unlike(name, &self.values[name], "a list"))
    }

    pub(super) fn numbers(&self, name: &str) -> Result<Vec<u64>, Failure> {
        let read = |(index, value): (usize, &Value)| {
            number(value).ok_or_else(|| self.unlike(&format!("{name}[{index}]"), value, "a whole number"))
        };
        self.list(name)?.iter().enumerate().map(read).collect()
    }

    pub(super) fn objects(&self, name: &str) -> Result<Vec<Self>, Failure> {
        let read = |(index, value)| self.nested(&format!("{name}[{index}]"), value);
        self.list(name)?.into_iter().enumerate().map(read).collect()
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<Self>, Failure> {
        self.get(name).map(|value| self.nested(name, value.clone())).transpose()
    }

    fn nested(&self, name: &str, value: Value) -> Result<Self, Failure> {
        match value {
            Value::Object(values) => Ok(Self { place: format!("{}{name}.", self.place), values }),
            value => Err(self.unlike(name, &value, "an object")),
        }
    }

    fn unlike(&self, name: &str, value: &Value, expected: &str) -> Failure {
        // Lists and objects may contain arguments of a script, which neither answers nor the audit log must show.
        let found = match value {
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "an object".to_owned(),
            value => value.to_string().chars().take(80).collect(),
        };
        self.illegal(name, &format!("{found} is not {expected}"))
    }
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.trim().parse().ok())
}
