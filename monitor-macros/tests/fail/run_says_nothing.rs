use monitor_client::Process;

struct Report;

fn main() {
    let _ = Process::builder("report").run(|_| Report);
}
