//! Methods of traits, with `#[async_trait]` and without.

use std::rc::Rc;

use async_trait::async_trait;
use monitor_client::{cross_thread, normal_task};

pub trait Plain {
    type Row;
    const COUNT: usize;

    fn required(&self) -> Self::Row;

    #[normal_task]
    fn default_method(&self) -> usize {
        Self::COUNT
    }

    #[normal_task]
    fn associated() -> usize
    where
        Self: Sized,
    {
        Self::COUNT
    }

    fn later(&self, text: &str) -> impl Future<Output = Result<usize, String>>;
}

impl<'a> Plain for Rc<&'a [u8]> {
    type Row = &'a u8;
    const COUNT: usize = 3;

    #[normal_task]
    fn required(&self) -> Self::Row {
        &self[0]
    }

    #[cross_thread]
    async fn later(&self, text: &str) -> Result<usize, String> {
        if text.is_empty() { Err("empty".into()) } else { Ok(text.len()) }
    }
}

#[async_trait]
trait Sendable: Sync {
    #[normal_task]
    async fn default_method(&self, text: &str) -> Result<usize, String> {
        self.required(text).await
    }

    async fn required(&self, text: &str) -> Result<usize, String>;
}

#[async_trait]
impl Sendable for u8 {
    #[cross_thread("required")]
    async fn required(&self, text: &str) -> Result<usize, String> {
        Ok(text.len() + usize::from(*self))
    }
}

#[async_trait(?Send)]
trait Local {
    async fn local(self: Rc<Self>) -> u8;
}

#[async_trait(?Send)]
impl Local for u8 {
    #[normal_task]
    async fn local(self: Rc<Self>) -> u8 {
        *self
    }
}

fn send<T: Send>(value: T) -> T {
    value
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let plain = Rc::new(&[1_u8, 2][..]);
    assert_eq!(*plain.required(), 1);
    assert_eq!(plain.default_method() + <Rc<&[u8]> as Plain>::associated(), 6);
    assert_eq!(plain.later("xy").await, Ok(2));
    assert_eq!(send(1_u8.default_method("xy")).await, Ok(3));
    assert_eq!(Rc::new(7_u8).local().await, 7);
}
