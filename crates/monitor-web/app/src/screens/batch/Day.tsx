import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type KeyboardEvent, memo, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { fetchDay } from "../../api/batch.ts";
import type { BatchDay, BatchDayMark, BatchLane } from "../../api/types.ts";
import { useAgain, useAgainAt } from "../../data/useAgain.ts";
import { count, locale, t, wordText } from "../../i18n.ts";
import { type DayBounds, type DayRow, actualSpan, dayBounds, hoursOf, kindOf, isToCome, nearest, plannedSpan, rowsOf, sums } from "../../model/batch-day.ts";
import { visible } from "../../model/text.ts";
import { absolute, duration, zoneName } from "../../model/time.ts";
import { Button } from "../../ui/Button.tsx";
import { Icon, ICONS } from "../../ui/Icon.tsx";
import { Input } from "../../ui/Input.tsx";
import { onTick } from "../../ui/now.ts";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { useRowHeight } from "../../ui/useRowHeight.ts";
import { useRows } from "../../ui/useRows.ts";
import { BatchHead } from "./BatchHead.tsx";
import { KindMark, kindWord } from "./Marks.tsx";
import { TaskLink } from "./parts.tsx";
import { useBatchSearch } from "./useBatchSearch.ts";
import "./day.css";

const ROW = 32;
/** Height of the row of hours, which stays at the top. */
const HEAD = 28;
const AGAIN_MS = 3000;
/** Maximum number of crowded minutes that are listed. */
const CROWDS = 3;

