import { useEffect, useLayoutEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import type { LogLine } from "../../../api/types.ts";
import { count, t, wordText } from "../../../i18n.ts";
import { linksOf } from "../../../model/errors.ts";
import { LEVELS, readLine } from "../../../model/logs.ts";
import { brief, fieldText, indented, keptOf, plain, visible, visibleLines } from "../../../model/text.ts";
import { absolute, zoneName } from "../../../model/time.ts";
import { Button } from "../../../ui/Button.tsx";
import { CopyButton } from "../../../ui/CopyButton.tsx";
import { Icon, ICONS } from "../../../ui/Icon.tsx";
import { NotPrinted } from "../../../ui/NotPrinted.tsx";
import { ProblemNotice } from "../../../ui/Problem.tsx";
import { Cut, Said } from "../../../ui/Text.tsx";
import { useRowHeight } from "../../../ui/useRowHeight.ts";
import { useRows } from "../../../ui/useRows.ts";
import type { RootSearch } from "../useRootSearch.ts";
import type { RootView } from "../view.ts";
import { Coloured } from "./Coloured.tsx";
import { LogFeed } from "./feed.ts";
import { LogBar } from "./LogBar.tsx";
import "./logs.css";

const ROW = 24;
/** Wrapped rows have different heights, so all of them exist; this limits them to the newest. */
const MOST_WRAPPED = 2000;

interface Props {
  view: RootView;
  /** Only lines of this process. */
  process?: string;
  /** Stores the filter in the address. */
  search?: RootSearch;
  onSelect?: (process: string) => void;
  /** Called with true if there is no line at all, and with false once there is one. */
  onSilent?: (isSilent: boolean) => void;
}

/** A line to go to; a new object for each request. */
interface Target {
  line: LogLine;
}

/** Log lines, newest last. Follows new lines until the reader scrolls up. */
export default function Logs({ view, process, search, onSelect, onSilent }: Props) {
  const [own, setOwn] = useState({ level: "", said: "" });
  const { level: wanted = "", said: q = "" } = search ?? own;
  const level = LEVELS.find((each) => each === wanted);
  const set = (change: { level?: string; said?: string }) => (search ? search.set(change) : setOwn((before) => ({ ...before, ...change })));
  const [wraps, setWraps] = useState(chosenWrap);
  const feed = useMemo(() => new LogFeed(view, { process, level, q: q || undefined }), [view, process, level, q]);
  const isFiltered = level !== undefined || q !== "";
  const isSilent = useIsSilent(feed) && !isFiltered;
  const isKnown = !isSilent || !feed.loading;
  useEffect(() => {
    if (isKnown) onSilent?.(isSilent);
  }, [isKnown, isSilent]);
  const { target, note, goToError } = useFirstError(feed, () => reasonOf(view, process));
  // The panel shows no log section for a process without lines.
  if (process !== undefined && isSilent) return null;
  if (onSilent && isSilent) return <p className="dim">{t(feed.loading ? "loading" : "logs.none")}</p>;
  const wrap = () => {
    localStorage.setItem(WRAP, String(!wraps));
    setWraps(!wraps);
  };
  return (
    <div className="logs">
      {process !== undefined && <h3>{t("logs.title")}</h3>}
      <LogBar level={level} q={q} wraps={wraps} onChange={set} onWrap={wrap} onError={goToError} note={note} />
      <Lines feed={feed} isFiltered={isFiltered} wraps={wraps} onSelect={process === undefined ? onSelect : undefined} view={view} target={target} />
    </div>
  );
}

/** Finds the first error of a log on request. */
function useFirstError(feed: LogFeed, reason: () => string | undefined) {
  const [target, setTarget] = useState<Target | null>(null);
  const [note, setNote] = useState("");
  useEffect(() => setNote(""), [feed]);
  const goToError = () =>
    void feed.firstError(reason()).then((line) => {
      setNote(line === undefined ? t("logs.error.none") : feed.lines.all.includes(line) ? "" : t("logs.error.far"));
      if (line) setTarget({ line });
    }, feed.fail);
  return { target, note, goToError };
}

/** Returns the reason of a failed process, or of the process that made the run fail. */
function reasonOf(view: RootView, process: string | undefined): string | undefined {
  const slot = process === undefined ? (view.cause() ?? 0) : view.tree.find(process);
  const error = slot === undefined || slot >= view.tree.size ? null : view.tree.at(slot).error;
  const kept = keptOf(error ? (linksOf(error).at(-1) ?? "") : "");
  return kept.cutBytes > 0 || kept.text === "" ? undefined : kept.text;
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
  target: Target | null;
}

/** Lines shown above the one to go to. */
const CONTEXT = 3;

function Lines({ feed, isFiltered, wraps, view, onSelect, target }: LinesProps) {
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
  const setAnchor = (top: number) => {
    anchor.current = { line: lines[Math.floor(top / rowHeight)], offset: top % rowHeight };
  };
  // After following has scrolled to the end.
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element || !target) return;
    setOpened(target.line);
    const at = lines.indexOf(target.line);
    if (at < 0) return;
    setFollows(false);
    setSeen(lines.length + feed.forgotten);
    if (wraps) element.querySelectorAll(".log")[at - Math.max(0, lines.length - MOST_WRAPPED)]?.scrollIntoView({ block: "center" });
    else element.scrollTop = Math.max(0, at - CONTEXT) * rowHeight;
    setAnchor(element.scrollTop);
  }, [target]);
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
    setAnchor(scrollTop);
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
          <Button className="outlined follow" onClick={() => {
              put.current = 0;
              setFollows(true);
            }}>
            <Icon d={ICONS.down} /> {missed > 0 ? t("logs.follow.new", { count: missed }) : t("logs.follow")}
          </Button>
        )}
      </div>
      {opened && <Opened line={opened} onSelect={onSelect} onClose={() => setOpened(null)} />}
    </>
  );
}

