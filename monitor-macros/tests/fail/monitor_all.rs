use monitor_client::monitor_all;

struct Cache;

#[monitor_all(skip(new, lne), kind = cross_process, perfix = "db")]
impl Cache {
    fn new() {}
    fn len() {}
}

#[monitor_all]
fn alone() {}

#[monitor_all(skip(missing))]
mod inline {
    pub fn there() {}
}

fn main() {
    Cache::new();
    Cache::len();
    alone();
    inline::there();
}
