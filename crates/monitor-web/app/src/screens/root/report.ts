/** Formats a process as Markdown, for an issue or a mail. */
import type { Process, Worker } from "../../api/types.ts";
import { timeOfDay } from "../../clock.ts";
import { locale, t, wordText } from "../../i18n.ts";
import { linksOf } from "../../model/errors.ts";
import { fieldText, visible } from "../../model/text.ts";
import { absolute, duration, elapsed } from "../../model/time.ts";
import { stateWord } from "../../ui/State.tsx";

export function report(process: Process, worker: Worker | undefined, address: string | undefined): string {
  const took = elapsed(process, timeOfDay());
  const time = (us: number | null) => us !== null && `${absolute(us, "UTC")} UTC`;
  const facts: [string, string | number | null | false | undefined][] = [
    [t("tasks.column.state"), stateWord(process.state)],
    [t("panel.started"), time(process.started_us)],
    [t("panel.ended"), time(process.ended_us)],
    [t("panel.duration"), took !== null && duration(took, locale)],
    [t("panel.kind"), wordText("kind", process.kind)],
    [t("panel.source"), process.source && code(`${process.source.file}:${process.source.line}`)],
    [t("panel.reason"), process.reason],
    [t("panel.exit-code"), process.exit_code],
    [t("panel.signal"), process.signal],
    [t("panel.program"), worker && `${worker.program} ${worker.version ?? ""}`.trim()],
    [t("panel.host"), worker && `${worker.hostname} (${worker.pid})`],
    [t("panel.thread"), process.thread],
    [t("panel.id"), code(process.id)],
    [t("panel.root-id"), code(process.root_id)],
    ...Object.entries(process.fields).map(([name, value]): [string, string] => [name, code(fieldText(value))]),
  ];
  const lines = [`## ${visible(process.name)}`, "", ...(address === undefined ? [] : [address, ""])];
  for (const [name, value] of facts) {
    if (value !== null && value !== undefined && value !== false && value !== "") lines.push(`- ${visible(name)}: ${value}`);
  }
  const { error } = process;
  if (error) {
    const [message = "", ...causes] = linksOf(error);
    const place = error.source ? [`${error.source.file}:${error.source.line}`] : [];
    lines.push("", `### ${t("panel.error")}`, "", fence([message, ...causes.map((cause) => `${t("panel.caused-by")}: ${cause}`), ...place].join("\n")));
  }
  return `${lines.join("\n")}\n`;
}

/** Returns a fence with more backquotes than the text contains. */
function fence(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([found]) => found.length));
  const mark = "`".repeat(longest + 1);
  return `${mark}\n${text}\n${mark}`;
}

function code(text: string): string {
  const shown = visible(text);
  return shown.includes("`") ? `\`\` ${shown} \`\`` : `\`${shown}\``;
}
