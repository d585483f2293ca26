import { memo, type MouseEvent, useEffect, useRef } from "react";
import { flushSync } from "react-dom";
import type { JobHost } from "../../api/types.ts";
import { t } from "../../i18n.ts";
import { hostState, keyOf } from "../../model/jobs.ts";
import { visible } from "../../model/text.ts";
import { DataList } from "../../ui/DataList.tsx";
import { Input } from "../../ui/Input.tsx";
import { StateGlyph } from "../../ui/State.tsx";
import { Duration } from "../../ui/Time.tsx";
import { useNarrow } from "../../ui/useNarrow.ts";
import { scrollerOf, useParts } from "../../ui/useParts.ts";
import { useRowHeight } from "../../ui/useRowHeight.ts";
import { useRowKeys } from "../../ui/useRowKeys.ts";
import { hostWord, timesOf } from "./parts.tsx";

const ROW = 32;
const COLUMNS = ["host", "result", "exit", "duration", "tag", "why"] as const;

interface Props {
  hosts: readonly JobHost[];
  /** Key of the opened host. */
  opened: string | undefined;
  /** Keys of the selected hosts. */
  chosen: ReadonlySet<string>;
  onOpen: (key: string) => void;
  onChoose: (keys: readonly string[], isChosen: boolean) => void;
}

/** Hosts in rows. Rows are added while the reader scrolls. */
export function HostList({ hosts, opened, chosen, onOpen, onChoose }: Props) {
  const { most, end, reach } = useParts(hosts.length);
  const table = useRef<HTMLTableElement>(null);
  const scroller = useRef<HTMLElement | null>(null);
  const rowHeight = useRowHeight(ROW);
  const narrow = useNarrow();
  useEffect(() => {
    scroller.current = scrollerOf(table.current);
  }, [narrow]);
  const above = () => table.current?.offsetTop ?? 0;
  const top = () => (scroller.current?.scrollTop ?? 0) - above();
  const scrollTo = (to: number) => {
    flushSync(() => reach(Math.ceil(to / rowHeight)));
    scroller.current?.scrollTo({ top: to + above() });
  };
  const rows = { first: 0, end: hosts.length, notPrinted: 0, height: hosts.length * rowHeight, topOf: (row: number) => row * rowHeight, top, scrollTo, onScroll: () => {}, onScrollEnd: () => {} };
  useRowKeys(scroller, rows, { count: hosts.length, rowHeight, head: rowHeight });
  const all = hosts.flatMap((host) => (host.host_id === null ? [] : [keyOf(host)]));
  return (
    <>
      <DataList
        ref={table}
        className="host-list"
        heads={
          <th scope="col" className="pick">
            <label>
              <Input type="checkbox" aria-label={t("tasks.check.all")} checked={all.length > 0 && all.every((key) => chosen.has(key))} onChange={(event) => onChoose(all, event.target.checked)} />
            </label>
          </th>
        }
        columns={COLUMNS.map((key) => ({ key, text: t(`jobs.column.${key}`) }))}
      >
        {hosts.slice(0, most).map((host, index) => (
          <Row key={keyOf(host)} index={index} host={host} isOpened={keyOf(host) === opened} isChosen={chosen.has(keyOf(host))} onOpen={onOpen} onChoose={onChoose} />
        ))}
      </DataList>
      {hosts.length > most && (
        <p ref={end} className="more dim">
          {t("tasks.more")}
        </p>
      )}
    </>
  );
}

interface RowProps extends Pick<Props, "onOpen" | "onChoose"> {
  index: number;
  host: JobHost;
  isOpened: boolean;
  isChosen: boolean;
}

const Row = memo(function Row({ index, host, isOpened, isChosen, onOpen, onChoose }: RowProps) {
  const key = keyOf(host);
  const state = hostState(host.status);
  const open = (event: MouseEvent) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    onOpen(key);
  };
  const address = new URLSearchParams(location.search);
  address.set("host", key);
  return (
    <tr data-row={index} data-host={key} data-state={state} aria-current={isOpened || undefined}>
      <td className="pick">
        {host.host_id !== null && (
          <label>
            <Input type="checkbox" aria-label={t("tasks.check", { task: visible(host.name) })} checked={isChosen} onChange={(event) => onChoose([key], event.target.checked)} />
          </label>
        )}
      </td>
      <th scope="row" className="host">
        <StateGlyph state={state} />{" "}
        <a href={`?${address}`} onClick={open} translate="no">
          {visible(host.name)}
        </a>{" "}
        <span className="dim" translate="no">
          {host.ip !== null && host.ip !== host.name && visible(host.ip)}
        </span>
      </th>
      <td className="result number">{host.status}</td>
      <td className="exit number">{host.exit_code ?? "–"}</td>
      <td className="duration">{host.started_us === null ? <span className="dim">–</span> : <Duration process={timesOf(host)} />}</td>
      <td className="tag dim" translate="no">
        {visible(host.tag ?? "")}
      </td>
      <td className="why">
        {host.reason === null ? (
          <span className="dim">{state === "succeeded" ? "" : hostWord(host.status)}</span>
        ) : (
          <span translate="no" title={visible(host.reason)}>
            {visible(host.reason)}
          </span>
        )}
      </td>
    </tr>
  );
});
