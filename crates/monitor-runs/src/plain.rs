//! Readable JSON forms of words, paths and durations in a run's files. Words that are not valid UTF-8 are lists of bytes.

use std::ffi::OsString;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A word as text, or in serde's form of an `OsString`.
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

/// Words of a command.
pub(crate) mod words {
    use super::{Deserialize, Deserializer, OsString, Serializer, Word};

    pub(crate) fn serialize<S: Serializer>(words: &[OsString], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(words.iter().cloned().map(Word::from))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<OsString>, D::Error> {
        Ok(Vec::<Word>::deserialize(from)?.into_iter().map(Into::into).collect())
    }
}

/// Pairs of words, such as environment variables.
pub(crate) mod pairs {
    use super::{Deserialize, Deserializer, OsString, Serializer, Word};

    pub(crate) fn serialize<S: Serializer>(pairs: &[(OsString, OsString)], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(pairs.iter().cloned().map(|(name, value)| (Word::from(name), Word::from(value))))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(OsString, OsString)>, D::Error> {
        Ok(Vec::<(Word, Word)>::deserialize(from)?.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// An optional path.
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

/// A duration as text.
pub(crate) mod duration {
    use super::{Deserialize, Deserializer, Duration, Serializer, de};

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&monitor_duration::write(*duration))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        monitor_duration::read(&text).map_err(|expected| de::Error::custom(format!("{text:?}: {expected}")))
    }
}

/// An optional duration as text.
pub(crate) mod maybe_duration {
    use super::{Deserialize, Deserializer, Duration, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Text(#[serde(with = "super::duration")] Duration);

    #[allow(clippy::ref_option, reason = "serde's signature")]
    pub(crate) fn serialize<S: Serializer>(duration: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        duration.map(Text).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<Text>::deserialize(from)?.map(|Text(duration)| duration))
    }
}
