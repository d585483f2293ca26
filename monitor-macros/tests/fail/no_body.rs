trait Load {
    #[monitor_client::normal_task]
    fn load(&self) -> u8;
}

fn main() {}
