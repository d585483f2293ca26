import type { CommandLine } from "../../api/types.ts";
import { locale, t, wordText } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { duration } from "../../model/time.ts";

/** What came of a command, in a line. */
export function StatusLine({ line: { status, error, elapsed_ns } }: { line: CommandLine }) {
  const isOk = status === "ok";
  return (
    <p data-status={status} className={isOk ? "dim" : "bad"}>
      {isOk ? t("worker.status.ok", { duration: duration(elapsed_ns ?? 0, locale) }) : wordText("worker.status", status)}
      {error != null && <span translate="no"> {visible(error)}</span>}
    </p>
  );
}

/** What came of a command, and the answer as it is. */
export function Answer({ line }: { line: CommandLine }) {
  return (
    <div role="status">
      <StatusLine line={line} />
      {line.value !== undefined && line.value !== null && (
        <pre tabIndex={0} translate="no">
          {pretty(line.value)}
        </pre>
      )}
    </div>
  );
}

/** A text as it is, anything else as JSON. */
function pretty(value: unknown): string {
  return typeof value === "string" ? visible(value) : JSON.stringify(value, (_, part: unknown) => (typeof part === "string" ? visible(part) : part), 2);
}
