import { locale, t } from "../i18n.ts";
import { duration } from "../model/time.ts";
import { useNow } from "./now.ts";

interface Tried {
  state: string;
  attempt?: number | null;
  attempts_of?: number | null;
  next_attempt_us?: number | null;
}

/** Shows the current attempt, if there may be more than one, and the start of the next one. */
export function AttemptNow({ of }: { of: Tried }) {
  const attempt = of.attempt ?? 1;
  const isRetrying = of.state === "retrying";
  const most = of.attempts_of ?? null;
  const isFirstOfSeveral = (most ?? 1) > 1 && of.state !== "succeeded";
  if (!isRetrying && attempt < 2 && !isFirstOfSeveral) return null;
  return (
    <span className="attempt-now" data-retrying={isRetrying}>
      {most === null ? t("mark.attempt", { attempt }) : t("attempt.of", { attempt, of: most })}
      {isRetrying && typeof of.next_attempt_us === "number" && <Next atUs={of.next_attempt_us} />}
    </span>
  );
}

function Next({ atUs }: { atUs: number }) {
  const leftUs = atUs - useNow("slow");
  // Whole seconds, because the display is updated once a second.
  const time = duration(Math.ceil(leftUs / 1e6) * 1e9, locale);
  return <> · {leftUs > 0 ? t("attempt.next", { time }) : t("attempt.due")}</>;
}
