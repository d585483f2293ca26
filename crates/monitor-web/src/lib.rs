//! The web page of Process Monitor, built from TypeScript by this crate's build script and embedded.
//!
//! The page uses only the server's HTTP API, and the server uses only the items of this crate. If the page could not be built (no Node, no
//! network), [`index`] is a small page that explains this and links to the API, and [`missing`] returns the reason.

use std::borrow::Cow;
use std::fmt::Write;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use rust_embed::{EmbeddedFile, RustEmbed};

#[derive(RustEmbed)]
#[folder = "$OUT_DIR/page"]
struct Page;

/// Files of the report page (a run in a file), which are not part of the page.
#[derive(RustEmbed)]
#[folder = "$OUT_DIR/report"]
struct ReportFiles;

/// Content codings with embedded copies, and the suffixes of their file names.
const CODINGS: [(&str, &str); 3] = [("br", ".br"), ("zstd", ".zst"), ("gzip", ".gz")];

/// A file of the page.
#[derive(Debug, Clone)]
pub struct Asset {
    path: String,
    hash: String,
    /// Body to send.
    pub bytes: Cow<'static, [u8]>,
    /// Media type with charset.
    pub content_type: &'static str,
    /// True if the name contains a hash of the content, so that the file can be cached permanently.
    pub immutable: bool,
}

impl Asset {
    /// Returns the body in a content coding. `None` if the build made no such copy because it would not be smaller.
    pub fn coded(&self, coding: &str) -> Option<Cow<'static, [u8]>> {
        let (_, ending) = CODINGS.iter().find(|(name, _)| *name == coding)?;
        Page::get(&format!("{}{ending}", self.path)).map(|file| file.data)
    }

    /// Returns the strong entity tag, with quotes, of the body in a content coding, or of the plain body.
    pub fn etag(&self, coding: Option<&str>) -> String {
        let hash = &self.hash;
        coding.map_or_else(|| format!("\"{hash}\""), |coding| format!("\"{hash}-{coding}\""))
    }
}

/// Returns the file at `path` (without leading slash), if it exists.
pub fn asset(path: &str) -> Option<Asset> {
    // Compressed copies are only sent in place of the plain files.
    let is_plain = !CODINGS.iter().any(|(_, ending)| path.ends_with(ending));
    Page::get(path).filter(|_| is_plain).map(|file| embedded(path, file))
}

/// Returns the paths of all files that [`asset`] finds, without leading slash.
pub fn paths() -> impl Iterator<Item = String> {
    let is_plain = |path: &Cow<'_, str>| !CODINGS.iter().any(|(_, ending)| path.ends_with(ending));
    Page::iter().filter(is_plain).map(Cow::into_owned)
}

/// Returns the start page, which is served for `/tasks` and every path below it.
pub fn index() -> Asset {
    asset("index.html").unwrap_or_else(|| {
        let reason = missing().unwrap_or("it was built without its start page");
        let html = include_str!("missing.html").replace("{reason}", &escape(reason));
        Asset {
            path: "missing.html".to_owned(),
            hash: format!("missing-{:016x}", BuildHasherDefault::<DefaultHasher>::default().hash_one(&html)),
            bytes: Cow::Owned(html.into_bytes()),
            content_type: content_type("index.html"),
            immutable: false,
        }
    })
}

/// Code of the report page, which is written into a file together with the data of a run.
#[derive(Debug, Clone)]
pub struct Report {
    /// Content of a `<script type="module">` element. Does not contain its end tag.
    pub script: Cow<'static, str>,
    /// Content of a `<style>` element, including fonts. Does not contain its end tag.
    pub style: Cow<'static, str>,
}

/// Returns the report page. `None` if it could not be built; [`missing`] returns the reason.
pub fn report() -> Option<Report> {
    let text = |name| match ReportFiles::get(name)?.data {
        Cow::Borrowed(bytes) => str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    };
    Some(Report { script: text("report.js")?, style: text("report.css")? })
}

/// Returns the reason why the page could not be built, if it is missing.
pub fn missing() -> Option<&'static str> {
    option_env!("MONITOR_WEB_MISSING")
}

