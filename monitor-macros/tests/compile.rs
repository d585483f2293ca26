//! What compiles, what does not, and what is said then.

#[test]
fn what_is_right_compiles() {
    trybuild::TestCases::new().pass("tests/pass/*.rs");
}

#[test]
fn every_mistake_is_one_error_at_its_token() {
    trybuild::TestCases::new().compile_fail("tests/fail/*.rs");
}
