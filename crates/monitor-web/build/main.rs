//! Builds the page with npm into `OUT_DIR/page`, which the library embeds. A failure does not fail the Rust build: without Node, the server
//! contains a page that explains the missing part.

mod compress;
mod page;

use std::env;
use std::path::PathBuf;

fn main() {
    let variable = |name| PathBuf::from(env::var_os(name).expect("cargo sets it for build scripts"));
    let out = variable("OUT_DIR");
    let own = variable("CARGO_MANIFEST_DIR");
    // A package of the registry contains the built page instead of its sources, and needs no Node.
    let built = own.join("built");
    if built.exists() {
        println!("cargo::rerun-if-changed=built");
        return page::copy(&built, &out).unwrap_or_else(|missing| panic!("{missing}"));
    }
    let app = own.join("app");

    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-env-changed=PATH");
    for source in page::SOURCES {
        println!("cargo::rerun-if-changed={}", app.join(source).display());
    }

    let request = page::Request {
        cache: page::target_folder(&out).join("monitor-web"),
        page: out.join("page"),
        report: out.join("report"),
        path: env::var_os("PATH").unwrap_or_default(),
        app,
    };
    let compressed = || compress::compress(&request.page).map_err(|error| page::Missing::Disk(request.page.clone(), error));
    if let Err(missing) = page::build(&request).and_then(|()| compressed()) {
        // Cargo runs a build script again as long as a path it named does not exist. The page is therefore built as soon as Node is
        // installed, without `cargo clean`.
        println!("cargo::rerun-if-changed={}", request.page.join("index.html").display());
        println!("cargo::rustc-env=MONITOR_WEB_MISSING={missing}");
        println!("cargo::warning=the page is not built, the server will say so in its place: {missing}");
    }
}
