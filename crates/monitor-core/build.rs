//! `links` in Cargo.toml wants a build script; it keeps a second copy of this crate out of a program.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
