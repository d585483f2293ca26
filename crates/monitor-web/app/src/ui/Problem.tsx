import { ApiError } from "../api/client.ts";
import { t } from "../i18n.ts";

/** What the server said went wrong, with a way to try again. */
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

/** What went wrong, in the reader's words where there are some. */
export function problemText(error: unknown): string {
  if (error instanceof ApiError) return error.status === 0 ? t("problem.unreachable") : error.message;
  return error instanceof Error ? error.message : String(error);
}