/** Due times of a day and the resulting runs, by agent and task. */
export function Day() {
  const { day: wanted, q, agent, set } = useBatchSearch();
  const bounds = dayBounds(wanted, Date.now() * 1000);
  const { fromUs, toUs } = bounds;
  const isToday = bounds.day === dayBounds(undefined, Date.now() * 1000).day;
  const query = useQuery({
    queryKey: ["batch-day", fromUs, q, agent],
    queryFn: ({ signal }) => fetchDay({ from: fromUs, to: toUs, ...(q && { q }), ...(agent && { agent }) }, signal),
    staleTime: 0,
    placeholderData: (before) => (before?.from_us === fromUs ? before : undefined),
  });
  useAgain(["batch", "root"], query, AGAIN_MS, !isToday);
  const toCome = useMemo(() => query.data?.lanes.flatMap(({ marks }) => marks.filter(isToCome).map(({ due_us }) => due_us)) ?? [], [query.data]);
  useAgainAt(isToday ? toCome : [], query);
  const go = (day: string) => set({ day: day === dayBounds(undefined, Date.now() * 1000).day ? undefined : day });
  const lanes = query.data?.lanes ?? [];
  return (
    <>
      <BatchHead />
      <search className="filters">
        <Button className="outlined" aria-label={t("batch.day.before")} title={t("batch.day.before")} onClick={() => go(bounds.before)}>
          <Icon d={ICONS.back} />
        </Button>
        <Input type="date" aria-label={t("batch.day")} value={bounds.day} onChange={(event) => event.target.value && go(event.target.value)} />
        <Button className="outlined" aria-label={t("batch.day.after")} title={t("batch.day.after")} onClick={() => go(bounds.after)}>
          <Icon d={ICONS.closed} />
        </Button>
        <Button className="outlined" disabled={isToday} onClick={() => set({ day: undefined })}>
          {t("batch.day.today")}
        </Button>
        <span className="dim">{zoneName(fromUs)}</span>
        <Input type="search" value={q ?? ""} placeholder={t("batch.filter.name")} aria-label={t("batch.filter.name")} onChange={(event) => set({ q: event.target.value || undefined })} />
        <Input value={agent ?? ""} placeholder={t("batch.filter.agent")} aria-label={t("batch.filter.agent")} className="agent" onChange={(event) => set({ agent: event.target.value || undefined })} />
      </search>
      {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
      {!query.error && lanes.length === 0 && <p className="notice dim">{t(query.isPending ? "loading" : "batch.day.none")}</p>}
      {query.data && lanes.length > 0 && (
        <>
          <Sums lanes={lanes} />
          <Crowds day={query.data} />
          {query.data.is_cut && <p className="more dim">{t("batch.day.cut")}</p>}
          <Chart key={fromUs} day={query.data} bounds={bounds} />
        </>
      )}
    </>
  );
}

/** Number of marks of each kind; also the legend of the marks. */
function Sums({ lanes }: { lanes: readonly BatchLane[] }) {
  return (
    <ul className="sums" aria-label={t("batch.day.sums")}>
      {sums(lanes).map(([kind, number]) => (
        <li key={kind} data-kind={kind}>
          <KindMark kind={kind} /> {kindWord(kind)} <span className="number">{count(number)}</span>
        </li>
      ))}
    </ul>
  );
}

function Crowds({ day }: { day: BatchDay }) {
  if (day.crowded.length === 0) return null;
  const agents = new Set(day.lanes.map(({ agent }) => agent));
  return (
    <ul className="crowds">
      {day.crowded.slice(0, CROWDS).map(({ agent, minute_us, starts }) => (
        <li key={`${minute_us} ${agent}`}>
          <Icon d={ICONS.warning} /> {t("batch.day.crowd", { count: starts, time: clockTime(minute_us) })}
          {agents.size > 1 && <span className="dim"> {visible(agent)}</span>}
        </li>
      ))}
      {day.crowded.length > CROWDS && <li className="dim">{t("batch.day.crowds", { count: day.crowded.length - CROWDS })}</li>}
    </ul>
  );
}

const clockTime = (us: number) => absolute(us).slice(11, 16);
const percent = (part: number) => `${(part * 100).toFixed(3)}%`;

/** The mark that was chosen last, by its row and its place in it. */
interface Chosen {
  row: number;
  at: number;
}

function Chart({ day, bounds }: { day: BatchDay; bounds: DayBounds }) {
  const rows = useMemo(() => rowsOf(day.lanes), [day]);
  const scroller = useRef<HTMLDivElement>(null);
  const rowHeight = useRowHeight(ROW);
  const virtual = useRows(scroller, { count: rows.length, rowHeight, head: HEAD });
  const [chosen, setChosen] = useState<Chosen>();
  const wanted = useRef(false);
  const { set } = useBatchSearch();
  useLayoutEffect(() => {
    if (!wanted.current || chosen === undefined) return;
    const mark = scroller.current?.querySelector<HTMLElement>(`[data-row="${chosen.row}"] [data-at="${chosen.at}"]`);
    if (!mark) return;
    wanted.current = false;
    mark.focus({ preventScroll: true });
    mark.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
  const choose = (row: number, at: number) => {
    wanted.current = true;
    const top = row * rowHeight;
    const room = (scroller.current?.clientHeight ?? 0) - HEAD;
    if (top < virtual.top()) virtual.scrollTo(top);
    else if (top + rowHeight > virtual.top() + room) virtual.scrollTo(top + rowHeight - room);
    setChosen({ row, at });
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const mark = (event.target as Element).closest<HTMLElement>("[data-at]");
    const row = Number(mark?.closest<HTMLElement>("[data-row]")?.dataset["row"]);
    const lane = rows[row]?.lane;
    if (!mark || !lane || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = Number(mark.dataset["at"]);
    const beside = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: lane.marks.length - 1 }[event.key];
    if (beside !== undefined) choose(row, Math.min(lane.marks.length - 1, Math.max(0, beside)));
    else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      const by = event.key === "ArrowUp" ? -1 : 1;
      let to = row + by;
      while (rows[to] && !rows[to]?.lane) to += by;
      const next = rows[to]?.lane;
      if (next) choose(to, nearest(next, lane.marks[at]?.due_us ?? 0));
    } else return;
    event.preventDefault();
  };
  const shown = rows.slice(virtual.first, virtual.end);
  const isShown = chosen !== undefined && chosen.row >= virtual.first && chosen.row < virtual.end && rows[chosen.row]?.lane?.marks[chosen.at] !== undefined;
  const firstLane = virtual.first + shown.findIndex(({ lane }) => lane !== undefined);
  const stop: Chosen = isShown ? chosen : { row: firstLane, at: 0 };
  const chosenLane = chosen && rows[chosen.row]?.lane;
  const chosenMark = chosen && chosenLane?.marks[chosen.at];
  return (
    <>
      <div className="day-chart" ref={scroller} onScroll={virtual.onScroll} onScrollEnd={virtual.onScrollEnd} onKeyDown={onKeyDown}>
        <Hours bounds={bounds} day={day} />
        <div className="day-rows" style={{ height: virtual.height }}>
          <Now bounds={bounds} />
          {shown.map((row, at) => (
            <Row
              key={row.lane ? `${row.agent} ${row.lane.task}` : row.agent}
              row={row}
              place={virtual.first + at}
              top={virtual.topOf(virtual.first + at)}
              height={rowHeight}
              bounds={bounds}
              stop={stop.row === virtual.first + at ? stop.at : -1}
              onChoose={setChosen}
              onOpen={(run) => set({ run })}
            />
          ))}
        </div>
      </div>
      {chosenMark && chosenLane && <Details lane={chosenLane} mark={chosenMark} />}
    </>
  );
}

function Hours({ bounds, day }: { bounds: DayBounds; day: BatchDay }) {
  const { fromUs, toUs } = bounds;
  const left = (us: number) => percent((us - fromUs) / (toUs - fromUs));
  const minutes = new Map<number, number>();
  for (const { minute_us, starts } of day.crowded) minutes.set(minute_us, Math.max(starts, minutes.get(minute_us) ?? 0));
  return (
    <div className="day-head" aria-hidden="true">
      <div className="track">
        {hoursOf(bounds).map(({ us, hour }) => (
          <span key={us} className="hour dim" style={{ left: left(us) }}>
            {String(hour).padStart(2, "0")}
          </span>
        ))}
        {[...minutes].map(([us, starts]) => (
          <span key={us} className="crowd" style={{ left: left(us) }} title={t("batch.day.crowd", { count: starts, time: clockTime(us) })} />
        ))}
      </div>
    </div>
  );
}

/** A line at the current time. */
function Now({ bounds: { fromUs, toUs } }: { bounds: DayBounds }) {
  const line = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const put = (nowUs: number) => {
      if (!line.current) return;
      line.current.hidden = nowUs < fromUs || nowUs >= toUs;
      line.current.style.left = percent((nowUs - fromUs) / (toUs - fromUs));
    };
    put(Date.now() * 1000);
    return onTick("slow", put);
  }, [fromUs, toUs]);
  return (
    <div className="now-track" aria-hidden="true">
      <div ref={line} className="now" />
    </div>
  );
}