/** Lines of this stream are marked. */
const STDERR = "stderr";
const MARK = "M8 3v6.5M8 12.5v.01";

function Line({ line, top, opened, view, onOpen }: { line: LogLine; top: number | null; opened: boolean; view: RootView | undefined; onOpen: () => void }) {
  const slot = view?.tree.find(line.process_id);
  const { level, message } = readLine(line);
  return (
    <Button className="log" data-level={level} aria-expanded={opened} style={top === null ? undefined : { transform: `translateY(${top}px)` }} onClick={onOpen}>
      <span className="time">{absolute(line.time_us).slice(11, 23)}</span>
      <span className="level">{wordText("level", level)}</span>
      <span className="stream" title={line.stream ?? undefined}>
        {line.stream === STDERR && (
          <>
            <Icon d={MARK} />
            <span className="hidden">{STDERR}</span>
          </>
        )}
      </span>
      {view && slot !== undefined && view.tree.parentOf(slot) !== undefined && <span className="who">{visible(brief(view.tree.at(slot).name))}</span>}
      <span className="message">
        <Coloured text={brief(message)} format={top === null ? visibleLines : indented} />
      </span>
    </Button>
  );
}

/** A complete line. */
function Opened({ line, onSelect, onClose }: { line: LogLine; onSelect: ((process: string) => void) | undefined; onClose: () => void }) {
  const message = keptOf(line.message);
  const facts: [string, string | null][] = [
    [t("logs.time"), `${absolute(line.time_us)} ${zoneName(line.time_us)}`],
    [t("logs.target"), line.target],
    [t("logs.stream"), line.stream],
    ...Object.entries(line.fields).map(([name, value]): [string, string] => [name, fieldText(value)]),
  ];
  return (
    <div className="opened">
      <p className="message mono">
        <Coloured text={message.text} format={visibleLines} />
        <Cut bytes={message.cutBytes} /> <CopyButton text={plain(line.message)} />
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
          <Button className="outlined" onClick={() => onSelect(line.process_id)}>
            {t("logs.process")}
          </Button>
        )}
        <Button onClick={onClose}>
          {t("keys.done")}
        </Button>
      </p>
    </div>
  );
}
