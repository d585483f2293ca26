#[monitor_client::normal_task]
pub struct Rows(u8);

#[monitor_client::root_task("rows")]
impl Rows {
    fn count(&self) -> u8 {
        self.0
    }
}

#[monitor_client::cross_thread]
mod inner {}

#[monitor_client::normal_task]
static COUNT: u8 = 1;

fn main() {
    let _ = Rows(COUNT).count();
}
