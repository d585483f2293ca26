import { Link } from "@tanstack/react-router";
import type { ProcessPage, Worker } from "../../api/types.ts";
import { t } from "../../i18n.ts";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { StateLabel } from "../../ui/State.tsx";
import { Name } from "../../ui/Text.tsx";
import { Ago, Duration } from "../../ui/Time.tsx";

export const MOST_WORK = 50;

interface Props {
  worker: Worker;
  page: ProcessPage | undefined;
  error: unknown;
  onRetry: () => void;
}

/** The open processes of a worker or, if it is lost, the processes that were lost with it. */
export function Work({ worker, page, error, onRetry }: Props) {
  const processes = page?.processes ?? [];
  return (
    <section aria-labelledby="worker-work">
      <h2 id="worker-work">{t(worker.state === "lost" ? "worker.took-down" : "worker.runs")}</h2>
      {error != null && <ProblemNotice error={error} onRetry={onRetry} />}
      {processes.length === 0 && error == null && <p className="dim">{t("workers.nothing")}</p>}
      <ul className="work">
        {processes.map((process) => (
          <li key={`${process.root_id} ${process.id}`}>
            <StateLabel state={process.state} />
            <Link className="link" to="/tasks/$root" params={{ root: process.root_id }} search={{ process: process.id }}>
              <Name text={process.name === "" ? t("root.unnamed") : process.name} />
            </Link>
            <Duration process={process} />
            <span className="dim">
              <Ago timeUs={process.started_us} />
            </span>
          </li>
        ))}
      </ul>
      {page?.next_cursor && <p className="dim">{t("worker.more-work", { count: MOST_WORK })}</p>}
    </section>
  );
}
