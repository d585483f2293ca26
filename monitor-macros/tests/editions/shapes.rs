//! Compiled in every edition, with monitoring compiled in and without: nothing here is newer than edition 2018.

#![forbid(unsafe_code)]
#![deny(warnings, missing_docs)]

use std::future::Future;
use std::pin::Pin;

use monitor_client::{cross_process, cross_thread, normal_task, root_task};

struct Store {
    rows: Vec<u8>,
}

impl Store {
    #[normal_task]
    fn by_mut(&mut self, at: usize) -> &mut u8 {
        if at == 0 {
            return &mut self.rows[0];
        }
        &mut self.rows[at]
    }

    #[normal_task]
    async fn later(&self, text: &str) -> Result<usize, String> {
        std::future::ready(()).await;
        if text.is_empty() {
            return Err("empty".to_string());
        }
        Ok(self.rows.len())
    }

    // The opaque type of the lowered function captures both lifetimes, in all editions.
    #[cross_thread]
    async fn captured(&self, (text, _): (&str, u8), mut unused: String) -> Result<usize, Box<dyn std::error::Error + Send + Sync>> {
        std::future::ready(()).await;
        unused.push('x');
        let number: usize = text.parse()?;
        Ok(number + self.rows.len())
    }

    #[cross_thread]
    async fn lends<'a>(&'a mut self, key: &str) -> &'a mut u8 {
        let _ = key;
        &mut self.rows[0]
    }
}

trait Shape {
    #[normal_task]
    fn area(&self) -> u32 {
        self.side() * self.side()
    }
    fn side(&self) -> u32;
}

impl Shape for u32 {
    #[normal_task]
    fn side(&self) -> u32 {
        *self
    }
}

#[async_trait::async_trait]
trait Fetch {
    async fn fetch(&self, from: &str) -> anyhow::Result<usize>;
}

#[async_trait::async_trait]
impl Fetch for Store {
    #[normal_task]
    async fn fetch(&self, from: &str) -> anyhow::Result<usize> {
        Ok(from.parse::<usize>()?)
    }
}

#[root_task("一个测试根任务", "batch")]
fn root(batch: &str) -> std::io::Result<usize> {
    Ok(batch.len())
}

#[normal_task]
fn generic<T: Clone, const N: usize>(value: &T, _: [u8; N]) -> Option<T>
where
    T: PartialEq,
{
    Some(value.clone()).filter(|clone| clone == value)
}

#[normal_task]
fn future(text: &str) -> impl Future<Output = Result<usize, String>> + Send + '_ {
    async move { Ok(text.len()) }
}

#[normal_task]
fn boxed<'a>(text: &'a str) -> Pin<Box<dyn Future<Output = usize> + Send + 'a>> {
    Box::pin(async move { text.len() })
}

#[normal_task]
fn closure() -> impl Fn(&str) -> usize {
    |text| text.len()
}

#[cross_process("judge")]
async fn judge(root_id: Option<&str>, parent_id: String) {}

#[normal_task]
fn never() -> ! {
    panic!("never")
}

macro_rules! make {
    ($name:ident, $type:ty, $body:block) => {
        #[normal_task]
        fn $name(value: $type) -> Result<$type, String> {
            let _ = &value;
            $body
        }
    };
}
make!(made, u8, {
    let failure = Err("made");
    Ok(failure?)
});

macro_rules! make_from_parts {
    ($visibility:vis $name:ident($($parameter:ident: $type:ty),*) -> $returned:ty, $body:block) => {
        #[normal_task]
        $visibility fn $name($($parameter: $type),*) -> $returned $body
    };
}
make_from_parts!(pub(crate) from_parts(left: u8, right: u8) -> u8, { left + right });
make_from_parts!(future_from_parts(text: &'static str) -> impl Future<Output = usize>, { std::future::ready(text.len()) });
make_from_parts!(never_from_parts() -> !, { panic!("never") });

fn send<T: Send>(value: T) -> T {
    value
}

#[tokio::main(flavor = "current_thread")]
#[root_task]
async fn main() {
    let mut store = Store { rows: vec![1, 2] };
    *store.by_mut(1) += 1;
    assert_eq!(send(store.later("x")).await, Ok(2));
    assert_eq!(send(store.captured(("1", 2), String::new())).await.expect("a number"), 3);
    assert_eq!(*store.lends("key").await, 1);
    assert_eq!(3.area(), 9);
    assert!(store.fetch("x").await.is_err());
    assert_eq!(root("batch001").expect("no error"), 8);
    assert_eq!(generic(&1, [0; 3]), Some(1));
    assert_eq!(send(future("x")).await, Ok(1));
    assert_eq!(send(boxed("x")).await, 1);
    assert_eq!(closure()("x"), 1);
    judge(None, String::new()).await;
    assert!(std::panic::catch_unwind(|| never()).is_err());
    assert!(made(1).is_err());
    assert_eq!(from_parts(1, 2), 3);
    assert_eq!(future_from_parts("x").await, 1);
    assert!(std::panic::catch_unwind(|| never_from_parts()).is_err());
}
