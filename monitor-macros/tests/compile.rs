//! Tests which attributed functions compile, and the error messages of the others.

#[test]
fn correct_uses_compile() {
    trybuild::TestCases::new().pass("tests/pass/*.rs");
}

#[test]
fn every_mistake_is_one_error_at_its_token() {
    trybuild::TestCases::new().compile_fail("tests/fail/*.rs");
}
