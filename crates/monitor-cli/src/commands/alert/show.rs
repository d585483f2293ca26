//! Alerts as text.

use std::io::Write;

use monitor_wire::{
    Alert, AlertDetail, AlertExplanation, AlertMessage, AlertNote, AlertPreview, AlertRules, AlertTrial, AlertTrials, AlertsPage, Hush,
    Hushes,
};

use crate::text::{moment, visible};

pub(super) fn page(page: &AlertsPage) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    for mistake in &page.mistakes {
        writeln!(out, "wrong: {}", visible(mistake))?;
    }
    if !page.can_tell {
        writeln!(out, "nobody would be told: there is no channel in alerts.toml")?;
    }
    for alert in &page.alerts {
        writeln!(out, "{}", line(alert))?;
    }
    if page.alerts.is_empty() {
        writeln!(out, "no alerts")?;
    }
    Ok(out.flush()?)
}

fn line(alert: &Alert) -> String {
    let count = if alert.count > 1 { format!(" ×{}", alert.count) } else { String::new() };
    let ack = alert.acknowledged_by.as_deref().map(|who| format!("  {} looks after it", visible(who))).unwrap_or_default();
    let until = alert.resolved_us.map(|us| format!(" – {}", moment(us))).unwrap_or_default();
    let error = alert.facts.get("error").and_then(|error| error.as_str()).map(|error| format!("  {}", visible(error))).unwrap_or_default();
    let (subject, state) = (visible(&alert.subject), visible(&alert.state));
    let what = format!("{:>5}  {state:<8}  {:<8}  {:<8}", alert.id, visible(&alert.severity), visible(&alert.cause));
    format!("{what}  {subject}{count}  {}{until}{ack}{error}", moment(alert.since_us))
}

pub(super) fn detail(detail: &AlertDetail) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{}", line(&detail.alert))?;
    writeln!(out, "rule {}", visible(&detail.alert.rule))?;
    for (key, value) in &detail.alert.facts {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        writeln!(out, "  {}: {}", visible(key), visible(&text))?;
    }
    decided_and_sent(&mut out, "", detail)?;
    Ok(out.flush()?)
}

fn decided_and_sent(out: &mut impl Write, indent: &str, detail: &AlertDetail) -> std::io::Result<()> {
    detail.notes.iter().try_for_each(|of| writeln!(out, "{indent}{}", note(of)))?;
    detail.messages.iter().try_for_each(|of| writeln!(out, "{indent}{}", message(of)))
}

fn note(of: &AlertNote) -> String {
    let who = of.who.as_deref().map(|who| format!("  {}", visible(who))).unwrap_or_default();
    let detail = of.detail.as_deref().map(|detail| format!("  {}", visible(detail))).unwrap_or_default();
    let alert = of.alert.map(|alert| format!("  alert {alert}")).unwrap_or_default();
    format!("{}  {:<12}  by {}{alert}{who}{detail}", moment(of.time_us), visible(&of.what), visible(&of.rule))
}

fn message(of: &AlertMessage) -> String {
    let answer = of.answer.as_deref().map(|answer| format!("  {}", visible(answer))).unwrap_or_default();
    let to = of.address.as_deref().map(|address| format!(" to {}", visible(address))).unwrap_or_default();
    let tried = if of.attempts == 1 { String::new() } else { format!(" after {} attempts", of.attempts) };
    format!("{}  {} by {}{to}: {}{tried}{answer}", moment(of.time_us), visible(&of.kind), visible(&of.channel), visible(&of.state))
}

