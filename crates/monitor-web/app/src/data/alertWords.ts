/** Formats alerts as text. */
import type { Alert, AlertDetail } from "../api/types.ts";
import { type MessageId, t, wordText } from "../i18n.ts";
import { visible } from "../model/text.ts";

/** Returns the name in a subject: `gold` of `task:gold`. */
export function subjectName(subject: string): string {
  return visible(subject.slice(subject.indexOf(":") + 1));
}

/** Returns the cause of an alert, the count and the exit code. The error is shown separately, because it is text of the program. */
export function causeWords({ cause, count, facts }: Alert): string {
  const code = facts.exit_code !== undefined && facts.exit_code !== 0 ? t("alerts.exit", { code: facts.exit_code }) : undefined;
  const times = count > 1 ? t("alerts.times", { count }) : undefined;
  return [wordText("alerts.cause", cause), times, code].filter((text) => text !== undefined).join(" · ");
}

/** Returns the cause of an alert with its error or text. */
export function alertWords(alert: Alert): string {
  const said = alert.facts.error ?? alert.facts.text;
  return said === undefined ? causeWords(alert) : `${causeWords(alert)} · ${visible(said)}`;
}

type Note = Pick<AlertDetail["notes"][number], "what" | "who" | "detail">;

/**
 * The server's own sentences about decisions, which are translated. Anything else in that field is data, such as a task or a message of a
 * program.
 */
const SENTENCES: readonly [RegExp, MessageId][] = [
  [/^alert (?<id>\d+) has the same words$/, "alerts.detail.same-words"],
  [/^snooze of (?<scope>.+)$/, "alerts.detail.snooze"],
  [/^maintenance of (?<scope>.+)$/, "alerts.detail.maintenance"],
  [/^quiet hours$/, "alerts.detail.quiet"],
  [/^the owner can't be reached: the admins are told$/, "alerts.detail.owner-unreached"],
  [/^nobody owns it: the admins are told$/, "alerts.detail.no-owner"],
  [/^there is no channel$/, "alerts.detail.no-channel"],
  [/^the rule names nobody who can be reached$/, "alerts.detail.no-reach"],
  [/^the rule tells nobody: to = \[\]$/, "alerts.detail.off"],
  [/^nobody had been told that it fired$/, "alerts.detail.untold"],
  [/^fewer than (?<times>.+)$/, "alerts.detail.fewer"],
  [/^(?<who>.+) says that it is over$/, "alerts.detail.said"],
  [/^the rule is gone$/, "alerts.detail.no-rule"],
  [/^it doesn't last$/, "alerts.detail.passes"],
  [/^no job of this name has succeeded within a day$/, "alerts.detail.job-passes"],
  [/^(?<machine>.+) isn't heard of, which is told instead$/, "alerts.detail.away"],
  [/^the task is gone$/, "alerts.detail.no-task"],
  [/^(?<count>\d+) others of its message still fire$/, "alerts.detail.others"],
  [/^it came back before$/, "alerts.detail.before"],
  [/^its end came late: it failed$/, "alerts.detail.late-failed"],
  [/^its end came late: it succeeded$/, "alerts.detail.late-succeeded"],
  [/^an alert started this run itself$/, "alerts.detail.own-run"],
  [/^it is about no run that could be repeated$/, "alerts.detail.no-run"],
  [/^it was done as often as the rule allows$/, "alerts.detail.often"],
  [/^(?<task>[^:]+): command (?<id>\S*) asks for it$/, "alerts.detail.asked"],
  [/^(?<task>[^:]+): it was asked for before$/, "alerts.detail.asked-before"],
  [/^(?<task>[^:]+): its agent could not be asked for it within 10 minutes$/, "alerts.detail.unasked"],
  [/^(?<task>[^:]+): there is no such task$/, "alerts.detail.task-missing"],
];

/** Returns the text for a decision. */
export function decisionWords({ what }: Note): string {
  return wordText("alerts.decision", what);
}

/** Returns the recipient and reason of a decision. The server's sentences are translated; other text is shown unchanged. */
export function whyDecided({ what, who, detail }: Note): string {
  const sentence = detail === null ? undefined : detailWords(what, detail);
  return [who, sentence].filter((text) => text !== null && text !== undefined).join(" · ");
}

function detailWords(what: string, detail: string): string {
  // For a sent or summarised message, `detail` contains the kind of the message.
  if (what === "told" || what === "summed") return wordText("alerts.kind", detail, undefined, detail);
  for (const [pattern, id] of SENTENCES) {
    const found = pattern.exec(detail);
    if (found) return t(id, { ...found.groups });
  }
  return detail;
}
