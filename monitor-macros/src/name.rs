//! Names that contain values of the call: `"import {table}"`.

use syn::{Expr, LitStr};

use crate::mistakes::Mistakes;
use crate::plan::Parameters;
use crate::told::{self, Key};

/// Name of a function's processes.
pub(crate) struct Name {
    /// The name, or the pattern as written.
    pub(crate) literal: LitStr,
    /// Format string and values, if the name is a pattern.
    pub(crate) format: Option<(LitStr, Vec<Expr>)>,
}

/// Parses the name; `{{` and `}}` are literal braces.
pub(crate) fn read(written: LitStr, masks: &[Key], parameters: &mut Parameters<'_>, mistakes: &mut Mistakes) -> Name {
    let text = written.value();
    let (mut format, mut plain, mut values) = (String::new(), String::new(), Vec::new());
    let mut rest = text.as_str();
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        format.push_str(before);
        plain.push_str(before);
        if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
            format.push_str(&from[..2]);
            plain.push_str(&from[..1]);
            rest = after;
            continue;
        }
        let inner = from.strip_prefix('{').and_then(|from| from.split_once('}'));
        let Some((inner, after)) = inner else {
            mistakes.push(&written, "a brace of the name has no other one; write `{{` or `}}` for the sign itself");
            return Name { literal: written, format: None };
        };
        let (value, spec) = inner.split_once(':').map_or((inner, ""), |(value, spec)| (value, spec));
        match LitStr::new(value, written.span()).parse::<Expr>() {
            Ok(expr) if told::path(&expr).is_some() => {
                if parameters.find(&expr, &written, mistakes) {
                    told::check_mask(masks, &expr, &written, mistakes);
                    values.push(expr);
                }
            }
            _ => mistakes.push(&written, format!("`{{{inner}}}` is no parameter or field of one; write `{{{{` for a brace")),
        }
        if spec.is_empty() {
            format.push_str("{}");
        } else {
            format.extend(["{:", spec, "}"]);
        }
        plain.push_str(&from[..inner.len() + 2]);
        rest = after;
    }
    format.push_str(rest);
    plain.push_str(rest);
    let literal = LitStr::new(&plain, written.span());
    let format = (!values.is_empty()).then(|| (LitStr::new(&format, written.span()), values));
    Name { literal, format }
}
