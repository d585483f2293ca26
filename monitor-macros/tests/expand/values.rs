#[monitor_client::normal_task(args(id, %user.name), fields(rows = 2 * id), ret, mask(user.name), timeout = "30s", name = "load {id}")]
pub fn load((id, _): (u8, u8), user: &User) -> u8 {
    id
}

pub struct User {
    name: String,
}
