#[test]
fn it_runs() {
    let out = std::process::Command::new(env!("CARGO_BIN_EXE_shop")).output().unwrap();
    assert!(out.status.success());
    assert_eq!(out.stderr, b"");
}
