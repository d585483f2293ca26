//! How a run's file has words, paths and times: as a person reads them. Words that are no text are lists of bytes.

use std::ffi::OsString;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A word as text, or as the list of bytes that serde makes of any word.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Word {
    Text(String),
    Bytes(OsString),
}

impl From<OsString> for Word {
    fn from(word: OsString) -> Self {
        word.into_string().map_or_else(Self::Bytes, Self::Text)
    }
}

impl From<Word> for OsString {
    fn from(word: Word) -> Self {
        match word {
            Word::Text(text) => text.into(),
            Word::Bytes(bytes) => bytes,
        }
    }
}

/// A duration as text, or with its seconds and nanoseconds apart, as earlier versions had it.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Span {
    Text(String),
    Parts(Duration),
}

impl Span {
    fn of(duration: Duration) -> Self {
        Self::Text(monitor_duration::write(duration))
    }

    fn duration<E: de::Error>(self) -> Result<Duration, E> {
        match self {
            Self::Parts(duration) => Ok(duration),
            Self::Text(text) => monitor_duration::read(&text).map_err(|expected| E::custom(format!("{text:?}: {expected}"))),
        }
    }
}

/// Words, as those of a command.
pub(crate) mod words {
    use super::{Deserialize, Deserializer, OsString, Serializer, Word};

    pub(crate) fn serialize<S: Serializer>(words: &[OsString], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(words.iter().cloned().map(Word::from))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<OsString>, D::Error> {
        Ok(Vec::<Word>::deserialize(from)?.into_iter().map(Into::into).collect())
    }
}

/// Pairs of words, as those of an environment.
pub(crate) mod pairs {
    use super::{Deserialize, Deserializer, OsString, Serializer, Word};

    pub(crate) fn serialize<S: Serializer>(pairs: &[(OsString, OsString)], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(pairs.iter().cloned().map(|(name, value)| (Word::from(name), Word::from(value))))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(OsString, OsString)>, D::Error> {
        Ok(Vec::<(Word, Word)>::deserialize(from)?.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// A path that may be absent.
pub(crate) mod path {
    use std::path::PathBuf;

    use super::{Deserialize, Deserializer, OsString, Serialize, Serializer, Word};

    #[allow(clippy::ref_option, reason = "serde's signature")]
    pub(crate) fn serialize<S: Serializer>(path: &Option<PathBuf>, to: S) -> Result<S::Ok, S::Error> {
        path.clone().map(|path| Word::from(path.into_os_string())).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
        Ok(Option::<Word>::deserialize(from)?.map(|word| OsString::from(word).into()))
    }
}

/// A duration.
pub(crate) mod duration {
    use super::{Deserialize, Deserializer, Duration, Serialize, Serializer, Span};

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        Span::of(*duration).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Span::deserialize(from)?.duration()
    }
}

/// A duration that may be absent.
pub(crate) mod maybe_duration {
    use super::{Deserialize, Deserializer, Duration, Serialize, Serializer, Span};

    #[allow(clippy::ref_option, reason = "serde's signature")]
    pub(crate) fn serialize<S: Serializer>(duration: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        duration.map(Span::of).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        Option::<Span>::deserialize(from)?.map(Span::duration).transpose()
    }
}
