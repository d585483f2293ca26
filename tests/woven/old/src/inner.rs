use std::error::Error;

pub fn make(name: &str) -> Result<String, Box<Error>> {
    let unused = 1;
    Ok(try!(Ok::<_, Box<Error>>(name)).to_owned())
}
