//! Rules of the server for dangerous commands.

use monitor_wire::JobRequest;
use regex::Regex;

/// A rule for scripts, arguments and variables that match a pattern.
#[derive(Debug, Clone)]
pub struct JobRule {
    pattern: Regex,
    action: RuleAction,
    message: Option<String>,
}

impl JobRule {
    /// Creates a rule: a regular expression that is searched for, `refuse`, `confirm` or `warn`, and an explanation for users.
    ///
    /// # Errors
    /// If the pattern or the action has a mistake.
    pub fn new(pattern: &str, action: &str, message: Option<String>) -> Result<Self, String> {
        let known = RuleAction::ALL.into_iter().find(|known| known.as_str() == action);
        let known = known.ok_or_else(|| format!("action = {action:?}: expected \"refuse\", \"confirm\" or \"warn\""))?;
        let compiled = Regex::new(pattern).map_err(|error| {
            let why = error.to_string();
            format!("pattern = {pattern:?}: {}", why.lines().last().unwrap_or_default().trim_start_matches("error: "))
        })?;
        if compiled.is_match("") {
            return Err(format!("pattern = {pattern:?}: it matches every job, because it matches an empty text"));
        }
        Ok(Self { pattern: compiled, action: known, message })
    }

    /// Returns the pattern as text.
    #[must_use]
    pub fn pattern(&self) -> &str {
        self.pattern.as_str()
    }

    /// Returns the consequence of a match.
    #[must_use]
    pub fn action(&self) -> RuleAction {
        self.action
    }

    /// Returns the explanation for users.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }
}

/// Consequence of a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleAction {
    /// The job is refused.
    Refuse,
    /// The job begins after a user has confirmed it.
    Confirm,
    /// The job begins, and its caller gets a warning.
    Warn,
}

impl RuleAction {
    const ALL: [Self; 3] = [Self::Refuse, Self::Confirm, Self::Warn];

    /// Returns the name of the action.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Confirm => "confirm",
            Self::Warn => "warn",
        }
    }
}

/// Result of the rules for a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// True if a user must confirm the job before it begins.
    pub needs_confirmation: bool,
    /// A sentence for each rule that matches.
    pub warnings: Vec<String>,
}

/// Applies the rules to a request.
///
/// # Errors
/// If a rule refuses the job, with a sentence for each such rule.
pub fn judge(rules: &[JobRule], request: &JobRequest) -> Result<Verdict, Vec<String>> {
    let (mut refused, mut verdict) = (Vec::new(), Verdict::default());
    for JobRule { pattern, action, message } in rules {
        let Some(place) = place_of(pattern, request) else { continue };
        let consequence = match action {
            RuleAction::Refuse => "the server refuses this job",
            RuleAction::Confirm => "a user must confirm this job before it begins",
            RuleAction::Warn => "check this job",
        };
        let message = message.as_ref().map(|message| format!(" ({message})")).unwrap_or_default();
        let sentence = format!("{place} matches the rule `{}`{message}: {consequence}", pattern.as_str());
        match action {
            RuleAction::Refuse => refused.push(sentence),
            RuleAction::Confirm | RuleAction::Warn => {
                verdict.needs_confirmation |= *action == RuleAction::Confirm;
                verdict.warnings.push(sentence);
            }
        }
    }
    if refused.is_empty() { Ok(verdict) } else { Err(refused) }
}

/// Returns the path of the first text that matches. The text itself can be a secret.
fn place_of(pattern: &Regex, request: &JobRequest) -> Option<String> {
    request.steps.iter().enumerate().find_map(|(index, step)| {
        let step_path = format!("steps[{index}]");
        if pattern.is_match(&step.script) {
            return Some(format!("{step_path}.script"));
        }
        if let Some(arg) = step.args.iter().position(|arg| pattern.is_match(arg)) {
            return Some(format!("{step_path}.args[{arg}]"));
        }
        let name = step.env.iter().find_map(|(name, value)| pattern.is_match(value).then_some(name))?;
        Some(format!("{step_path}.env.{name}"))
    })
}

#[cfg(test)]
mod tests {
    use monitor_wire::StepRequest;

    use super::*;

    fn rule(pattern: &str, action: RuleAction, message: Option<&str>) -> JobRule {
        JobRule::new(pattern, action.as_str(), message.map(str::to_owned)).unwrap()
    }

    #[test]
    fn each_rule_that_matches_is_named_with_its_place() {
        let step = |script: &str, args: &[&str], env: &[(&str, &str)]| StepRequest {
            script: script.to_owned(),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..StepRequest::default()
        };
        let request = JobRequest {
            steps: vec![step("true\n", &[], &[]), step("rm -rf \"$1\"\n", &["/tmp/a", "/"], &[("MODE", "force")])],
            ..JobRequest::default()
        };
        let rules = [
            rule(r"rm\s+-rf", RuleAction::Confirm, Some("ask the owner")),
            rule("^/.*", RuleAction::Warn, None),
            rule("reboot", RuleAction::Refuse, None),
        ];
        let verdict = judge(&rules, &request).unwrap();
        assert!(verdict.needs_confirmation);
        assert_eq!(
            verdict.warnings,
            [
                r"steps[1].script matches the rule `rm\s+-rf` (ask the owner): a user must confirm this job before it begins",
                "steps[1].args[0] matches the rule `^/.*`: check this job",
            ]
        );
        let refused = judge(&[rule("force", RuleAction::Refuse, None), rules[0].clone()], &request).unwrap_err();
        assert_eq!(refused, ["steps[1].env.MODE matches the rule `force`: the server refuses this job"]);
        assert_eq!(judge(&rules[1..2], &JobRequest::default()), Ok(Verdict::default()));
    }
}
