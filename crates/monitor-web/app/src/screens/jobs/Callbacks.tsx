import type { CallbackDelivery } from "../../api/types.ts";
import { t } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { clock } from "../../model/time.ts";
import { JobState } from "./parts.tsx";
import { useCallbacks } from "./useJobs.ts";

/** The callbacks of a job and their deliveries, newest first. Nothing for a job without callbacks. */
export function Callbacks({ job, isOpen }: { job: number; isOpen: boolean }) {
  const { data: deliveries = [] } = useCallbacks(job, isOpen);
  if (deliveries.length === 0) return null;
  const isWaiting = deliveries.some(({ state, attempts }) => state === "waiting" && attempts > 0);
  return (
    <details className="callbacks" open={isWaiting || undefined}>
      <summary>{t("jobs.callbacks")}</summary>
      <ul>
        {deliveries.map((delivery) => (
          <li key={delivery.id} data-delivery={delivery.state}>
            <span className="dim">{clock(delivery.callback.time_us)}</span> <JobState status={delivery.callback.status} />
            {delivery.callback.corrected && ` ${t("jobs.callback.corrected")}`}
            {" · "}
            {progressOf(delivery)}
            {delivery.answer != null && (
              <span className="dim" translate="no">
                {" · "}
                {visible(delivery.answer)}
              </span>
            )}
          </li>
        ))}
      </ul>
    </details>
  );
}

function progressOf({ state, attempts, next_us }: CallbackDelivery): string {
  if (state === "delivered") return t("jobs.callback.delivered");
  if (state === "given-up") return t("jobs.callback.given-up", { attempts });
  return attempts === 0 || next_us == null ? t("jobs.callback.waiting") : t("jobs.callback.again", { attempts, time: clock(next_us) });
}
