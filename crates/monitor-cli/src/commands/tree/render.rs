//! Renders a tree as lines.

use std::io;

use monitor_wire::{Attachment, Attempt, Process, State, TreePage};

use super::alike::{self, Alike};
use crate::text::{DURATION_COLUMNS, Line, attempt, duration, elapsed, ended_by, error_line, fit, glyph, style, thousands, visible, width};

/// Maximum depth at which branches are drawn. Deeper branches are replaced by a number.
const DRAWN_LEVELS: usize = 40;
/// Maximum column up to which names are padded if the output is no terminal.
const NAME_COLUMNS: usize = 80;

/// Writes the tree: a line per process, with its error, and per line of the command's last output, cut to `columns`. Similar siblings share a
/// line unless `all` is set.
pub(super) fn tree(
    mut tree: TreePage,
    all: bool,
    columns: Option<usize>,
    now_us: u64,
    mut write: impl FnMut(&str) -> io::Result<()>,
) -> io::Result<()> {
    let processes = std::mem::take(&mut tree.processes);
    let shown = if all { processes.into_iter().map(|process| (process, None)).collect() } else { alike::collapse(processes, depth) };
    let (processes, alike): (Vec<Process>, Vec<Option<Alike>>) = shown.into_iter().unzip();
    tree.processes = processes;
    let followed = followed(&tree.processes);
    let name_limit = columns.map_or(NAME_COLUMNS, |columns| columns / 2);
    let mut branches = Branches::default();
    let mut names = Vec::with_capacity(tree.processes.len());
    for (index, process) in tree.processes.iter().enumerate() {
        let branch = branches.draw(depth(index, process), followed[index], name_limit / 2);
        let name = if index == 0 { visible(&tree.root.title) } else { visible(&process.name) };
        names.push((branch, if name.is_empty() { "(not started yet)".into() } else { name }));
    }
    // On a terminal, long names are cut. Otherwise they stay whole and shift the rest of their own line only.
    let shown_columns = |columns_taken: usize| if columns.is_some() { columns_taken.min(name_limit) } else { columns_taken };
    let name_columns = names.iter().map(|(branch, name)| shown_columns(width(branch) + 2 + width(name)));
    let name_columns = name_columns.filter(|taken| *taken <= name_limit).max().unwrap_or(0);
    let state_columns = tree.processes.iter().map(|process| width(&visible(process.state.as_str()))).max().unwrap_or(0);
    for (index, (((branch, name), process), alike)) in names.iter().zip(&tree.processes).zip(alike).enumerate() {
        let style = style(&process.state);
        let name = match columns {
            Some(_) => fit(name, name_limit.saturating_sub(width(branch) + 2)),
            None => name.as_ref().into(),
        };
        let mut line = Line::default();
        line.text(branch).styled(style, glyph(&process.state)).text(" ").text(&name);
        line.column(name_columns + 2).styled(style, &visible(process.state.as_str()));
        let missing = state_columns.saturating_sub(width(&visible(process.state.as_str())));
        line.text(&" ".repeat(missing + 2));
        line.right(&elapsed(&process.state, process.elapsed_ns, process.started_us, now_us), DURATION_COLUMNS);
        let alike = alike.map(|alike| format!("×{} alike, {} in all", thousands(alike.count as u64), duration(alike.total_ns)));
        for mark in alike.into_iter().chain(marks(process, now_us)) {
            line.text("  ").text(&mark);
        }
        if let Some(error) = &process.error {
            line.text("  ").styled(style, &error_line(error)).text(&ended_by(error));
        }
        write(&line.finish(columns))?;
        let has_children = tree.processes.get(index + 1).is_some_and(|next| depth(index + 1, next) > depth(index, process));
        for earlier in process.attempts.iter().filter(|earlier| earlier.attempt != process.attempt) {
            let mut line = Line::default();
            line.text(&below(branch, has_children)).text(&earlier_attempt(earlier));
            write(&line.finish(columns))?;
        }
        for said in process.error.iter().filter_map(|error| error.tail.as_deref()).flat_map(str::lines) {
            let mut line = Line::default();
            line.text(&below(branch, has_children)).text(&visible(&said.replace('\t', "    ")));
            write(&line.finish(columns))?;
        }
    }
    for missing in missing(&tree) {
        let mut line = Line::default();
        line.text(&missing);
        write(&line.finish(columns))?;
    }
    Ok(())
}

