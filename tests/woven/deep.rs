//! Functions that call themselves, and how much of the stack each call takes.

const DEPTH: u64 = 50_000;
/// The maximum depth that the stack of a plain debug build permits.
const RESULTS: u64 = 30_000;

fn main() {
    let begun = here();
    let (sum, end) = sum(DEPTH);
    println!("{sum}\n{} bytes a call", (begun - end) / DEPTH as usize);
    let begun = here();
    let (sum, end) = checked(RESULTS).unwrap();
    println!("{sum}\n{} bytes a call", (begun - end) / RESULTS as usize);
    println!("{} {:?} {}", even(DEPTH), broken(RESULTS), Tree::of(DEPTH / 50).depth(7));
    println!("{}", std::thread::spawn(|| even(DEPTH / 5)).join().unwrap());
}

#[inline(never)]
fn here() -> usize {
    let local = 0_u8;
    std::hint::black_box(&local) as *const u8 as usize
}

fn sum(n: u64) -> (u64, usize) {
    if n == 0 {
        return (0, here());
    }
    let (sum, end) = sum(n - 1);
    (sum + n, end)
}

fn checked(n: u64) -> Result<(u64, usize), String> {
    if n == 0 {
        return Ok((0, here()));
    }
    let (sum, end) = checked(n - 1)?;
    Ok((sum + n, end))
}

fn even(n: u64) -> bool {
    n == 0 || odd(n - 1)
}

fn odd(n: u64) -> bool {
    n != 0 && even(n - 1)
}

fn broken(n: u64) -> Result<u64, String> {
    if n == 0 {
        return Err("no bottom".to_owned());
    }
    Ok(broken(n - 1)? + 1)
}

struct Tree(Vec<Tree>);

impl Tree {
    fn of(depth: u64) -> Tree {
        (0..depth).fold(Tree(Vec::new()), |tree, _| Tree(vec![tree]))
    }

    fn depth(&self, more: u64) -> u64 {
        self.0.iter().map(|tree| tree.depth(more) + 1).max().unwrap_or(more)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        while let Some(mut inner) = self.0.pop() {
            self.0.append(&mut inner.0);
        }
    }
}
