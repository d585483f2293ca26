//! The code that the attributes write, one file per shape. Needs `cargo expand`, which `cargo xtask test` installs.

#[test]
fn what_is_generated_is_what_is_shown() {
    macrotest::expand("tests/expand/*.rs");
}
