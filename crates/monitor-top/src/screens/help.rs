//! Key descriptions of the help screen.

/// Pairs of keys and description. An empty pair is an empty line.
pub(super) const KEYS: [(&str, &str); 21] = [
    ("1 … 9", "runs, tree, timeline, errors, workers, types, queues, log, help"),
    ("j k  ↓ ↑", "down, up; Space and PageUp by pages"),
    ("g G", "first, last"),
    ("h l  ← →", "closes and opens a branch; in lists back, and into the row"),
    ("Enter  Esc", "into the row; back, or the filter away"),
    ("", ""),
    ("/", "filter: text, state:failed, name:\"a b\", batch:, kind:, level:"),
    (":", "goes to a screen, a tree (2106), a process (a3ce92 …); :q"),
    ("e E", "next failure, the one before"),
    ("s S", "sorts by the next column; turns the order round"),
    ("F", "freezes the order: data flows, rows stand"),
    ("f", "follows what happens"),
    ("", ""),
    ("i t r", "information, traceback, result; the same key closes it"),
    ("c", "cancels a tree or a process with all below it, after a question"),
    ("L X", "limits how often tasks begin; shuts a worker down; as c asks"),
    ("y o", "copies the page's link of the row; opens it in a browser"),
    ("?", "this help"),
    ("q  Ctrl-C", "quits"),
    ("Ctrl-Z", "leaves the terminal to the shell; fg comes back"),
    ("▶ ✓ ✗ ○ ⊘ ? ↻", "running, succeeded, failed, pending, cancelled, lost, retrying"),
];