/// An earlier attempt in one line: its number, outcome, duration and error.
fn earlier_attempt(earlier: &Attempt) -> String {
    let outcome = earlier.outcome.as_ref().map_or_else(|| "its end is unknown".into(), |outcome| visible(outcome.as_str()).into_owned());
    let took = earlier.elapsed_ns.map(|elapsed| format!("  {}", duration(elapsed))).unwrap_or_default();
    let why = earlier.error.as_ref().map(|error| format!("  {}{}", error_line(error), ended_by(error))).unwrap_or_default();
    format!("attempt {}: {outcome}{took}{why}", earlier.attempt)
}

/// The branches at the left of a line below a process with this branch.
fn below(branch: &str, has_children: bool) -> String {
    let own = branch.replace("├─", "│ ").replace("└─", "  ");
    // The number that replaces deep branches is shown once.
    let own: String = if own.starts_with('⋯') { " ".repeat(width(&own)) } else { own };
    format!("{own}{}", if has_children { "│    " } else { "     " })
}

/// Lines for the processes and events that the tree doesn't contain.
fn missing(tree: &TreePage) -> Vec<String> {
    let dropped = tree.dropped.iter();
    let mut missing: Vec<String> = dropped
        .map(|dropped| {
            format!("not in this tree: {} × {} ({})", thousands(dropped.count), visible(&dropped.event_type), visible(&dropped.reason))
        })
        .collect();
    if tree.ignored_parents > 0 {
        missing.push(format!("ignored: {} × parent (the chain of parents would be a circle)", thousands(tree.ignored_parents)));
    }
    if tree.deep_parents > 0 {
        missing.push(format!("ignored: {} × parent (the process would hang too deep)", thousands(tree.deep_parents)));
    }
    missing
}

fn depth(index: usize, process: &Process) -> usize {
    // Only the first line can be the root, even if the server's depths are wrong.
    if index == 0 { 0 } else { process.depth.map_or(1, |depth| depth.max(1) as usize) }
}

/// For each process, true if a later process has the same parent.
fn followed(processes: &[Process]) -> Vec<bool> {
    let mut followed = vec![false; processes.len()];
    // By depth: true if a later process of this depth has the same parent.
    let mut later: Vec<bool> = Vec::new();
    for (index, process) in processes.iter().enumerate().rev() {
        let depth = depth(index, process);
        followed[index] = later.get(depth).copied().unwrap_or(false);
        later.truncate(depth);
        later.resize(depth, false);
        later.push(true);
    }
    followed
}

/// The branches from the root to a process.
#[derive(Debug, Default)]
struct Branches {
    /// By depth: true if the branch continues.
    open: Vec<bool>,
}

impl Branches {
    fn draw(&mut self, depth: usize, is_followed: bool, columns: usize) -> String {
        self.open.truncate(depth);
        self.open.resize(depth, false);
        self.open.push(is_followed);
        if depth == 0 {
            return String::new();
        }
        let drawn_levels = DRAWN_LEVELS.min(columns / 3);
        let own = if is_followed { "├─ " } else { "└─ " };
        if depth > drawn_levels {
            return format!("⋯ {depth} {own}");
        }
        let mut branch: String = self.open[1..depth].iter().map(|open| if *open { "│  " } else { "   " }).collect();
        branch.push_str(own);
        branch
    }
}

