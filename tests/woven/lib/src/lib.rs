//! A shop.
#![deny(warnings)]

#[path = "elsewhere/stock.rs"]
pub mod stock;

/// Adds.
///
/// ```
/// assert_eq!(shop_lib::add(1, 2), 3);
/// ```
pub fn add(a: u32, b: u32) -> u32 {
    mac::twice!(a) - a + b
}

#[cfg(feature = "extra")]
pub fn extra() -> &'static str {
    "extra"
}

pub const fn fixed() -> u32 {
    7
}

pub struct Cart<'a> {
    items: Vec<&'a str>,
}

impl<'a> Cart<'a> {
    pub fn new() -> Self {
        Cart { items: Vec::new() }
    }

    pub fn add(&mut self, item: &'a str) -> &mut Self {
        self.items.push(item);
        self
    }

    pub fn iter(&self) -> impl Iterator<Item = &&'a str> + '_ {
        self.items.iter()
    }

    pub fn one_line(&self) -> usize { self.items.len() }
}

impl Default for Cart<'_> { fn default() -> Self { Self::new() } }

pub trait Priced {
    fn price(&self) -> u32;
    fn twice(&self) -> u32 {
        self.price() * 2
    }
}

impl Priced for Cart<'_> {
    fn price(&self) -> u32 {
        fn each(_: &str) -> u32 {
            3
        }
        self.items.iter().map(|i| each(i)).sum()
    }
}

pub async fn fetch(n: u32) -> Result<u32, String> {
    if n == 0 {
        Err("nothing to fetch".to_string())
    } else {
        Ok(n)
    }
}

/// By a macro that makes its path relative to this file.
pub const DATA: &[u8] = mac::beside!("data.txt");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds() {
        assert_eq!(add(1, 2), 3);
        assert_eq!(include_str!("../data.txt"), "data\n");
        let mut c = Cart::new();
        c.add("a").add("b");
        assert_eq!((c.iter().count(), c.one_line(), c.twice()), (2, 2, 12));
    }

    macro_rules! check {
        ($name:ident) => {
            #[test]
            fn $name() {
                assert_eq!(add(2, 2), 4);
            }
        };
    }

    check!(by_a_macro);

    #[test]
    #[should_panic(expected = "index out of bounds")]
    fn panics() {
        stock::at(9);
    }
}
