import type { CommandLine } from "../../api/types.ts";
import { bytes, count, locale, t, wordText } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { duration } from "../../model/time.ts";
import type { Limit, Pool, WorkerStats } from "../../model/worker-stats.ts";
import { Button } from "../../ui/Button.tsx";
import { problemText } from "../../ui/Problem.tsx";
import { Ago } from "../../ui/Time.tsx";
import { StatusLine } from "./Answer.tsx";
import { Row } from "./Facts.tsx";

interface Props {
  stats: WorkerStats;
  line: CommandLine | undefined;
  error: unknown;
  isAsking: boolean;
  onAsk: () => void;
}

/** Figures that only the worker itself can report: its pool, limits and queues, and figures of its program. */
export function Figures({ stats: { pool, limits, queues, figures }, line, error, isAsking, onAsk }: Props) {
  return (
    <section aria-labelledby="worker-figures" className="figures">
      <h2 id="worker-figures">
        {t("worker.figures")}{" "}
        <Button className="outlined" disabled={isAsking} onClick={onAsk}>
          {t("worker.figures.again")}
        </Button>
      </h2>
      {error != null && <p className="bad">{problemText(error)}</p>}
      {line && line.status !== "ok" && <StatusLine line={line} />}
      <dl>
        {pool && (
          <Row label={t("worker.pool")}>
            <PoolText pool={pool} />
          </Row>
        )}
        {queues.length > 0 && (
          <Row label={t("worker.queues")}>
            <span translate="no">{queues.map(visible).join(", ")}</span>
          </Row>
        )}
        {limits.map((limit) => (
          <Row key={limit.name} label={t("worker.limit")}>
            <span translate="no">{visible(limit.name)}</span> <LimitText limit={limit} />
          </Row>
        ))}
        {figures.map(([name, value]) => (
          <Row key={name} label={wordText("worker.stat", name)}>
            <Figure name={name} value={value} />
          </Row>
        ))}
      </dl>
    </section>
  );
}

function PoolText({ pool: { size, busy, min, max, isPaused, untilUs, pausedUntilUs } }: { pool: Pool }) {
  return (
    <>
      <span className="number">{t("worker.pool.busy", { busy: busy ?? 0, size })}</span>
      {min !== undefined && max !== undefined && min !== max && <span className="dim"> {t("worker.pool.between", { min, max })}</span>}
      {untilUs !== undefined && <Until timeUs={untilUs} />}
      {isPaused && <strong> {t("worker.pool.paused")}</strong>}
      {isPaused && pausedUntilUs !== undefined && <Until timeUs={pausedUntilUs} />}
    </>
  );
}

function LimitText({ limit: { rate, softMs, hardMs, untilUs } }: { limit: Limit }) {
  const ms = (value: number) => duration(value * 1e6, locale);
  const parts = [rate !== undefined && visible(rate), softMs !== undefined && t("worker.limit.soft", { duration: ms(softMs) }), hardMs !== undefined && t("worker.limit.hard", { duration: ms(hardMs) })];
  return (
    <>
      {parts.filter(Boolean).join(" · ")}
      {untilUs !== undefined && <Until timeUs={untilUs} />}
    </>
  );
}

/** Time at which a setting returns to its previous value. */
function Until({ timeUs }: { timeUs: number }) {
  return (
    <span className="dim">
      {" "}
      {t("worker.until")} <Ago timeUs={timeUs} />
    </span>
  );
}

/** A figure by the unit in its name. */
function Figure({ name, value }: { name: string; value: unknown }) {
  if (typeof value !== "number") {
    return (
      <span className="mono" translate="no">
        {visible(typeof value === "string" ? value : JSON.stringify(value))}
      </span>
    );
  }
  if (name.endsWith("_us")) return <Ago timeUs={value} />;
  const text = name.endsWith("_bytes") ? bytes(value) : name.endsWith("_ns") ? duration(value, locale) : name === "pid" ? String(value) : count(value);
  return <span className="number">{text}</span>;
}
