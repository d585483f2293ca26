//! Tests `#[monitor_all]` on modules and impls.

use monitor_client::monitor_all;

use crate::support::{check, run};

#[monitor_all(skip(len, Cache.new), prefix = "db")]
mod store {
    use std::fmt;

    pub(super) struct Cache<T>(pub(super) Vec<T>);

    impl<T: Clone> Cache<T> {
        pub(super) fn new() -> Self {
            Cache(Vec::new())
        }

        pub(super) fn add(&mut self, value: &T) -> Result<usize, String> {
            self.0.push(value.clone());
            if self.len() > 1 { Err("full".to_owned()) } else { Ok(self.len()) }
        }

        pub(super) async fn load(&self) -> usize {
            self.len()
        }

        fn len(&self) -> usize {
            self.0.len()
        }

        pub(super) const fn limit() -> usize {
            1
        }

        #[monitor_client::normal_task("of its own", args(n))]
        pub(super) fn chosen(n: u8) -> u8 {
            n
        }
    }

    impl<T> fmt::Display for Cache<T> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("cache")
        }
    }

    pub(super) trait Named {
        fn name(&self) -> &'static str;

        fn title(&self) -> String {
            self.name().to_uppercase()
        }
    }

    impl<T> Named for &Cache<T> {
        fn name(&self) -> &'static str {
            "cache"
        }
    }

    pub(super) fn free() {
        within::inner();
    }

    mod within {
        pub(super) fn inner() {}
    }
}

#[test]
fn all_functions_of_a_module_are_recorded() {
    use store::{Cache, Named};
    check(
        || {
            let mut cache = Cache::new();
            assert_eq!(cache.add(&1), Ok(Cache::<u8>::limit()));
            assert_eq!(cache.add(&2), Err("full".to_owned()));
            assert_eq!(run(cache.load()), 2);
            assert_eq!(Cache::<u8>::chosen(3), 3);
            assert_eq!(cache.to_string(), "cache");
            assert_eq!((&cache).title(), "CACHE");
            store::free();
        },
        "
        db::Cache::add
        db::Cache::add error: full
        db::Cache::load
        of its own {args.n: 3}
        db::Cache::fmt
        db::Named::title
          db::Cache::name
        db::free
        ",
    );
}

#[test]
fn all_functions_of_an_impl_are_recorded_with_the_requested_kind() {
    struct Job(u8);
    #[monitor_all(kind = root)]
    impl Job {
        fn run(&self) -> u8 {
            Self::step();
            self.0
        }
        fn step() {}
    }
    check(|| assert_eq!(Job(1).run(), 1), "Job::run root\n  Job::step root");
}
