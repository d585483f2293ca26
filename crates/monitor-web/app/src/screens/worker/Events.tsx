import type { Worker } from "../../api/types.ts";
import { count, t } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { Row } from "./Facts.tsx";

/** Number of stored events of a worker by type, the most frequent first. */
export function Events({ events }: { events: NonNullable<Worker["events"]> }) {
  const types = Object.entries(events).sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
  if (types.length === 0) return null;
  return (
    <section aria-labelledby="worker-events" className="events">
      <h2 id="worker-events">{t("worker.events")}</h2>
      <dl>
        {types.map(([type, events]) => (
          <Row key={type} label={<span translate="no">{visible(type)}</span>}>
            <span className="number">{count(events)}</span>
          </Row>
        ))}
      </dl>
    </section>
  );
}
