import type { Failure } from "../api/types.ts";
import { t } from "../i18n.ts";

/** Quietly behind an error: the exit code or the signal that its message doesn't say. */
export function Exit({ error }: { error: Failure }) {
  if (error.code === undefined || error.code === null) return null;
  return <span className="exit">{t(error.kind === "signal" ? "exit.signal" : "exit.code", { code: error.code })}</span>;
}
