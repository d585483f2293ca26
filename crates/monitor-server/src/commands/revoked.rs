//! Revoked tasks, for workers that connect later.

use std::fmt::Write as _;

use axum::body::Bytes;
use monitor_wire::RevokedIds;

/// Approximate maximum size of the ids in one message.
const MESSAGE_BYTES: usize = 256 << 10;

/// Ids of revoked tasks, which are sent to each channel when it opens.
#[derive(Debug, Default)]
pub(super) struct Revocations {
    ids: RevokedIds,
    /// The ids formatted as messages, until another one is revoked.
    messages: Option<Bytes>,
}

impl Revocations {
    pub(super) fn add(&mut self, id: &str, now_us: u64) {
        self.ids.add(id, now_us);
        self.messages = None;
    }

    /// Returns the ids as messages of a channel. `None` if there are none.
    pub(super) fn messages(&mut self, now_us: u64) -> Option<Bytes> {
        let before = self.ids.len();
        let ids = self.ids.iter(now_us).map(|(id, _)| id).collect::<Vec<_>>();
        if ids.is_empty() {
            self.messages = None;
        } else if self.messages.is_none() || ids.len() != before {
            self.messages = Some(write(&ids).into());
        }
        self.messages.clone()
    }
}

fn write(ids: &[&str]) -> String {
    let (mut text, mut begun) = (String::new(), None);
    for id in ids {
        let id = serde_json::to_string(id).expect("a text is JSON");
        match begun {
            None => {
                begun = Some(text.len());
                let _ = write!(text, "event: revoked\ndata: {{\"ids\":[{id}");
            }
            Some(_) => {
                let _ = write!(text, ",{id}");
            }
        }
        if begun.is_some_and(|begun| text.len() - begun >= MESSAGE_BYTES) {
            text.push_str("]}\n\n");
            begun = None;
        }
    }
    if begun.is_some() {
        text.push_str("]}\n\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ids_fit_in_messages_of_an_accepted_size() {
        let mut revoked = Revocations::default();
        assert!(revoked.messages(0).is_none());
        let ids: Vec<String> = (0..50_000).map(|number| format!("{number}\n\u{1b}{}", "x".repeat(20))).collect();
        for id in &ids {
            revoked.add(id, 1);
        }
        let text = String::from_utf8(revoked.messages(1).unwrap().to_vec()).unwrap();
        let messages: Vec<&str> = text.split("\n\n").filter(|message| !message.is_empty()).collect();
        assert!(messages.len() > 1 && messages.iter().all(|message| message.len() < 512 << 10));
        let read = |message: &&str| -> Vec<String> {
            let data = message.strip_prefix("event: revoked\ndata: ").unwrap();
            serde_json::from_value(serde_json::from_str::<serde_json::Value>(data).unwrap()["ids"].take()).unwrap()
        };
        assert_eq!(messages.iter().flat_map(read).collect::<Vec<_>>(), ids);
        assert!(revoked.messages(4 * 3_600 * 1_000_000).is_none());
    }
}
