fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=BUILT={}", built());
}
fn built() -> u32 {
    7
}