pub(super) fn explanation(explained: &AlertExplanation) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    for sign in &explained.signs {
        writeln!(out, "{}  {}  {}", moment(sign.time_us), visible(&sign.what), visible(&sign.subject))?;
        sign.notes.iter().try_for_each(|of| writeln!(out, "  {}", note(of)))?;
        if sign.notes.is_empty() {
            writeln!(out, "  no rule is for it, or it was counted with others")?;
        }
    }
    if explained.signs.is_empty() {
        writeln!(out, "nothing happened in it that may matter to a rule")?;
    }
    for detail in &explained.alerts {
        let told = detail.alert.told.iter().map(|to| visible(to)).collect::<Vec<_>>().join(", ");
        let told = if told.is_empty() { "nobody".to_owned() } else { told };
        writeln!(out, "alert {}  by {}  told: {told}", line(&detail.alert).trim_start(), visible(&detail.alert.rule))?;
        decided_and_sent(&mut out, "  ", detail)?;
    }
    Ok(out.flush()?)
}

pub(super) fn done(what: &str, alert: &Alert) -> anyhow::Result<()> {
    Ok(writeln!(anstream::stdout(), "{what} {}", line(alert).trim_start())?)
}

pub(super) fn trial(trial: &AlertTrial) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    let cut = if trial.is_cut { ", of the events that are looked at" } else { "" };
    let times = if trial.count == 1 { "once".to_owned() } else { format!("{} times", trial.count) };
    let messages = if trial.messages == 1 { "message" } else { "messages" };
    writeln!(out, "it would have fired {times} and sent {} {messages}{cut}", trial.messages)?;
    trial.alerts.iter().try_for_each(|alert| writeln!(out, "{}", line(alert)))?;
    Ok(out.flush()?)
}

pub(super) fn trials(trials: &AlertTrials) -> anyhow::Result<()> {
    for warning in &trials.warnings {
        writeln!(anstream::stderr(), "warning: {}", visible(warning))?;
    }
    trials.trials.iter().try_for_each(|of| {
        write!(anstream::stdout(), "{}: ", visible(&of.rule))?;
        trial(&of.trial)
    })
}

pub(super) fn preview(preview: &AlertPreview) -> anyhow::Result<()> {
    if let Some(trouble) = &preview.trouble {
        writeln!(anstream::stderr(), "the template failed, and the built-in text is sent: {}", visible(trouble))?;
    }
    if preview.alert.is_none() {
        writeln!(anstream::stderr(), "there never was an alert: this is what a test says")?;
    }
    let mut out = anstream::stdout().lock();
    preview.text.lines().try_for_each(|line| writeln!(out, "{}", visible(line)))?;
    Ok(out.flush()?)
}

pub(super) fn rules(rules: &AlertRules) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{}", visible(&rules.file))?;
    for mistake in &rules.mistakes {
        writeln!(out, "wrong: {}", visible(mistake))?;
    }
    for warning in &rules.warnings {
        writeln!(out, "warning: {}", visible(warning))?;
    }
    for rule in &rules.rules {
        let definition = serde_json::Value::Object(rule.definition.clone()).to_string();
        let replaces = if rule.replaces_builtin { ", in place of the built-in one" } else { "" };
        writeln!(out, "rule {} ({}{replaces})  {}", visible(&rule.name), visible(&rule.source), visible(&definition))?;
    }
    for channel in &rules.channels {
        let last = channel.last.as_ref().map_or_else(|| "sent no alert yet".to_owned(), message);
        writeln!(out, "channel {} ({})  {last}", visible(&channel.name), visible(&channel.kind))?;
    }
    if rules.channels.is_empty() {
        writeln!(out, "nobody would be told: there is no channel")?;
    }
    Ok(out.flush()?)
}

pub(super) fn hushes(hushes: &Hushes) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    for Hush { id, scope, from_us, until_us, who, why, kind } in &hushes.hushes {
        let why = why.as_deref().map(|why| format!("  {}", visible(why))).unwrap_or_default();
        let (from, until) = (moment(*from_us), moment(*until_us));
        writeln!(out, "{id:>5}  {:<11}  {}  {from} – {until}  by {}{why}", visible(kind), visible(scope), visible(who))?;
    }
    if hushes.hushes.is_empty() {
        writeln!(out, "nobody is hushed")?;
    }
    Ok(out.flush()?)
}
