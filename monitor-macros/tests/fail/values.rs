use monitor_client::{normal_task, root_task};

struct Silent;

// Each of these is an error at its own token.
#[normal_task(args(missing, b.id, 1 + 1), fields(rows = 1, rows = 2), mask(password), timeout = "soon", err = Display)]
fn several(a: u8) -> u8 {
    a
}

#[normal_task(args(a, a), ret, name = "load {missing} {a", retry = 3)]
fn more(a: u8) -> u8 {
    a
}

#[normal_task(args(*), mask(password), name = "login {password}")]
fn masked(password: &str) -> usize {
    password.len()
}

#[root_task(batch = order.id, args)]
fn batch(id: u8) -> u8 {
    id
}

#[normal_task(args(silent), ret)]
fn no_debug(silent: Silent) -> Silent {
    silent
}

#[normal_task(err = Debug)]
fn no_result() -> u8 {
    0
}

#[normal_task(ret)]
fn never() -> ! {
    std::process::exit(0)
}

fn main() {
    several(1);
    more(1);
    masked("");
    batch(1);
    no_debug(Silent);
    no_result();
    never();
}
