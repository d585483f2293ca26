//! Tests that every kind of function behaves as it does without an attribute.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use monitor_client::{cross_thread, normal_task};

use crate::support::{check, run};

#[derive(Default)]
struct Store {
    rows: Vec<u8>,
}

impl Store {
    #[normal_task]
    fn new(rows: &[u8]) -> Self {
        Store { rows: rows.to_vec() }
    }
    #[normal_task]
    fn by_ref(&self) -> &[u8] {
        &self.rows
    }
    #[normal_task]
    fn by_mut(&mut self, at: usize) -> &mut u8 {
        if at == 0 {
            return &mut self.rows[0];
        }
        &mut self.rows[at]
    }
    #[normal_task]
    fn find<'a>(&'a mut self, key: &str) -> Option<&'a mut u8> {
        self.rows.iter_mut().find(|row| usize::from(**row) == key.len())
    }
    #[normal_task]
    fn by_value(mut self) -> Vec<u8> {
        self.rows.push(9);
        self.rows
    }
    #[normal_task]
    fn by_arc(self: Arc<Self>) -> Arc<Self> {
        self
    }
    #[normal_task]
    fn by_pin(self: Pin<&mut Self>) -> usize {
        self.rows.len()
    }
    #[normal_task]
    async fn async_mut(&mut self, at: usize) -> Result<&mut u8, String> {
        self.rows.get_mut(at).ok_or_else(|| "no such row".to_owned())
    }
    #[cross_thread]
    async fn captured(&mut self, (key, _): (&str, u8)) -> &mut u8 {
        let _ = key;
        &mut self.rows[0]
    }
}

#[test]
fn methods() {
    check(
        || {
            let mut store = Store::new(&[1, 2]);
            assert_eq!(store.by_ref(), [1, 2]);
            *store.by_mut(0) += 4;
            *store.find("ab").expect("a row") += 5;
            assert_eq!(Pin::new(&mut store).by_pin(), 2);
            *run(store.async_mut(1)).expect("a row") += 1;
            *run(store.captured(("key", 1))) += 1;
            let store = Arc::into_inner(Arc::new(store).by_arc()).expect("the last");
            assert_eq!(store.by_value(), [6, 8, 9]);
        },
        "
        new
        by_ref
        by_mut
        find
        by_pin
        async_mut
        captured cross_thread unattached
        by_arc
        by_value
        ",
    );
}

trait Shape {
    #[normal_task]
    fn default_method(&self) -> u8 {
        self.required() + 1
    }
    fn required(&self) -> u8;
    fn future(&self, text: &str) -> impl Future<Output = Result<usize, String>> + Send;
}

impl Shape for Rc<u8> {
    #[normal_task]
    fn required(&self) -> u8 {
        **self
    }
    #[normal_task]
    fn future(&self, text: &str) -> impl Future<Output = Result<usize, String>> + Send {
        let length = text.len();
        async move { if length == 0 { Err("empty".into()) } else { Ok(length) } }
    }
}

#[test]
fn traits() {
    check(
        || {
            let shape = Rc::new(7);
            assert_eq!(shape.default_method(), 8);
            assert!(run(shape.future("")).is_err());
        },
        "
        default_method
          required
        future error: empty
        ",
    );
}

#[normal_task]
fn generic<T, const N: usize>(value: &T) -> [T; N]
where
    T: Clone,
{
    std::array::from_fn(|_| value.clone())
}

#[normal_task]
fn patterns(mut n: u8, [a, mut b]: [u8; 2], ref c: u8, _: u8) -> u8 {
    n += a;
    b += 1;
    n + b + *c
}

#[normal_task]
fn impl_argument(f: impl Fn(u8) -> u8) -> u8 {
    f(1)
}

#[normal_task]
fn iterator(values: &[u8]) -> impl Iterator<Item = u8> + '_ {
    values.iter().map(|value| value + 1)
}

#[normal_task]
fn closure() -> impl Fn(&str) -> usize {
    |text| text.len()
}

#[normal_task]
fn fallible_iterator(values: &[u8]) -> Result<impl Iterator<Item = u8> + '_, String> {
    if values.is_empty() {
        return Err("empty".to_owned());
    }
    Ok(values.iter().copied())
}

#[normal_task]
fn dynamic(n: u8) -> Box<dyn Fn() -> u8> {
    if n == 0 {
        return Box::new(|| 0);
    }
    Box::new(move || n)
}

#[normal_task]
extern "C" fn foreign(a: i32) -> i32 {
    a + 1
}

#[track_caller]
#[normal_task]
fn tracked() -> u32 {
    std::panic::Location::caller().line()
}

#[normal_task]
fn inner_attributes(values: &mut Vec<u8>) {
    #![expect(unused_variables, reason = "asserts that inner attributes reach the function")]
    let count = values.len();
    values.clear();
}

macro_rules! make {
    ($name:ident, $body:expr) => {
        #[normal_task]
        fn $name(value: u8) -> Result<u8, String> {
            let _ = &value;
            $body
        }
    };
}
make!(made, Err("made".to_owned()));

macro_rules! make_returning {
    ($name:ident -> $returned:ty, $body:block) => {
        #[normal_task]
        fn $name() -> $returned $body
    };
}
make_returning!(made_future -> impl Future<Output = Result<u8, String>>, { std::future::ready(Err("late".to_owned())) });

#[test]
fn free_functions() {
    check(
        || {
            assert_eq!(generic::<_, 2>(&7_u8), [7, 7]);
            assert_eq!(patterns(1, [2, 3], 4, 5), 11);
            assert_eq!(impl_argument(|n| n + 1), 2);
            assert_eq!(iterator(&[1]).sum::<u8>(), 2);
            assert_eq!(closure()("four"), 4);
            assert_eq!(fallible_iterator(&[1]).expect("not empty").count(), 1);
            assert!(fallible_iterator(&[]).is_err());
            assert_eq!(dynamic(3)(), 3);
            assert_eq!(foreign(1), 2);
            assert_eq!(tracked(), line!());
            inner_attributes(&mut vec![1]);
            assert!(made(1).is_err());
            assert!(run(made_future()).is_err());
        },
        "
        generic
        patterns
        impl_argument
        iterator
        closure
        fallible_iterator
        fallible_iterator error: empty
        dynamic
        foreign
        tracked
        inner_attributes
        made error: made
        made_future error: late
        ",
    );
}