fn embedded(path: &str, file: EmbeddedFile) -> Asset {
    let mut hash = String::new();
    for byte in &file.metadata.sha256_hash()[..16] {
        let _ = write!(hash, "{byte:02x}");
    }
    Asset {
        path: path.to_owned(),
        hash,
        bytes: file.data,
        content_type: content_type(path),
        // Vite puts exactly the files named by content there.
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
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_page_is_embedded_or_a_placeholder_shows_the_reason() {
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

    /// Returns the size of a file as sent with gzip, the only coding of those that browsers accept without TLS.
    fn compressed(path: &str) -> usize {
        let asset = asset(path).expect("it is embedded");
        asset.coded("gzip").map_or(asset.bytes.len(), |coded| coded.len())
    }

    #[test]
    fn files_are_embedded_in_every_encoding_that_makes_them_smaller() {
        for path in Page::iter().filter(|path| path.ends_with(".js") || path.ends_with(".css") || path.ends_with(".html")) {
            let asset = asset(&path).expect("it is embedded");
            let [br, zstd, gzip] = ["br", "zstd", "gzip"].map(|coding| asset.coded(coding));
            if asset.bytes.len() < 1_024 {
                continue;
            }
            let (br, packed, gzip) = (br.expect("brotli"), zstd.expect("zstd"), gzip.expect("gzip"));
            assert!(
                br.len() < gzip.len() && packed.len().max(gzip.len()) < asset.bytes.len() * 3 / 4,
                "{path}: {} {} {} {}",
                br.len(),
                packed.len(),
                gzip.len(),
                asset.bytes.len()
            );
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&*gzip).read_to_end(&mut plain).expect("whole");
            assert!(plain == *asset.bytes, "{path}");
            assert!(zstd::decode_all(&*packed).expect("whole") == *asset.bytes, "{path}");
            for ending in ["br", "zst", "gz"] {
                assert!(super::asset(&format!("{path}.{ending}")).is_none(), "it has no name of its own");
            }
            assert!(asset.coded("deflate").is_none() && asset.coded("../br").is_none());
        }
    }

    /// Collects a script with all its static imports.
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
    fn the_page_does_not_exceed_its_size_limits() {
        if missing().is_some() {
            return;
        }
        let all: Vec<_> = Page::iter().map(Cow::into_owned).collect();
        let is = |path: &str, extension: &str| path.rsplit_once('.').is_some_and(|(_, found)| found == extension);
        let starting = |start: &str| all.iter().filter(|path| path.starts_with(start) && is(path, "js")).cloned().collect::<Vec<_>>();
        let mut entry = BTreeSet::new();
        // The bundler's entry and the list of runs, which most users open first.
        for path in [starting("assets/index-"), starting("assets/Tasks-")].concat() {
            with_imports(path, &mut entry);
        }
        let sum = |paths: &mut dyn Iterator<Item = &String>| paths.map(|path| compressed(path)).sum::<usize>();
        let entry = sum(&mut entry.iter());
        let scripts = sum(&mut all.iter().filter(|path| is(path, "js")));
        let styles = sum(&mut all.iter().filter(|path| is(path, "css")));
        assert!(entry > 50_000 && entry <= 170_000, "the entry takes {entry} bytes");
        assert!(scripts <= 350_000, "all scripts take {scripts} bytes");
        assert!(styles <= 25_000, "all styles take {styles} bytes");
    }

    #[test]
    fn a_report_is_one_script_and_one_style_that_refer_to_nothing() {
        let Some(Report { script, style }) = report() else {
            assert!(missing().is_some());
            return;
        };
        assert!(asset("report.js").is_none() && !paths().any(|path| path.contains("report.js")), "it is no file of the page");
        let script_lower = script.to_lowercase();
        for end in ["</script", "<script", "<!--"] {
            assert!(!script_lower.contains(end), "{end} would end the element or open a comment");
        }
        assert!(!style.to_lowercase().contains("</style"));
        for needed in ["import(", "import\"", "import{", "new Worker", "new SharedWorker", "EventSource", "sourceMappingURL", "import.meta"]
        {
            assert!(!script.contains(needed), "{needed} would ask for another file");
        }
        for part in style.split("url(").skip(1) {
            assert!(part.trim_start_matches('"').starts_with("data:font/woff2;"), "{}", &part[..part.len().min(80)]);
        }
        assert!(!style.contains("@import"));
        assert!(style.matches("data:font/woff2;").count() == 2, "the fonts are in it");
        assert!(script.len() <= 600_000 && style.len() <= 170_000, "script {}, style {}", script.len(), style.len());
    }

    #[test]
    fn a_missing_asset_is_none() {
        assert!(asset("../Cargo.toml").is_none());
        assert!(asset("").is_none());
    }
}
