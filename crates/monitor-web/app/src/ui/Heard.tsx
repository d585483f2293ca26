import type { Worker } from "../api/types.ts";
import { locale, t } from "../i18n.ts";
import { ago, duration } from "../model/time.ts";
import { overdue } from "../model/workers.ts";
import { useNow } from "./now.ts";

/** Time since a worker's last heartbeat, and its interval. */
export function Heard({ worker }: { worker: Worker }) {
  const nowUs = useNow("slow");
  const late = overdue(worker, nowUs);
  const every = worker.heartbeat_interval_ms === null ? "" : t("workers.every", { duration: duration(worker.heartbeat_interval_ms * 1e6, locale) });
  return (
    <span title={every}>
      {worker.last_seen_us === 0 ? t("workers.unheard") : ago(worker.last_seen_us, nowUs, locale)}
      {worker.heartbeat_interval_ms === null && worker.state === "online" && <span className="dim" title={t("workers.no-beats.why")}> {t("workers.no-beats")}</span>}
      {late > 0 && <span className="late"> {t("workers.late", { count: late })}</span>}
      {worker.state === "lost" && worker.lost_us !== null && <span className="late"> {t("workers.lost", { time: ago(worker.lost_us, nowUs, locale) })}</span>}
    </span>
  );
}
