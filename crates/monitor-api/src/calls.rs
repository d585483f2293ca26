//! Parts that the modules of calls share: paths below `/api/v1`, query parameters, and lists with pages.

use monitor_wire::RootId;
use reqwest::Method;

use crate::call::Call;
use crate::client::Client;

/// Key of a run: its number, as in `nightly build <batch001:2106>`, or its id.
///
/// Methods that accept a run accept a number, a [`RootId`], or text with one of them, such as user input. The server refuses text that is
/// neither.
///
/// # Examples
///
/// ```
/// use monitor_api::RootKey;
///
/// assert_eq!(RootKey::from(2106), RootKey::from("2106"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootKey(pub(crate) String);

impl From<u64> for RootKey {
    fn from(number: u64) -> Self {
        Self(number.to_string())
    }
}

impl From<RootId> for RootKey {
    fn from(id: RootId) -> Self {
        Self(id.to_string())
    }
}

impl From<&str> for RootKey {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<&String> for RootKey {
    fn from(text: &String) -> Self {
        Self(text.clone())
    }
}

impl Client {
    pub(crate) fn get<T>(&self, path: &[&str]) -> Call<T> {
        self.v1(Method::GET, path)
    }

    pub(crate) fn v1<T>(&self, method: Method, path: &[&str]) -> Call<T> {
        self.call(method, &[&["api", "v1"], path].concat())
    }
}

/// Returns the words of a parameter that accepts several, separated by commas.
pub(crate) fn joined(words: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    words.into_iter().map(|word| word.as_ref().to_owned()).collect::<Vec<_>>().join(",")
}

/// Generates methods that set query parameters of a call. Each accepts a value of the given type. A call after `=>` is the method's
/// example.
macro_rules! narrowed {
    ($answer:ty { $($(#[$doc:meta])* $method:ident($parameter:literal: $value:ty) $(=> $example:literal)?;)* }) => {
        impl $crate::call::Call<$answer> {
            $(
                $(#[$doc])*
                $(#[doc = concat!(
                    "\n# Examples\n\n```no_run\n",
                    "# async fn example(client: monitor_api::Client) -> Result<(), monitor_api::Error> {\nlet answer = ",
                    $example,
                    ".await?;\n# let _ = answer;\n# Ok(())\n# }\n```"
                )])?
                pub fn $method(self, value: $value) -> Self { self.parameter($parameter, &value) }
            )*
        }
    };
}

macro_rules! pages {
    ($($page:ty)*) => {
        $(impl $crate::call::Page for $page {
            fn next_cursor(&self) -> Option<&str> {
                self.next_cursor.as_deref()
            }
        })*
    };
}

pub(crate) use {narrowed, pages};
