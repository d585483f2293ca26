use monitor_client::Process;

struct Report;

fn main() {
    let _ = Process::start("report").run(|_| Report);
}
