import type { CommandLine } from "../../api/types.ts";
import { locale, t, wordText } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { duration } from "../../model/time.ts";

/** Statuses of commands that were executed, or may still be. */
const GOOD = new Set(["ok", "waiting", "taken"]);

/** Status of a command. */
export function Status({ line: { status, elapsed_ns } }: { line: CommandLine }) {
  return (
    <span data-status={status} className={GOOD.has(status) ? "dim" : "bad"}>
      {status === "ok" ? t("worker.status.ok", { duration: duration(elapsed_ns ?? 0, locale) }) : wordText("worker.status", status)}
    </span>
  );
}

/** Result of a command, on one line. */
export function StatusLine({ line }: { line: CommandLine }) {
  return (
    <p>
      <Status line={line} />
      {line.error != null && <span translate="no"> {visible(line.error)}</span>}
    </p>
  );
}

/** Result of a command, with the unchanged answer. */
export function Answer({ line }: { line: CommandLine }) {
  return (
    <>
      <StatusLine line={line} />
      {line.value !== undefined && line.value !== null && (
        <pre tabIndex={0} translate="no">
          {pretty(line.value)}
        </pre>
      )}
    </>
  );
}

/** A text as it is, anything else as JSON. */
export function pretty(value: unknown): string {
  return typeof value === "string" ? visible(value) : JSON.stringify(value, (_, part: unknown) => (typeof part === "string" ? visible(part) : part), 2);
}
