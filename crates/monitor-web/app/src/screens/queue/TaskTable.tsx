import { Link } from "@tanstack/react-router";
import { useWorker } from "../../data/workers/useWorker.ts";
import { t, wordText } from "../../i18n.ts";
import { argumentsText, valueText } from "../../model/task-values.ts";
import { visible } from "../../model/text.ts";
import { Button } from "../../ui/Button.tsx";
import { DataList } from "../../ui/DataList.tsx";
import { Icon, ICONS } from "../../ui/Icon.tsx";
import { Input } from "../../ui/Input.tsx";
import { StateGlyph } from "../../ui/State.tsx";
import { Name } from "../../ui/Text.tsx";
import { Ago, Duration } from "../../ui/Time.tsx";
import type { QueueSearch } from "./useQueueSearch.ts";
import { keyOf, type Standing } from "./useStanding.ts";

const COLUMNS = ["task", "args", "why", "state", "worker", "queue", "received", "runtime"] as const;
/** Columns that a list can be sorted by, with their names in the API. */
const SORTS: Partial<Record<(typeof COLUMNS)[number], string>> = { task: "name", state: "state", received: "received", runtime: "runtime" };

/** Maximum number of characters of arguments and results in a row, and when it is pointed at. */
const MOST_SHOWN = 200;
const MOST_HOVERED = 2_000;

interface Props {
  tasks: readonly Standing[];
  search: QueueSearch;
  /** Keys of the selected tasks. */
  chosen: ReadonlySet<string>;
  onChoose: (keys: readonly string[], isChosen: boolean) => void;
}

/** Tasks in rows; column headers sort them. */
export function TaskTable({ tasks, search, chosen, onChoose }: Props) {
  const all = tasks.map(({ task }) => keyOf(task));
  return (
    <DataList
      heads={
        <>
          <th scope="col" className="pick">
            <label>
              <Input type="checkbox" aria-label={t("tasks.check.all")} checked={all.every((key) => chosen.has(key))} onChange={(event) => onChoose(all, event.target.checked)} />
            </label>
          </th>
          {COLUMNS.map((column) => (
            <Head key={column} column={column} search={search} />
          ))}
        </>
      }
    >
      {tasks.map((standing) => (
        <Row key={keyOf(standing.task)} {...standing} isChosen={chosen.has(keyOf(standing.task))} onChoose={onChoose} />
      ))}
    </DataList>
  );
}

function Head({ column, search: { sort = "-received", set } }: { column: (typeof COLUMNS)[number]; search: QueueSearch }) {
  const word = SORTS[column];
  const direction = sort === word ? "ascending" : sort === `-${word}` ? "descending" : undefined;
  return (
    <th scope="col" className={column} aria-sort={word === undefined ? undefined : (direction ?? "none")}>
      {word === undefined ? (
        t(`queue.column.${column}`)
      ) : (
        <Button className="sort" onClick={() => set({ sort: direction === "descending" ? word : `-${word}` })}>
          {t(`queue.column.${column}`)} {direction !== undefined && <Icon d={direction === "ascending" ? ICONS.up : ICONS.down} />}
        </Button>
      )}
    </th>
  );
}

/** Returns the most distinctive part of an id: the beginning of a UUID, otherwise often the end. */
function beginOf(id: string): string {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-/i.test(id) ? id.slice(0, 8) : id;
}

/** A text on one line, at most its beginning; more of it is shown on hover. */
function Cut({ text }: { text: string }) {
  return <span title={visible(text.slice(0, MOST_HOVERED))}>{visible(text.slice(0, MOST_SHOWN))}</span>;
}

function Row({ task, isGone, isChosen, onChoose }: Standing & { isChosen: boolean; onChoose: Props["onChoose"] }) {
  const of = task.task;
  const why = task.error?.message;
  const worker = useWorker(task.worker_id);
  return (
    <tr data-task-id={task.native_id ?? task.id} data-state={task.state} data-quiet={task.state === "succeeded" || undefined} data-gone={isGone || undefined} title={isGone ? t("queue.gone") : undefined}>
      <td className="pick">
        <label>
          <Input type="checkbox" aria-label={t("tasks.check", { task: visible(`${task.name} ${task.native_id ?? task.id}`) })} checked={isChosen} onChange={(event) => onChoose([keyOf(task)], event.target.checked)} />
        </label>
      </td>
      <th scope="row" className="task">
        <StateGlyph state={task.state} />{" "}
        <Link className="link" to="/tasks/$root" params={{ root: task.root_id }} search={{ process: task.id }}>
          <Name text={task.name === "" ? t("root.unnamed") : task.name} />
        </Link>{" "}
        {task.native_id !== null && (
          <span className="mono dim" translate="no" title={visible(task.native_id)}>
            {beginOf(visible(task.native_id))}
          </span>
        )}
      </th>
      <td className="args mono dim" translate="no">
        <Cut text={argumentsText(of?.args, of?.kwargs)} />
      </td>
      <td className={why === undefined ? "why mono dim" : "why"} translate="no">
        <Cut text={why ?? valueText(of?.result)} />
      </td>
      <td className="state">
        {wordText("queue.phase", of?.phase ?? task.state)}
        {task.attempt > 1 && <span className="dim"> {t("queue.attempt", { attempt: task.attempt })}</span>}
      </td>
      <td className="worker dim" translate="no">
        {worker && <Name text={worker.hostname} />}
      </td>
      <td className="queue dim" translate="no">
        {visible(of?.queue ?? "")}
      </td>
      <td className="received dim">
        <Ago timeUs={of?.received_us ?? of?.sent_us ?? null} />
      </td>
      <td className="runtime">
        <Duration process={task} />
      </td>
    </tr>
  );
}
