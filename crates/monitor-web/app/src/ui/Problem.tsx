import { ApiError } from "../api/client.ts";
import { t } from "../i18n.ts";

/** The server's error message, with a button to retry. */
export function ProblemNotice({ error, onRetry }: { error: unknown; onRetry: () => void }) {
  return (
    <div className="notice" role="alert">
      <h2>{t("problem.title")}</h2>
      <p className="detail">{problemText(error)}</p>
      <button type="button" className="outlined" onClick={onRetry}>
        {t("problem.retry")}
      </button>
    </div>
  );
}

/** Returns the error message, translated if a translation exists. */
export function problemText(error: unknown): string {
  if (error instanceof ApiError) return error.status === 0 ? t("problem.unreachable") : error.message;
  return error instanceof Error ? error.message : String(error);
}
