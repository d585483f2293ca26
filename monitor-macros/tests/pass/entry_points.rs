//! `main` and tests, with the attribute above or below the one that makes them.

use monitor_client::{cross_thread, normal_task, root_task};

#[root_task]
#[tokio::test]
async fn below() {}

#[tokio::test]
#[root_task]
async fn above() {}

#[cross_thread]
#[tokio::test]
async fn captured() {}

#[normal_task]
#[test]
fn sync_test() {}

mod program {
    use monitor_client::{cross_thread, root_task};

    #[cross_thread]
    #[tokio::main(flavor = "current_thread")]
    pub(crate) async fn captured() -> Result<(), String> {
        Ok(())
    }

    #[root_task("program")]
    #[tokio::main(flavor = "current_thread")]
    pub(crate) async fn run() -> anyhow::Result<()> {
        tokio::task::yield_now().await;
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
#[root_task]
async fn main() -> std::process::ExitCode {
    std::thread::spawn(|| {
        program::run().unwrap();
        program::captured().unwrap();
    })
    .join()
    .unwrap();
    std::process::ExitCode::SUCCESS
}
