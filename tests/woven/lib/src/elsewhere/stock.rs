//! Of the shop.

pub fn at(n: usize) -> u32 {
    [1, 2, 3][n]
}
