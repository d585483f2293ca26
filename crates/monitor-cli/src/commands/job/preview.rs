//! `monitor job preview`

use std::fmt::Write as _;
use std::io::Write as _;

use anstyle::AnsiColor;
use monitor_wire::JobPreview;

use super::request::What;
use crate::client::Connection;
use crate::exit;
use crate::text::{Line, counted, fit, one_line, terminal_width, visible, width};

/// Maximum width of the column of names.
const NAME_COLUMNS: usize = 40;

/// Show which hosts can run a script now, and why others can't; nothing is started
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:\n  monitor job preview -t env=prod --account app ./check.sh\n\n{}", exit::SERVER))]
pub(super) struct Args {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    connection: Connection,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let request = args.what.request()?;
    args.connection.show(args.connection.client()?.preview_job(&request), |preview| {
        let mut out = anstream::stdout().lock();
        write!(out, "{}", render(&preview, terminal_width()))?;
        Ok(out.flush()?)
    })
}

fn render(preview: &JobPreview, columns: Option<usize>) -> String {
    let most = columns.map_or(NAME_COLUMNS, |columns| NAME_COLUMNS.min(columns / 3));
    let names = preview.unable.iter().map(|host| width(&visible(&host.name)).min(most)).max().unwrap_or(0);
    let mut text = format!("{} can run it\n", counted(preview.able.len() as u64, "host"));
    for host in &preview.able {
        text.push_str(&Line::default().text("  ").text(&visible(&host.name)).finish(columns));
    }
    if !preview.unable.is_empty() {
        let _ = writeln!(text, "{} can't", counted(preview.unable.len() as u64, "host"));
    }
    for host in &preview.unable {
        let mut line = Line::default();
        line.text("  ").styled(AnsiColor::Red.on_default(), &fit(&visible(&host.name), names)).column(names + 4);
        line.text(&one_line(host.reason.as_deref().unwrap_or("no reason known")));
        text.push_str(&line.finish(columns));
    }
    for warning in &preview.warnings {
        text.push_str(&Line::default().styled(AnsiColor::Yellow.on_default(), &visible(warning)).finish(columns));
    }
    if preview.batches.len() > 1 {
        let sizes: Vec<String> = preview.batches.iter().map(u32::to_string).collect();
        text.push_str(&Line::default().text(&format!("batches: {}", sizes.join(", "))).finish(columns));
    }
    text
}

#[cfg(test)]
mod tests {
    use monitor_wire::PreviewedHost;

    use super::*;

    #[test]
    fn each_host_is_listed_and_those_that_cannot_run_have_reasons() {
        let host =
            |name: &str, reason: Option<&str>| PreviewedHost { host_id: Some(1), name: name.into(), reason: reason.map(str::to_owned) };
        let preview = JobPreview {
            able: vec![host("web-1", None), host("web-2", None)],
            unable: vec![host("nope\u{1b}", Some("there is no such host"))],
            batches: vec![1, 2],
            warnings: vec!["steps[0].script matches the rule `rm`: check this job".to_owned()],
        };
        let text = anstream::adapter::strip_str(&render(&preview, None)).to_string();
        assert!(text.starts_with("2 hosts can run it\n  web-1\n  web-2\n1 host can't\n  nope"), "{text}");
        assert!(
            text.ends_with("  there is no such host\nsteps[0].script matches the rule `rm`: check this job\nbatches: 1, 2\n")
                && !text.contains('\u{1b}'),
            "{text}"
        );
    }
}
