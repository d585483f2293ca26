import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { fetchLogs } from "../../api/client.ts";
import type { Attempt, Process } from "../../api/types.ts";
import { locale, t } from "../../i18n.ts";
import { errorLine } from "../../model/errors.ts";
import { visible, visibleLines } from "../../model/text.ts";
import { absolute, duration } from "../../model/time.ts";
import { Button } from "../../ui/Button.tsx";
import { Exit } from "../../ui/Exit.tsx";
import { StateGlyph } from "../../ui/State.tsx";
import "./attempts.css";

/** Maximum number of log lines that are searched. */
const MOST_LINES = 10_000;

/** The attempts of a process as a strip, and the error and output of the selected one. */
export function Attempts({ process }: { process: Process }) {
  const attempts = process.attempts ?? [];
  const [chosen, choose] = useState<number>();
  const shown = attempts.find(({ attempt }) => attempt === chosen);
  if (attempts.length === 0) return null;
  return (
    <section className="attempts">
      <h3>{t("attempt.title")}</h3>
      <ol>
        {attempts.map((each) => (
          <li key={each.attempt}>
            <Button aria-expanded={each.attempt === chosen} onClick={() => choose(each.attempt === chosen ? undefined : each.attempt)} title={summary(each)}>
              <StateGlyph state={stateOf(each, process)} /> <span className="number">{each.attempt}</span>
            </Button>
          </li>
        ))}
      </ol>
      {shown && <Told attempt={shown} process={process} />}
    </section>
  );
}

/** An attempt without an outcome has the state of its process. */
function stateOf({ outcome }: Attempt, process: Process): string {
  return outcome ?? process.state;
}

function summary({ attempt, elapsed_ns, error }: Attempt): string {
  const took = elapsed_ns === null ? undefined : duration(elapsed_ns, locale);
  return [t("mark.attempt", { attempt }), took, error && visible(errorLine(error))].filter(Boolean).join(" · ");
}

function Told({ attempt, process }: { attempt: Attempt; process: Process }) {
  const { started_us: from, ended_us: to, elapsed_ns, error } = attempt;
  return (
    <div className="told">
      <p>
        {t("mark.attempt", { attempt: attempt.attempt })}
        {from !== null && <span className="dim number"> {absolute(from).slice(0, 23)}</span>}
        {elapsed_ns !== null && <span className="number"> {duration(elapsed_ns, locale)}</span>}
        {to === null && attempt.attempt !== process.attempt && <span className="dim"> {t("attempt.open")}</span>}
      </p>
      {error && (
        <p className="message">
          {visible(errorLine(error))}
          <Exit error={error} />
        </p>
      )}
      {from !== null && <Written process={process} fromUs={from} toUs={to ?? Infinity} />}
    </div>
  );
}

/** The output of a process between two times. */
function Written({ process, fromUs, toUs }: { process: Process; fromUs: number; toUs: number }) {
  const query = useQuery({
    queryKey: ["attempts", process.id, process.attempt, process.state],
    queryFn: ({ signal }) => fetchLogs(process.root_id, process.id, { limit: MOST_LINES, order: "newest" }, signal),
  });
  const lines = (query.data?.logs ?? []).filter(({ time_us }) => time_us >= fromUs && time_us <= toUs).reverse();
  if (lines.length === 0) return null;
  return (
    <pre tabIndex={0} aria-label={t("attempt.log")}>
      {lines.map(({ message }) => visibleLines(message)).join("\n")}
    </pre>
  );
}
