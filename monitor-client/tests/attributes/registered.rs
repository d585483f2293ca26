//! Tests the list of the program's attributed functions.

use monitor_client::{cross_process, cross_thread, normal_task, registered};

#[test]
fn functions_are_registered_whether_called_or_not() {
    #[normal_task("registered, never called")]
    #[expect(dead_code, reason = "listed all the same")]
    fn never_called() {}
    #[cross_thread("registered, generic")]
    fn generic<T>(_: T) {}
    struct Owner;
    impl Owner {
        #[cross_process("registered, method")]
        async fn method(&self, root_id: &str, parent_id: &str) {}
    }
    let _ = (generic::<u8>, Owner::method);

    let mut found: Vec<_> = registered()
        .filter(|function| function.name.starts_with("registered, "))
        .map(|function| (function.name, function.kind.to_string(), function.source.file))
        .collect();
    found.sort();
    let expected = [("generic", "cross_thread"), ("method", "cross_process"), ("never called", "normal")];
    assert_eq!(found, expected.map(|(name, kind)| (format!("registered, {name}"), kind.to_owned(), file!().to_owned())));
}
