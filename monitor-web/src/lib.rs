//! The page of Process Monitor, built from TypeScript by this crate's build script and embedded.
//!
//! It knows nothing of the server but its HTTP API; the server knows nothing of the page but the
//! four items here. When the page could not be built (no Node, no network), [`index`] is a small
//! page that says so and where the API is, and [`missing`] gives the reason.

use std::borrow::Cow;
use std::fmt::Write;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "$OUT_DIR/page"]
struct Page;

/// One file of the page.
#[derive(Debug, Clone)]
pub struct Asset {
    /// What to send as the body.
    pub bytes: Cow<'static, [u8]>,
    /// The media type, with its charset.
    pub content_type: &'static str,
    /// A strong entity tag, with its quotes.
    pub etag: String,
    /// Named by its content: may be cached for ever.
    pub immutable: bool,
}

/// The file at `path` (no leading slash), if the page has it.
pub fn asset(path: &str) -> Option<Asset> {
    Page::get(path).map(|file| embedded(path, file))
}

/// The page itself, served for `/tasks` and every path below it.
pub fn index() -> Asset {
    asset("index.html").unwrap_or_else(|| {
        let reason = missing().unwrap_or("it was built without its start page");
        let html = include_str!("missing.html").replace("{reason}", &escape(reason));
        Asset {
            etag: format!("\"missing-{:016x}\"", BuildHasherDefault::<DefaultHasher>::default().hash_one(&html)),
            bytes: Cow::Owned(html.into_bytes()),
            content_type: content_type("index.html"),
            immutable: false,
        }
    })
}

/// Why the page could not be built, if so.
pub fn missing() -> Option<&'static str> {
    option_env!("MONITOR_WEB_MISSING")
}

fn embedded(path: &str, file: EmbeddedFile) -> Asset {
    let mut etag = String::from("\"");
    for byte in &file.metadata.sha256_hash()[..16] {
        let _ = write!(etag, "{byte:02x}");
    }
    etag.push('"');
    Asset {
        bytes: file.data,
        content_type: content_type(path),
        etag,
        // Vite puts what it names by content there, and nothing else.
        immutable: path.starts_with("assets/"),
    }
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Write as _;

    use super::*;

    #[test]
    fn the_page_is_there_or_says_why_not() {
        let page = index();
        let html = String::from_utf8(page.bytes.into_owned()).expect("the page is UTF-8");
        assert_eq!(page.content_type, "text/html; charset=utf-8");
        assert!(!page.immutable);
        if let Some(reason) = missing() {
            assert!(html.contains(&escape(reason)), "{html}");
            assert!(html.contains("/api/openapi.json"), "{html}");
        } else {
            let script = html.split("src=\"/").find(|rest| rest.starts_with("assets/")).and_then(|rest| rest.split('"').next());
            let script = asset(script.expect("a script")).expect("the script is embedded");
            assert!(script.immutable);
            assert_eq!(script.content_type, "text/javascript; charset=utf-8");
        }
    }

    #[test]
    fn the_page_has_no_inline_script_or_style() {
        let html = String::from_utf8(index().bytes.into_owned()).expect("the page is UTF-8");
        assert!(!html.contains("<style"), "{html}");
        let outside = html.replace("<script type=\"module\" crossorigin src=", "").replace("<script src=\"/ahead.js\">", "");
        assert!(!outside.contains("<script"), "{html}");
        assert!(
            missing().is_some() || asset("ahead.js").is_some_and(|script| !script.immutable),
            "what is read ahead is asked for by a name that stays"
        );
    }

    /// Bytes of a file as it is sent.
    fn compressed(path: &str) -> usize {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&asset(path).expect("it is embedded").bytes).expect("memory");
        encoder.finish().expect("memory").len()
    }

    /// A script with all that it imports before it runs.
    fn with_imports(path: String, found: &mut BTreeSet<String>) {
        let text = String::from_utf8(asset(&path).expect("it is embedded").bytes.into_owned()).expect("scripts are UTF-8");
        if !found.insert(path) {
            return;
        }
        for start in ["from\"./", "import\"./"] {
            for import in text.split(start).skip(1) {
                with_imports(format!("assets/{}", import.split('"').next().unwrap_or_default()), found);
            }
        }
    }

    #[test]
    fn the_page_is_as_small_as_it_was_meant_to_be() {
        if missing().is_some() {
            return;
        }
        let all: Vec<_> = Page::iter().map(Cow::into_owned).collect();
        let is = |path: &str, extension: &str| path.rsplit_once('.').is_some_and(|(_, found)| found == extension);
        let starting = |start: &str| all.iter().filter(|path| path.starts_with(start) && is(path, "js")).cloned().collect::<Vec<_>>();
        let mut entry = BTreeSet::new();
        // The bundler's entry and the list, which is what most look at first.
        for path in [starting("assets/index-"), starting("assets/Tasks-")].concat() {
            with_imports(path, &mut entry);
        }
        let sum = |paths: &mut dyn Iterator<Item = &String>| paths.map(|path| compressed(path)).sum::<usize>();
        let entry = sum(&mut entry.iter());
        let scripts = sum(&mut all.iter().filter(|path| is(path, "js")));
        let styles = sum(&mut all.iter().filter(|path| is(path, "css")));
        assert!(entry > 50_000 && entry <= 170_000, "the entry takes {entry} bytes");
        assert!(scripts <= 320_000, "all scripts take {scripts} bytes");
        assert!(styles <= 20_000, "all styles take {styles} bytes");
    }

    #[test]
    fn what_is_not_there_is_none() {
        assert!(asset("../Cargo.toml").is_none());
        assert!(asset("").is_none());
    }
}
