import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { fetchExplanation } from "../../api/batch.ts";
import { useAgain, useAgainAt } from "../../data/useAgain.ts";
import { t, wordText } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { isToCome } from "../../model/batch-day.ts";
import { foldDues, type DueRow } from "../../model/batch-dues.ts";
import { At } from "../../ui/Time.tsx";
import { KindMark } from "./Marks.tsx";
import { useRead } from "./useRead.ts";

const AGAIN_MS = 1000;

/** Due times of a task in the past and the next 24 hours, with the decisions about them. */
export function Dues({ task, onRead }: { task: string; onRead: () => void }) {
  const query = useQuery({ queryKey: ["batch-dues", task], queryFn: ({ signal }) => fetchExplanation(task, signal), staleTime: 0 });
  useAgain(["batch", "root"], query, AGAIN_MS);
  useAgainAt((query.data?.due ?? []).filter(isToCome).map(({ due_us }) => due_us), query);
  useRead(query.isPending, onRead);
  const due = foldDues(query.data?.due ?? []);
  const columns = ["due", "decision", "agent", "why"] as const;
  return (
    <section aria-labelledby="batch-dues">
      <h2 id="batch-dues">{t("batch.dues")}</h2>
      {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
      {query.data && due.length === 0 && <p className="more dim">{t("batch.dues.none")}</p>}
      {due.length > 0 && (
        <table>
          <thead>
            <tr>
              {columns.map((column) => (
                <th key={column} scope="col" className={column}>
                  {t(`batch.column.${column}`)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {due.map((one) => (
              <Row key={`${one.due_us} ${one.agent}`} due={one} />
            ))}
          </tbody>
        </table>
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
