import type { Failure } from "../api/types.ts";
import { t } from "../i18n.ts";

/** Dimmed text after an error: the exit code or signal, which the message does not include. */
export function Exit({ error }: { error: Failure }) {
  if (error.code === undefined || error.code === null) return null;
  return <span className="exit">{t(error.kind === "signal" ? "exit.signal" : "exit.code", { code: error.code })}</span>;
}
