//! Tests the configuration for WebAssembly without compiling for it, because its standard library is rarely installed.

use std::process::Command;

/// Recording is refused depending on the compiler's configuration of the target.
#[test]
fn recording_is_refused_only_for_webassembly() {
    let family = |target: &[&str]| {
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let output = Command::new(rustc).args(["--print", "cfg"]).args(target).output().expect("rustc runs");
        String::from_utf8_lossy(&output.stdout).lines().any(|line| line == r#"target_family="wasm""#)
    };
    assert!(family(&["--target", "wasm32-unknown-unknown"]) && !family(&[]));
    let source = include_str!("../src/lib.rs");
    assert!(source.contains("#[cfg(all(target_family = \"wasm\", feature = \"record\"))]\ncompile_error!("));
}
