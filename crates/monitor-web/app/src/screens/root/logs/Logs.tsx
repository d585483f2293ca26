import { useEffect, useLayoutEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import type { LogLine } from "../../../api/types.ts";
import { count, t, wordText } from "../../../i18n.ts";
import { LEVELS, readLine } from "../../../model/logs.ts";
import { brief, fieldText, indented, visible, visibleLines } from "../../../model/text.ts";
import { absolute, zoneName } from "../../../model/time.ts";
import { CopyButton } from "../../../ui/CopyButton.tsx";
import { Icon, ICONS } from "../../../ui/Icon.tsx";
import { NotPrinted } from "../../../ui/NotPrinted.tsx";
import { ProblemNotice } from "../../../ui/Problem.tsx";
import { Said } from "../../../ui/Text.tsx";
import { useRowHeight } from "../../../ui/useRowHeight.ts";
import { useRows } from "../../../ui/useRows.ts";
import type { RootSearch } from "../useRootSearch.ts";
import type { RootView } from "../view.ts";
import { LogFeed } from "./feed.ts";
import "./logs.css";

const ROW = 24;
const TYPING_MS = 250;
/** Wrapped rows have different heights, so all of them exist; this limits them to the newest. */
const MOST_WRAPPED = 2000;

interface Props {
  view: RootView;
  /** Only lines of this process. */
  process?: string;
  /** Stores the filter in the address. */
  search?: RootSearch;
  onSelect?: (process: string) => void;
}

/** Log lines, newest last. Follows new lines until the reader scrolls up. */
export default function Logs({ view, process, search, onSelect }: Props) {
  const [own, setOwn] = useState({ level: "", said: "" });
  const { level: wanted = "", said: q = "" } = search ?? own;
  const level = LEVELS.find((each) => each === wanted);
  const set = (change: { level?: string; said?: string }) => (search ? search.set(change) : setOwn((before) => ({ ...before, ...change })));
  const [text, setText] = useState(q);
  useEffect(() => setText(q), [q]);
  useEffect(() => {
    if (text === q) return;
    const timer = setTimeout(() => set({ said: text }), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text]);
  const [wraps, setWraps] = useState(chosenWrap);
  const feed = useMemo(() => new LogFeed(view, { process, level, q: q || undefined }), [view, process, level, q]);
  const isFiltered = level !== undefined || q !== "";
  const isSilent = useIsSilent(feed) && !isFiltered;
  // The panel shows no log section for a process without lines.
  if (process !== undefined && isSilent) return null;
  return (
    <div className="logs">
      {process !== undefined && <h3>{t("logs.title")}</h3>}
      <div className="logs-bar">
        <select aria-label={t("logs.level")} value={level ?? ""} onChange={(event) => set({ level: event.target.value })}>
          <option value="">{t("logs.level.all")}</option>
          {LEVELS.slice(0, -1).map((each) => (
            <option key={each} value={each}>
              {t("logs.level.from", { level: wordText("level", each) })}
            </option>
          ))}
        </select>
        <input type="search" aria-label={t("logs.search")} placeholder={t("logs.search")} spellCheck={false} value={text} onChange={(event) => setText(event.target.value)} />
        <button
          type="button"
          className="toggle"
          aria-pressed={wraps}
          onClick={() => {
            localStorage.setItem(WRAP, String(!wraps));
            setWraps(!wraps);
          }}
        >
          {t("logs.wrap")}
        </button>
      </div>
      <Lines feed={feed} isFiltered={isFiltered} wraps={wraps} onSelect={process === undefined ? onSelect : undefined} view={view} />
    </div>
  );
}

const WRAP = "monitor-logs-wrap";

function chosenWrap(): boolean {
  return localStorage.getItem(WRAP) === "true";
}

/** Returns true if there is nothing to show: no line, and no error. */
function useIsSilent(feed: LogFeed): boolean {
  useSyncExternalStore(feed.subscribe, feed.get);
  return feed.lines.all.length === 0 && feed.problem === null && feed.missing.missing === 0;
}

interface LinesProps {
  feed: LogFeed;
  isFiltered: boolean;
  wraps: boolean;
  view: RootView;
  onSelect: ((process: string) => void) | undefined;
}

function Lines({ feed, isFiltered, wraps, view, onSelect }: LinesProps) {
  useSyncExternalStore(feed.subscribe, feed.get);
  const rowHeight = useRowHeight(ROW);
  const scroller = useRef<HTMLDivElement>(null);
  const [follows, setFollows] = useState(true);
  const [seen, setSeen] = useState(0);
  const [opened, setOpened] = useState<LogLine | null>(null);
  const lines = feed.lines.all;
  const virtual = useRows(scroller, { count: lines.length, rowHeight, head: 0, isPrinted: true });

  // Visible lines keep their positions while older lines are added above; when following, the view stays at the end.
  const anchor = useRef<{ line: LogLine | undefined; offset: number }>({ line: undefined, offset: 0 });
  /** Scroll position that following has set last. */
  const put = useRef(0);
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    if (follows) {
      // If the reader has scrolled up since, stop following, although the scroll event may not have arrived yet.
      if (element.scrollTop + 1 < Math.min(put.current, element.scrollHeight - element.clientHeight)) return;
      element.scrollTop = element.scrollHeight;
      put.current = element.scrollTop;
    } else if (anchor.current.line && !wraps) {
      const at = lines.indexOf(anchor.current.line);
      if (at >= 0) element.scrollTop = at * rowHeight + anchor.current.offset;
    }
  });
  const onScroll = () => {
    const element = scroller.current;
    if (!element) return;
    const { scrollTop, clientHeight, scrollHeight } = element;
    const atEnd = scrollTop + clientHeight >= scrollHeight - rowHeight / 2;
    if (atEnd) put.current = scrollTop;
    if (atEnd !== follows) {
      setFollows(atEnd);
      setSeen(lines.length + feed.forgotten);
    }
    anchor.current = { line: lines[Math.floor(scrollTop / rowHeight)], offset: scrollTop % rowHeight };
    virtual.onScroll();
    if (scrollTop < 20 * rowHeight) feed.older();
  };
  const missed = lines.length + feed.forgotten - seen;
  return (
    <>
      {feed.problem !== null && <ProblemNotice error={feed.problem} onRetry={feed.retry} />}
      {feed.missing.missing > 0 && <p className="dim">{t("logs.missing", { count: count(feed.missing.missing) })}</p>}
      {feed.forgotten > 0 && <p className="dim">{t("logs.forgotten", { count: count(feed.forgotten) })}</p>}
      {lines.length === 0 && feed.problem === null && <p className="dim none">{t(feed.loading ? "loading" : isFiltered ? "logs.none.found" : "logs.none")}</p>}
      <div className="lines-frame" hidden={lines.length === 0}>
        <div ref={scroller} className="log-lines" data-wraps={wraps} role="log" aria-live="off" aria-label={t("logs.title")} tabIndex={0} onScroll={onScroll}>
          <div style={wraps ? undefined : { height: virtual.height, position: "relative" }}>
            {lines.slice(...(wraps ? [-MOST_WRAPPED] : [virtual.first, virtual.end])).map((line, at) => {
              const top = wraps ? null : virtual.topOf(virtual.first + at);
              return <Line key={`${line.worker_id} ${line.number}`} line={line} top={top} opened={line === opened} view={onSelect && view} onOpen={() => setOpened(line === opened ? null : line)} />;
            })}
          </div>
          <NotPrinted rows={virtual} />
        </div>
        {!follows && (
          <button type="button" className="outlined follow" onClick={() => {
              put.current = 0;
              setFollows(true);
            }}>
            <Icon d={ICONS.down} /> {missed > 0 ? t("logs.follow.new", { count: missed }) : t("logs.follow")}
          </button>
        )}
      </div>
      {opened && <Opened line={opened} onSelect={onSelect} onClose={() => setOpened(null)} />}
    </>
  );
}