/// Further details of a process, one word each.
fn marks(process: &Process, now_us: u64) -> Vec<String> {
    let mut marks = Vec::new();
    if let Some(fold) = &process.fold {
        let counts = [(fold.running, "running"), (fold.failed, "failed"), (fold.cancelled, "cancelled")];
        let counts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, state)| format!("{} {state}", thousands(*count)));
        let p95 = fold.quantile_ns(0.95).map(|ns| format!("p95 {}", duration(ns)));
        marks.push([format!("×{}", thousands(fold.count))].into_iter().chain(counts).chain(p95).collect::<Vec<_>>().join(", "));
    }
    let may_try_again = process.state == State::RUNNING && process.attempts_of > Some(1);
    if process.attempt > 1 || process.state == State::RETRYING || may_try_again {
        marks.push(attempt(process.attempt, process.attempts_of, process.next_attempt_us, now_us));
    }
    if let Some(progress) = &process.progress {
        let total = progress.total.map(|total| format!("/{total}")).unwrap_or_default();
        let unit = progress.unit.as_ref().map(|unit| format!(" {}", visible(unit))).unwrap_or_default();
        marks.push(format!("{}{total}{unit}", progress.done));
    }
    if process.orphan {
        marks.push("(orphan)".to_owned());
    }
    if process.attachment != Attachment::EXPLICIT {
        marks.push(format!("({})", visible(process.attachment.as_str())));
    }
    if process.error.is_none()
        && let Some(reason) = &process.reason
    {
        marks.push(visible(reason).into_owned());
    }
    marks
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sample(processes: &[(u32, &str, &str)]) -> TreePage {
        let counts = json!({"pending": 0, "running": 0, "succeeded": 0, "failed": 0, "cancelled": 0, "lost": 0});
        let root_id = "0199a3ce929d0e0e47360199a3ce929d";
        let processes = processes.iter().zip(1..).map(|((depth, name, state), id)| {
            let error = (*state == "failed").then(|| json!({"kind": "error", "message": "没有这样的表 in the database"}));
            json!({
                "id": format!("{id:016x}"), "root_id": root_id, "name": name, "kind": "normal", "state": state, "attempt": 1, "started_us": 1_000,
                "elapsed_ns": (!matches!(*state, "running" | "pending")).then_some(1_000), "error": error, "attachment": "explicit", "orphan": false, "links": [],
                "fields": {}, "depth": depth,
            })
        });
        let root = json!({"root_id": root_id, "number": 7, "name": "根", "title": "根 <7>", "state": "running", "counts": counts});
        let page = json!({"root": root, "processes": processes.collect::<Vec<_>>(), "as_of": 1});
        serde_json::from_value(page).expect("a page")
    }

    fn render(page: &TreePage, columns: Option<usize>) -> Vec<String> {
        render_all(page, false, columns)
    }

    fn render_all(page: &TreePage, all: bool, columns: Option<usize>) -> Vec<String> {
        let mut lines = Vec::new();
        let written = tree(page.clone(), all, columns, 2_000_001_000, |line| {
            lines.push(anstream::adapter::strip_str(line).to_string());
            Ok(())
        });
        written.expect("memory takes all");
        lines
    }

    #[test]
    fn branches_end_where_siblings_do() {
        let shape = [(0, "", "running"), (1, "a", "running"), (2, "b", "succeeded"), (2, "", "pending"), (1, "c", "lost"), (2, "d", "new")];
        let expected = [
            "▶ 根 <7>                   running    33 m 20 s\n",
            "├─ ▶ a                     running    33 m 20 s\n",
            "│  ├─ ✓ b                  succeeded     1.0 µs\n",
            "│  └─ ○ (not started yet)  pending\n",
            "└─ ? c                     lost          1.0 µs\n",
            "   └─ • d                  new           1.0 µs\n",
        ];
        assert_eq!(render(&sample(&shape), None), expected);
    }

    #[test]
    fn an_error_is_on_the_line_of_its_process_with_its_causes() {
        let mut page = sample(&[(0, "", "failed"), (1, "a", "failed")]);
        let error = page.processes[1].error.as_mut().expect("it failed");
        error.chain = vec!["can't write\u{1b} a.json\nof\nmany".to_owned(), "No such file (os error 2)".to_owned()];
        let lines = render(&page, None);
        assert_eq!(lines.len(), 2);
        assert!(lines[1].ends_with("  没有这样的表 in the database: can't write␛ a.json … many: No such file\n"), "{}", lines[1]);
    }

    #[test]
    fn similar_siblings_share_a_line() {
        let file = |inner: usize| std::iter::once((1, "file", "succeeded")).chain(std::iter::repeat_n((2, "line", "succeeded"), inner));
        let mut shape = vec![(0, "", "running")];
        shape.extend(file(3).chain(file(5)).chain(file(1)));
        shape.extend([
            (1, "file", "succeeded"),
            (2, "line", "failed"),
            (1, "file", "running"),
            (1, "file", "succeeded"),
            (2, "word", "succeeded"),
        ]);
        let page = sample(&shape);
        let expected = [
            "▶ 根 <7>      running    33 m 20 s\n",
            "├─ ✓ file     succeeded     1.0 µs  ×3 alike, 3.0 µs in all\n",
            "│  └─ ✓ line  succeeded     1.0 µs  ×3 alike, 3.0 µs in all\n",
            "├─ ✓ file     succeeded     1.0 µs\n",
            "│  └─ ✗ line  failed        1.0 µs  没有这样的表 in the database\n",
            "├─ ▶ file     running    33 m 20 s\n",
            "└─ ✓ file     succeeded     1.0 µs\n",
            "   └─ ✓ word  succeeded     1.0 µs\n",
        ];
        assert_eq!(render(&page, None), expected);
        assert_eq!(render_all(&page, true, None).len(), shape.len());
    }

    #[test]
    fn missing_processes_are_counted_below_the_tree() {
        let dropped = json!([{"type": "process-started", "reason": "mem\u{1b}ory", "count": 12_345}]);
        let tree = TreePage {
            dropped: serde_json::from_value(dropped).expect("a list"),
            ignored_parents: 2,
            deep_parents: 3,
            ..sample(&[(0, "", "running")])
        };
        let lines = render(&tree, None);
        assert_eq!(lines[1], "not in this tree: 12,345 × process-started (mem␛ory)\n");
        assert_eq!(lines[2], "ignored: 2 × parent (the chain of parents would be a circle)\n");
        assert_eq!(lines[3], "ignored: 3 × parent (the process would hang too deep)\n");
    }

    #[test]
    fn a_fold_shows_how_many_processes_it_represents() {
        let mut page = sample(&[(0, "", "running"), (1, "load row", "failed")]);
        let fold = json!({
            "count": 1_240, "running": 2, "failed": 3, "cancelled": 0, "total_ns": 1, "min_ns": 1, "max_ns": 3_000_000_000_u64,
            "histogram": [[352, 1_000], [546, 238]],
        });
        page.processes[1].fold = Some(serde_json::from_value(fold).expect("a fold"));
        (page.processes[1].elapsed_ns, page.processes[1].error) = (None, None);
        assert_eq!(render(&page, None)[1], "└─ ✗ load row  failed              ×1,240, 2 running, 3 failed, p95 2.0 s\n");
    }

    #[test]
    fn lines_fit_the_terminal() {
        let shape = [(0, "", "running"), (1, "一个很长很长很长很长很长的名字", "failed"), (50, "deep", "failed")];
        for columns in [20, 30, 40, 61] {
            for line in render(&sample(&shape), Some(columns)) {
                assert!(width(line.trim_end()) <= columns, "{columns}: {line}");
            }
        }
        let lines = render(&sample(&shape), Some(60));
        assert_eq!(lines[1], "└─ ✗ 一个很长很长很长很长很长…  failed      1.0 µs  没有这…\n");
        assert_eq!(lines[2], "⋯ 50 └─ ✗ deep                  failed      1.0 µs  没有这…\n");
    }
}
