use monitor_client::normal_task;

#[normal_task(name)]
fn alone() {}

#[normal_task(5)]
fn number() {}

#[normal_task("load" "read")]
fn no_comma() {}

#[normal_task(, "load")]
fn leading_comma() {}

fn main() {
    alone();
    number();
    no_comma();
    leading_comma();
}
