import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { fetchExplanation } from "../../api/batch.ts";
import type { BatchTask } from "../../api/types.ts";
import { useAgain, useAgainAt } from "../../data/useAgain.ts";
import { t, wordText } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { DataList } from "../../ui/DataList.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { isToCome } from "../../model/batch-day.ts";
import { foldDues, type DueRow } from "../../model/batch-dues.ts";
import { At } from "../../ui/Time.tsx";
import { pauseWords } from "./LastRun.tsx";
import { KindMark } from "./Marks.tsx";
import { inZone, isPaused } from "./parts.tsx";

const AGAIN_MS = 1000;

/** The next due times of a task, in the reader's time zone and in its own. */
export function NextDues({ task }: { task: BatchTask }) {
  const zone = task.definition["zone"];
  return (
    <section aria-labelledby="batch-next">
      <h2 id="batch-next">{t("batch.next")}</h2>
      {task.next_us.length === 0 ? (
        <p className="more dim">{isPaused(task) ? pauseWords(task) : t("batch.not-by-time")}</p>
      ) : (
        <ol className="next">
          {task.next_us.map((due) => (
            <li key={due}>
              <At timeUs={due} />
              {typeof zone === "string" && <span className="dim mono"> {inZone(due, zone)}</span>}
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

/** Due times of a task in the past and the next 24 hours, with the decisions about them. */
export function Dues({ task }: { task: string }) {
  const query = useQuery({ queryKey: ["batch-dues", task], queryFn: ({ signal }) => fetchExplanation(task, signal), staleTime: 0 });
  useAgain(["batch", "root"], query, AGAIN_MS);
  useAgainAt((query.data?.due ?? []).filter(isToCome).map(({ due_us }) => due_us), query);
  const due = foldDues(query.data?.due ?? []);
  const columns = ["due", "decision", "agent", "why"] as const;
  return (
    <section aria-labelledby="batch-dues">
      <h2 id="batch-dues">{t("batch.dues")}</h2>
      {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
      {query.data && due.length === 0 && <p className="more dim">{t("batch.dues.none")}</p>}
      {due.length > 0 && (
        <DataList columns={columns.map((key) => ({ key, text: t(`batch.column.${key}`) }))}>
          {due.map((one) => (
            <Row key={`${one.due_us} ${one.agent}`} due={one} />
          ))}
        </DataList>
      )}
      {query.data?.is_cut && <p className="more dim">{t("batch.dues.cut")}</p>}
    </section>
  );
}

function Row({ due }: { due: DueRow }) {
  return (
    <tr data-decision={due.decision}>
      <td className="due">
        <At timeUs={due.due_us} />
        {due.last_us !== due.due_us && (
          <>
            {" … "}
            <At timeUs={due.last_us} />
          </>
        )}
        {due.count > 1 && <span className="dim"> {t("batch.dues.count", { count: due.count })}</span>}
      </td>
      <td className="decision">
        {due.decision !== "started" && due.decision !== "none" && <KindMark kind={due.decision} />} {wordText("batch.decision", due.decision)}
      </td>
      <td className="agent dim">{visible(due.agent ?? "")}</td>
      <td className="why">
        {due.reason !== null && (due.decision === "started" ? wordText("batch.trigger", due.reason) : wordText("batch.reason", due.reason))}
        {due.run !== null && !due.decision.startsWith("will") && (
          <Link to="." search={(before: object) => ({ ...before, run: due.run })} className="link mono">
            {" "}
            {visible(due.run)}
          </Link>
        )}
      </td>
    </tr>
  );
}
