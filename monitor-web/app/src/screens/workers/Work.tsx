import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { fetchProcesses } from "../../api/client.ts";
import type { Worker } from "../../api/types.ts";
import { t } from "../../i18n.ts";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { StateLabel } from "../../ui/State.tsx";
import { Name } from "../../ui/Text.tsx";
import { Ago, Duration } from "../../ui/Time.tsx";

const MOST = 50;

/** What runs on a worker or, once it is lost, what it took down. */
export function Work({ worker }: { worker: Worker }) {
  const state = worker.state === "lost" ? "lost" : "running";
  const query = useQuery({
    queryKey: ["work", worker.id, state, worker.running],
    queryFn: ({ signal }) => fetchProcesses({ worker: worker.id, state, started_after: 0, limit: MOST }, signal),
  });
  if (query.error) return <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />;
  const processes = query.data?.processes ?? [];
  return (
    <section className="work">
      <h3>{t(state === "lost" ? "workers.took-down" : "workers.runs")}</h3>
      {processes.length === 0 && <p className="dim">{t(query.isPending ? "loading" : "workers.nothing")}</p>}
      <ul>
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
      {query.data?.next_cursor && <p className="dim">{t("workers.more-work", { count: MOST })}</p>}
    </section>
  );
}
