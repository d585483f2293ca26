//! JSON serialization without serde.

use std::fmt::{self, Display, Write};

use crate::journal::Meta;
use crate::program::About;
use crate::wire::{Dropped, Registered};

/// A quoted string.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a>(pub &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        let mut from = 0;
        for (at, byte) in self.0.bytes().enumerate().filter(|(_, byte)| matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
            f.write_str(&self.0[from..at])?;
            match byte {
                b'"' | b'\\' => write!(f, "\\{}", byte as char)?,
                _ => write!(f, "\\u{byte:04x}")?,
            }
            from = at + 1;
        }
        f.write_str(&self.0[from..])?;
        f.write_char('"')
    }
}

/// Comma-separated items.
#[derive(Debug, Clone, Copy)]
pub struct List<T>(pub T);

impl<I: Display, T: IntoIterator<Item = I> + Clone> Display for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.clone().into_iter().enumerate().try_for_each(|(index, item)| {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{item}")
        })
    }
}

/// Serializes the description of a program.
pub(crate) fn about(about: &About) -> Vec<u8> {
    let About { worker, version, started_us, process_start, boot_id, launch, fold_below_ns } = about;
    let (id, hostname, pid, program) = (worker.id, Text(&worker.hostname), worker.pid, Text(&worker.program));
    let launch = launch.as_ref().map_or_else(String::new, |launch| format!(",\"launch\":{}", Text(launch)));
    let fold_below = if *fold_below_ns > 0 { format!(",\"fold_below_ns\":{fold_below_ns}") } else { String::new() };
    format!(
        "{{\"worker\":{{\"id\":\"{id}\",\"hostname\":{hostname},\"pid\":{pid},\"program\":{program}}},\"version\":{},\
         \"started_us\":{started_us},\"process_start\":{process_start},\"boot_id\":{}{launch}{fold_below}}}",
        Text(version),
        Text(boot_id),
    )
    .into_bytes()
}

/// Serializes a call site.
pub(crate) fn site(site: &Registered) -> Vec<u8> {
    Site(site).to_string().into_bytes()
}

/// An attributed function in the list of a program.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a>(pub &'a Registered);

impl Display for Site<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Registered { name, kind, source } = self.0;
        let (name, kind, file) = (Text(name), Text(kind.as_str()), Text(&source.file));
        write!(f, "{{\"name\":{name},\"kind\":{kind},\"source\":{{\"file\":{file},\"line\":{}}}}}", source.line)
    }
}

/// Serializes recording positions.
pub(crate) fn meta(meta: &Meta) -> Vec<u8> {
    let Meta { taken, lane, held, slow_tests, dropped } = meta;
    let taken = List(taken.iter().map(|(region, taken)| format!("\"{region}\":{taken}")));
    let mut json = format!("{{\"taken\":{{{taken}}},\"lane\":{lane}");
    if !held.is_empty() {
        let _ = write!(json, ",\"held\":[{}]", List(held));
    }
    if !slow_tests.is_empty() {
        let _ = write!(json, ",\"slow_tests\":[{}]", List(slow_tests));
    }
    if !dropped.is_empty() {
        let _ = write!(json, ",\"dropped\":[{}]", List(dropped.iter().map(drop)));
    }
    json.push('}');
    json.into_bytes()
}

fn drop(dropped: &Dropped) -> String {
    let Dropped { event_type, reason, root_id, count } = dropped;
    let root = root_id.map_or_else(|| "null".to_owned(), |root| format!("\"{root}\""));
    format!("{{\"type\":{},\"reason\":{},\"root_id\":{root},\"count\":{count}}}", Text(event_type), Text(reason))
}

#[cfg(all(test, feature = "read"))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{RootId, Source, WorkerId, WorkerRef};

    proptest! {
        #[test]
        fn json_equals_that_of_serde(text in any::<String>(), number in 1_u64.., root in any::<Option<u128>>(), many in any::<Vec<u64>>()) {
            prop_assert_eq!(serde_json::from_str::<String>(&Text(&text).to_string()).unwrap(), text.clone());
            let worker = WorkerRef { id: WorkerId::new(number.into()).unwrap(), hostname: text.clone(), pid: 7, program: text.clone() };
            let of = About {
                worker,
                version: text.clone(),
                started_us: number,
                process_start: number,
                boot_id: text.clone(),
                launch: root.map(|_| text.clone()),
                fold_below_ns: number / 2,
            };
            prop_assert_eq!(serde_json::from_slice::<About>(&about(&of)).unwrap(), of);
            let of = Registered { name: text.clone(), kind: text.as_str().into(), source: Source { file: text.clone(), line: 7 } };
            prop_assert_eq!(serde_json::from_slice::<Registered>(&site(&of)).unwrap(), of);
            let drop = Dropped { event_type: text.clone(), reason: text, root_id: root.and_then(RootId::new), count: number };
            let taken = many.iter().map(|number| (*number as u32, *number)).collect();
            let of = Meta { taken, lane: number, dropped: vec![drop; many.len()], held: many.clone(), slow_tests: many };
            prop_assert_eq!(serde_json::from_slice::<Meta>(&meta(&of)).unwrap(), of);
        }
    }
}