interface RowProps {
  row: DayRow;
  place: number;
  top: number;
  height: number;
  bounds: DayBounds;
  /** Index of the mark that the Tab key reaches; -1 if it is in another row. */
  stop: number;
  onChoose: (chosen: Chosen) => void;
  onOpen: (run: string) => void;
}

const Row = memo(
  function Row({ row: { agent, lane }, place, top, height, bounds, stop, onChoose, onOpen }: RowProps) {
    const style = { transform: `translateY(${top}px)`, height };
    if (!lane) {
      return (
        <div className="day-row" data-row={place} style={style}>
          <h2 className="lane-agent">{visible(agent)}</h2>
        </div>
      );
    }
    return (
      <div className="day-row" data-row={place} data-lane={lane.task} style={style}>
        <div className="lane-name">
          <TaskLink name={lane.task} />
        </div>
        <div className="track" role="group" aria-label={`${visible(lane.task)} · ${visible(agent)}`}>
          {lane.marks.map((mark, at) => (
            <Mark key={`${mark.due_us} ${kindOf(mark)} ${mark.run ?? at}`} mark={mark} at={at} task={lane.task} bounds={bounds} isStop={at === stop} onFocus={() => onChoose({ row: place, at })} onOpen={onOpen} />
          ))}
        </div>
      </div>
    );
  },
  (a, b) => a.row.lane === b.row.lane && a.row.agent === b.row.agent && a.place === b.place && a.top === b.top && a.height === b.height && a.stop === b.stop && a.bounds.fromUs === b.bounds.fromUs,
);

