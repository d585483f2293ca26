//! Shares of failed calls. Once a minute, the sums of the last minutes are compared with the rules that limit a share.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use monitor_alerts::{Cause, Facts, Relief, Rule, Sign, Subject, SubjectKind, Times, What};
use monitor_store::{AlertsChange, StatsQuery, StatsSort, Store, StoreError, owners};
use monitor_wire::BatchStatus;

use super::{Alerts, blocking};
use crate::ingest::IngestError;

/// Interval of the checks. Sums are stored per minute.
pub(super) const EVERY: Duration = Duration::from_secs(60);
/// Maximum number of names checked per rule, most failures first.
const MOST: usize = 1_000;

impl Alerts {
    /// Stores a sign where a share is reached, and another one where it is no longer reached.
    pub(super) async fn look_at_shares(&self) -> Result<(), IngestError> {
        let ruleset = self.rules();
        let rules: Vec<Rule> = ruleset.rules.iter().filter(|rule| matches!(rule.times, Times::Share(..))).cloned().collect();
        if rules.is_empty() {
            return Ok(());
        }
        let mut firing = BTreeMap::<String, BTreeSet<Subject>>::new();
        {
            let mut memory = self.memory.lock().await;
            for alert in self.remembered(&mut memory).await?.state.firing() {
                firing.entry(alert.rule.clone()).or_default().insert(alert.subject.clone());
            }
        }
        let (store, now_us) = (self.parts.store.clone(), self.parts.clock.wall_us());
        let look = move || {
            let mut signs = Vec::new();
            for rule in &rules {
                judge(&*store, rule, &firing.remove(&rule.name).unwrap_or_default(), now_us, &mut signs)?;
            }
            Ok(signs)
        };
        let signs = blocking(look).await?;
        if !signs.is_empty() {
            self.change(AlertsChange { signs, ..AlertsChange::default() }).await?;
        }
        Ok(())
    }
}

/// Compares the calls within a rule's window with its share. `firing` contains the subjects of the rule's firing alerts.
fn judge(store: &dyn Store, rule: &Rule, firing: &BTreeSet<Subject>, now_us: u64, signs: &mut Vec<Sign>) -> Result<(), StoreError> {
    let Times::Share(_, window) = rule.times else { return Ok(()) };
    let query = StatsQuery {
        from_us: Some(now_us.saturating_sub(window.as_micros().min(u128::from(u64::MAX)) as u64)),
        to_us: None,
        name: None,
        text: None,
        sort: StatsSort::Failed,
        limit: MOST,
        cursor: None,
    };
    let mut over = BTreeSet::new();
    for of in store.stats(&query)?.stats {
        let calls = of.succeeded + of.failed + of.lost;
        if !rule.times.is_share(of.failed, calls) {
            continue;
        }
        let Some((subject, facts)) = subject_of(store, rule, &of.name)? else { continue };
        if !firing.contains(&subject) {
            let facts = Facts { rule: Some(rule.name.clone()), calls: Some(calls), times: Some(of.failed), ..facts };
            signs.push(sign(What::Cause(Cause::Failed), subject.clone(), facts, now_us));
        }
        over.insert(subject);
    }
    for subject in firing.difference(&over) {
        let facts = Facts { rule: Some(rule.name.clone()), ..Facts::default() };
        signs.push(sign(What::Relief(Relief::Succeeded), subject.clone(), facts, now_us));
    }
    Ok(())
}

/// Returns the subject that a rule means by a name: a batch task, or processes of that name. Returns `None` if the rule does not apply to
/// it.
fn subject_of(store: &dyn Store, rule: &Rule, name: &str) -> Result<Option<(Subject, Facts)>, StoreError> {
    let of_name = (Subject::new(SubjectKind::Name, name), Facts::default());
    if rule.on.name.is_some() {
        return Ok(Some(of_name).filter(|(subject, facts)| rule.on.fits(subject, None, facts)));
    }
    let Some(task) = store.batch_task(name)?.filter(|task| task.status != BatchStatus::DELETED) else { return Ok(None) };
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let tags = task.definition.get("tags").and_then(|tags| tags.as_array());
    let (owner, owners) = owners(&task.definition);
    let facts = Facts { owner, owners, tags: tags.into_iter().flatten().filter_map(text).collect(), ..Facts::default() };
    let subject = Subject::new(SubjectKind::Task, name);
    Ok(Some((subject, facts)).filter(|(subject, facts)| rule.on.fits(subject, None, facts)))
}

fn sign(what: What, subject: Subject, facts: Facts, now_us: u64) -> Sign {
    Sign { seq: 0, time_us: now_us, what, subject, root: None, process: None, agent: None, ancestors: Vec::new(), facts }
}
