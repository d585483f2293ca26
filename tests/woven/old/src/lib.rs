mod inner;

pub fn greet(name: &str) -> Result<String, Box<std::error::Error>> {
    ::inner::make(name)
}
