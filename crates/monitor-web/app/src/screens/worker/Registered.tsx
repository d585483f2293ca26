import type { Worker } from "../../api/types.ts";
import { t, wordText } from "../../i18n.ts";
import { visible } from "../../model/text.ts";

/** The functions that a program has registered, called or not. */
export function Registered({ functions }: { functions: NonNullable<Worker["registered"]> }) {
  if (functions.length === 0) return null;
  return (
    <details className="registered">
      <summary>{t("worker.registered", { count: functions.length })}</summary>
      <ul>
        {functions.map(({ name, kind, source }) => (
          <li key={`${name} ${source.file} ${source.line}`}>
            <span translate="no">{visible(name)}</span> <span className="dim">{wordText("kind", kind)}</span>{" "}
            <span className="mono dim" translate="no">
              {visible(source.file)}:{source.line}
            </span>
          </li>
        ))}
      </ul>
    </details>
  );
}