function Line({ line, top, opened, view, onOpen }: { line: LogLine; top: number | null; opened: boolean; view: RootView | undefined; onOpen: () => void }) {
  const slot = view?.tree.find(line.process_id);
  const { level, message } = readLine(line);
  return (
    <button type="button" className="log" data-level={level} aria-expanded={opened} style={top === null ? undefined : { transform: `translateY(${top}px)` }} onClick={onOpen}>
      <span className="time">{absolute(line.time_us).slice(11, 23)}</span>
      <span className="level">{wordText("level", level)}</span>
      {view && slot !== undefined && view.tree.parentOf(slot) !== undefined && <span className="who">{visible(brief(view.tree.at(slot).name))}</span>}
      <span className="message">{top === null ? visibleLines(brief(message)) : indented(brief(message))}</span>
    </button>
  );
}

/** A complete line. */
function Opened({ line, onSelect, onClose }: { line: LogLine; onSelect: ((process: string) => void) | undefined; onClose: () => void }) {
  const facts: [string, string | null][] = [
    [t("logs.time"), `${absolute(line.time_us)} ${zoneName(line.time_us)}`],
    [t("logs.target"), line.target],
    [t("logs.stream"), line.stream],
    ...Object.entries(line.fields).map(([name, value]): [string, string] => [name, fieldText(value)]),
  ];
  return (
    <div className="opened">
      <p className="message mono">
        <Said text={line.message} lines /> <CopyButton text={line.message} />
      </p>
      <dl>
        {facts.map(
          ([name, value], index) =>
            value !== null && (
              <div key={index}>
                <dt className="dim">{visible(name)}</dt>
                <dd className="mono">
                  <Said text={value} />
                </dd>
              </div>
            ),
        )}
      </dl>
      <p>
        {onSelect && (
          <button type="button" className="outlined" onClick={() => onSelect(line.process_id)}>
            {t("logs.process")}
          </button>
        )}
        <button type="button" onClick={onClose}>
          {t("keys.done")}
        </button>
      </p>
    </div>
  );
}
