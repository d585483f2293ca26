/** Rules of alerts as sentences. */
import { locale, t, wordText } from "../../i18n.ts";
import { visible } from "../../model/text.ts";

type Definition = Readonly<Record<string, unknown>>;

const FILTERS = ["task", "name", "tag", "agent", "heartbeat", "job"] as const;

/** Returns a rule as sentences: when it applies, whom it notifies, and what else it does. */
export function ruleWords(rule: Definition): string {
  const on = objectOf(rule["on"]);
  const causes = listOf(on["cause"]).map((cause) => wordText("alerts.when", cause));
  const filters = FILTERS.flatMap((key) => (on[key] === undefined ? [] : [t(`alerts.only.${key}`, { value: join(listOf(on[key]).map(visible), "disjunction") })]));
  const times = rule["times"] === undefined ? "" : typeof rule["times"] === "number" ? t("alerts.in-a-row", { count: rule["times"] }) : visible(String(rule["times"]));
  const when = [join(causes, "disjunction"), ...filters, times].filter((part) => part !== "").join(", ");
  return [whom(when, rule["to"]), ...others(rule)].join(" ");
}

function whom(when: string, to: unknown): string {
  const recipients = listOf(to);
  // A rule without `to` may only escalate, or start a task.
  if (to === undefined) return t("alerts.rule.when", { when });
  if (recipients.length === 0) return t("alerts.rule.nobody", { when });
  return t("alerts.rule.notify", { when, who: names(recipients) });
}

function others(rule: Definition): string[] {
  const { severity, repeat, quiet, then } = rule;
  const run = objectOf(then);
  return [
    ...(severity === undefined ? [] : [t("alerts.rule.severity", { severity: wordText("alerts.severity", String(severity)) })]),
    ...(repeat === undefined ? [] : [t("alerts.rule.repeat", { time: visible(String(repeat)) })]),
    ...objectsOf(rule["escalate"]).map(({ after, to }) => t("alerts.rule.escalate", { time: visible(String(after)), who: names(listOf(to)) })),
    ...(quiet === undefined ? [] : [t("alerts.rule.quiet", { time: listOf(quiet).map(visible).join(", ") })]),
    ...(run["run"] === undefined ? [] : [t("alerts.rule.run", { task: visible(String(run["run"])) })]),
    ...(run["retry"] === true ? [t("alerts.rule.retry")] : []),
  ];
}

function names(recipients: readonly string[]): string {
  const known: Readonly<Record<string, string>> = { "@owner": t("alerts.rule.owner"), "@admins": t("alerts.rule.admins") };
  return join(recipients.map((one) => known[one] ?? visible(one)), "conjunction");
}

function join(parts: readonly string[], type: "conjunction" | "disjunction"): string {
  return new Intl.ListFormat(locale, { type }).format(parts);
}

function objectOf(value: unknown): Definition {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Definition) : {};
}

function objectsOf(value: unknown): Definition[] {
  return (Array.isArray(value) ? value : [value]).map(objectOf).filter((of) => Object.keys(of).length > 0);
}

function listOf(value: unknown): string[] {
  return (Array.isArray(value) ? value : value === undefined ? [] : [value]).map(String);
}
