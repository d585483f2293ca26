import type { ReactNode } from "react";
import type { Channel, Worker } from "../../api/types.ts";
import { count, lostText, t, wordText } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { Beats } from "../../ui/Beats.tsx";
import { CopyButton } from "../../ui/CopyButton.tsx";
import { Heard } from "../../ui/Heard.tsx";
import { Ago } from "../../ui/Time.tsx";

/** Identity of a worker, its last heartbeat, and its dropped events. */
export function Facts({ worker, channel, isOpen }: { worker: Worker; channel: Channel | undefined; isOpen: boolean }) {
  const { active, processed, loadavg, dropped } = worker;
  const load = loadavg?.map((figure) => figure.toFixed(2)).join(" · ");
  return (
    <section aria-labelledby="worker-who">
      <h2 id="worker-who">{t("worker.who")}</h2>
      <dl>
        <Row label={t("worker.name")}>
          <Code text={channel?.name ?? `${worker.program}@${worker.hostname}`} />
        </Row>
        <Row label={t("worker.id")}>
          <Code text={worker.id} />
        </Row>
        {worker.pid > 0 && (
          <Row label={t("panel.pid")}>
            <span className="mono">{worker.pid}</span>
          </Row>
        )}
        {worker.version !== null && <Row label={t("panel.client-version")}>{visible(worker.version)}</Row>}
        <Row label={t("workers.column.started")}>
          <Ago timeUs={worker.started_us} />
        </Row>
        <Row label={t("workers.column.heard")}>
          <Heard worker={worker} /> <Beats worker={worker} />
        </Row>
        <Row label={t("worker.channel")}>
          {isOpen ? (
            <>
              {t("worker.channel.open")} <Ago timeUs={channel?.open_since_us ?? null} />
            </>
          ) : (
            <span className="dim">{t(worker.state === "online" ? "worker.channel.none" : "worker.channel.closed")}</span>
          )}
        </Row>
        {typeof processed === "number" && <Row label={t("worker.tasks")}>{t("worker.tasks.done", { active: count(active ?? 0), processed: count(processed) })}</Row>}
        {load !== undefined && (
          <Row label={t("worker.load")}>
            <span className="number">{load}</span>
          </Row>
        )}
        {dropped.length > 0 && (
          <Row label={t("workers.column.dropped")}>
            {dropped.map((of) => (
              <div key={`${of.type} ${of.reason}`}>
                {lostText(of.type, of.count)} <span className="dim">{wordText("missing.reason", of.reason)}</span>
              </div>
            ))}
          </Row>
        )}
        <Row label={t("workers.column.running")}>{count(worker.running)}</Row>
      </dl>
    </section>
  );
}

export function Row({ label, children }: { label: ReactNode; children: ReactNode }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Code({ text }: { text: string }) {
  return (
    <span className="copied">
      <span className="mono" translate="no">
        {visible(text)}
      </span>
      <CopyButton text={text} />
    </span>
  );
}
