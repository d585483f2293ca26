//! Converts the bytes of a fuzzer to events of a few processes and their order of arrival.

use monitor_wire::Batch;

use super::script::parse;

/// Number of bytes per event.
const BYTES: usize = 12;
const VERBS: [&str; 13] =
    ["started", "started", "ended", "ended", "updated", "queued", "folded", "progressed", "logged", "online", "offline", "lost", "found"];
const NAMES: [&str; 4] = ["a", "b", "<script>\0\"%_\\", "一个测试根任务"];
const OUTCOMES: [&str; 5] = ["ok", "failed", "failed", "cancelled", "evaporated"];

/// Returns the batches in their order of arrival. Each has one event, and some arrive twice.
pub fn delivered(bytes: &[u8]) -> Vec<Batch> {
    let events = bytes.as_chunks::<BYTES>().0;
    let mut batches: Vec<_> = parse(&script(bytes)).into_iter().zip(events.iter().map(|bytes| bytes[BYTES - 1])).collect();
    let again: Vec<_> = batches.iter().filter(|(_, turn)| turn % 8 == 7).cloned().map(|(batch, turn)| (batch, turn / 2)).collect();
    batches.extend(again);
    batches.sort_by_key(|(_, turn)| *turn);
    batches.into_iter().map(|(batch, _)| batch).collect()
}

/// Returns the events as lines of [`super::script`].
pub fn script(bytes: &[u8]) -> String {
    bytes.as_chunks().0.iter().map(line).collect()
}

fn line([verb, by, id, parent, at, attempt, name, mark, number, more, rare, _]: &[u8; BYTES]) -> String {
    let letter = |byte: u8| char::from(b'A' + byte % 3);
    let pick = |from: &[&'static str], byte: u8| from[usize::from(byte) % from.len()];
    let verb = pick(&VERBS, *verb);
    let mut line = format!("{}: {verb}", letter(*by));
    let mut say = |word: String| line.extend([" ", &word]);
    let is_about_worker = matches!(verb, "online" | "offline" | "lost" | "found");
    if !is_about_worker {
        say((id % 6 + if id % 2 == 0 { 1 } else { 100 }).to_string());
    }
    if verb == "ended" {
        say(pick(&OUTCOMES, *number).to_owned());
    }
    say(format!("at={}", 1 + at % 16));
    if by & 0x80 != 0 {
        say(format!("by={}", letter(*by >> 4)));
    }
    if is_about_worker {
        say(format!("worker={}", letter(*id)));
        say(format!("interval={}", number % 3));
        return line + "\n";
    }
    say(format!("root={}", 1 + id / 128));
    if parent % 4 != 0 {
        say(format!("parent={}", parent % 6 + if parent % 2 == 0 { 1 } else { 100 }));
    }
    say(format!("attempt={}", 1 + attempt / 100));
    if verb != "updated" || name % 2 == 1 {
        say(format!("name={}", pick(&NAMES, *name / 2)));
    }
    let options = [(1, "batch"), (2, "reason"), (4, "native_id"), (8, "x"), (16, "error")];
    for (_, key) in options.into_iter().filter(|(bit, key)| rare & bit != 0 && (*key != "error" || verb == "ended")) {
        say(format!("{key}={}", pick(&NAMES, *mark)));
    }
    match verb {
        "progressed" => say(format!("done={}", number % 9)),
        "ended" if more % 2 == 1 => say(format!("elapsed_ns={more}")),
        "folded" => {
            // Counts only ever grow.
            let revision = number % 4;
            let (count, running) = (4 * revision, revision % 2);
            say(format!("shard={} revision={revision} count={count} running={running}", more % 2));
            say(format!("failed={revision} cancelled={revision} total_ns={}", 7 * u32::from(count)));
        }
        _ => {}
    }
    line + "\n"
}