interface MarkProps {
  mark: BatchDayMark;
  at: number;
  task: string;
  bounds: DayBounds;
  isStop: boolean;
  onFocus: () => void;
  onOpen: (run: string) => void;
}

/** A run as a bar below the line of its due time; a due time without a run as a symbol. */
function Mark({ mark, at, task, bounds, isStop, onFocus, onOpen }: MarkProps) {
  const kind = kindOf(mark);
  const planned = plannedSpan(mark, bounds);
  const actual = actualSpan(mark, bounds, Date.now() * 1000);
  const button = useRef<HTMLButtonElement>(null);
  const isRunning = mark.outcome === "running";
  useEffect(() => {
    if (!isRunning) return;
    return onTick("slow", (nowUs) => {
      const { from, to } = actualSpan(mark, bounds, nowUs);
      if (button.current) button.current.style.width = percent(to - from);
    });
  }, [isRunning, mark, bounds.fromUs]);
  const isPlanned = mark.reason !== "request" && mark.reason !== "then" && mark.reason !== "retry" && mark.due_us >= bounds.fromUs;
  return (
    <>
      {isPlanned && <span className="planned" style={{ left: percent(planned.from), width: percent(planned.to - planned.from) }} />}
      <Button
        ref={button}
       
        className={mark.outcome === null ? "sign" : "bar"}
        data-at={at}
        data-kind={kind}
        data-count={mark.count}
        tabIndex={isStop ? 0 : -1}
        aria-label={`${visible(task)} ${told(mark)}`}
        style={{ left: percent(actual.from), width: percent(actual.to - actual.from) }}
        onFocus={onFocus}
        onClick={() => mark.count === 1 && mark.outcome !== null && mark.run !== null && onOpen(mark.run)}
      >
        {mark.outcome === null && <KindMark kind={kind} />}
      </Button>
    </>
  );
}

/** Describes a mark: time, result, duration and reason. */
function told(mark: BatchDayMark): string {
  const time = (us: number) => absolute(us).slice(11, 19);
  const took = mark.started_us !== null && mark.ended_us !== null && mark.count === 1 ? duration((mark.ended_us - mark.started_us) * 1000, locale) : "";
  const why = mark.reason === null ? "" : mark.outcome !== null || mark.decision === "started" ? wordText("batch.trigger", mark.reason) : wordText("batch.reason", mark.reason);
  return [mark.last_us === mark.due_us ? time(mark.due_us) : `${time(mark.due_us)}–${time(mark.last_us)}`, mark.count > 1 ? `${count(mark.count)} ×` : "", kindWord(kindOf(mark)), took, why].filter((text) => text !== "").join(" ");
}

/** Details of the selected mark, with links. */
function Details({ lane, mark }: { lane: BatchLane; mark: BatchDayMark }) {
  const minute = (us: number) => absolute(us).slice(0, 16).replace(" ", "T");
  return (
    <footer className="day-details">
      <KindMark kind={kindOf(mark)} /> <TaskLink name={lane.task} /> <span className="dim">{visible(lane.agent)}</span> <span>{told(mark)}</span>
      {mark.outcome !== null && mark.count === 1 && mark.run !== null && (
        <>
          <Link to="." search={(before: object) => ({ ...before, run: mark.run })} className="link">
            {t("batch.log")}
          </Link>
          {mark.root_id !== null && (
            <Link to="/tasks/$root" params={{ root: mark.root_id }} className="link">
              {t("batch.tree")}
            </Link>
          )}
        </>
      )}
      {mark.outcome !== null && mark.count > 1 && (
        <Link to="/tasks/batch" search={{ tab: "runs", task: lane.task, agent: lane.agent, outcome: mark.outcome, from: minute(mark.due_us), to: minute(mark.last_us + 60_000_000) }} className="link">
          {t("batch.day.runs", { count: mark.count })}
        </Link>
      )}
      {mark.outcome === null && mark.run !== null && !mark.decision.startsWith("will") && (
        <Link to="." search={(before: object) => ({ ...before, run: mark.run })} className="link mono">
          {visible(mark.run)}
        </Link>
      )}
    </footer>
  );
}
