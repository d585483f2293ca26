import { type RefObject, useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { Process, Root } from "../../../api/types.ts";
import { knownWorker } from "../../../data/workers/live.ts";
import { useWorker } from "../../../data/workers/useWorker.ts";
import { count, locale, t } from "../../../i18n.ts";
import { errorLine } from "../../../model/errors.ts";
import { brief, visible } from "../../../model/text.ts";
import { duration, elapsed, elapsedAtLeast } from "../../../model/time.ts";
import { criticalPath, foldGaps, layOut, type RangeSum, type Stretch, sumRange, TimeMap } from "../../../model/timeline.ts";
import { Tree } from "../../../model/tree.ts";
import { Button } from "../../../ui/Button.tsx";
import { Icon, ICONS } from "../../../ui/Icon.tsx";
import { useNow } from "../../../ui/now.ts";
import { StateLabel } from "../../../ui/State.tsx";
import { EVERYWHERE, handleKey } from "../keys.ts";
import { useKeys } from "../useKeys.ts";
import { laneKindOf, LANES } from "../lanes.ts";
import type { RootSearch } from "../useRootSearch.ts";
import type { Selection } from "../useSelection.ts";
import type { RootView } from "../view.ts";
import { rowsHeight } from "./draw.ts";
import { type Hovered, type Range, Stage } from "./stage.ts";
import "./timeline.css";

/** Minimum interval between changes of the address, because browsers slow down pages that change it too often. */
const ADDRESS_MS = 200;

/** Number of steps: layout, gaps and critical path are computed in one task each; then everything is drawn. */
const TURNS = 3;
const EMPTY = layOut(new Tree(), new Int32Array(0), 0, () => ({ key: "", label: "" }));

interface Props {
  view: RootView;
  root: Root;
  selection: Selection;
  search: RootSearch;
}

/** All processes of a root on one time axis. */
export default function Timeline({ view, root, selection, search }: Props) {
  const lanes = laneKindOf(search.lanes);
  const foldsGaps = search.gaps !== "open";
  const [hovered, setHovered] = useState<Hovered | null>(null);
  const [range, setRange] = useState<Range | null>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const minimap = useRef<HTMLCanvasElement>(null);
  const scroller = useRef<HTMLDivElement>(null);
  const stage = useRef<Stage | null>(null);

  const { tree } = view;
  const worker = useWorker(root.state === "lost" ? root.worker_id : null);
  const originUs = root.started_us ?? root.begun_us ?? tree.at(tree.childrenOf(undefined)[0] ?? 0)?.started_us ?? 0;
  const corrected = search.clocks !== "raw";
  const turn = useTurns(TURNS);
  const layout = turn < 1 ? EMPTY : view.layout(lanes, originUs, corrected);
  const runs = root.counts.running > 0 || root.state === "running" || root.state === "pending";
  const nowUs = useNow(runs ? "fast" : "never");
  const endUs = Math.max(1, layout.lastUs, runs ? nowUs - originUs : 0, (elapsedAtLeast(root, worker, nowUs) ?? 0) / 1000);
  // While it runs, the end moves; gaps are only recomputed once per second or with new processes.
  const coarseUs = runs ? Math.ceil(endUs / 1e6) * 1e6 : endUs;
  const hasMap = turn >= 2;
  const map = useMemo(() => (foldsGaps && hasMap ? foldGaps(tree, layout, coarseUs) : new TimeMap(coarseUs)), [foldsGaps, hasMap, tree, layout, coarseUs]);
  const isReady = turn === TURNS;
  const critical = useMemo(() => (isReady ? criticalPath(tree, originUs, coarseUs) : []), [isReady, tree, layout, originUs, coarseUs]);
  const selected = selection.id === null ? null : (tree.find(selection.id) ?? null);
  const sum = useMemo(() => range && sumRange(tree, layout, range.fromUs, range.toUs, endUs), [range, tree, layout, endUs]);

  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const told = useRef(search.window);
  const { set } = search;
  const toAddress = useCallback(
    (window: Range | null) => {
      clearTimeout(timer.current);
      timer.current = setTimeout(() => {
        told.current = window ? `${Math.round(window.fromUs)}-${Math.round(window.toUs)}` : undefined;
        set({ window: told.current });
      }, ADDRESS_MS);
    },
    [set],
  );
  const { select } = selection;
  useEffect(() => {
    if (!canvas.current || !minimap.current || !scroller.current) return;
    const made = new Stage(canvas.current, minimap.current, scroller.current, {
      onSelect: (slot) => select(tree.idOf(slot)),
      onHover: setHovered,
      onWindow: toAddress,
      onRange: setRange,
    });
    stage.current = made;
    return () => {
      clearTimeout(timer.current);
      made.close();
      stage.current = null;
    };
  }, [tree, select, toAddress]);

  useEffect(() => {
    if (isReady) stage.current?.show({ tree, layout, map, critical, nowUs: endUs, selected });
  }, [isReady, tree, layout, map, critical, endUs, selected]);
  // A new selection is scrolled to once, so that the reader can scroll away.
  const shownTurn = useRef(-1);
  useEffect(() => {
    if (selected === null || shownTurn.current === selection.turn) return;
    if (stage.current?.reveal(selected)) shownTurn.current = selection.turn;
  });
  // The address determines the window at first, and when something other than the timeline changes it.
  const went = useRef(false);
  useEffect(() => {
    if (!isReady || (went.current && search.window === told.current)) return;
    went.current = true;
    told.current = search.window;
    stage.current?.goTo(windowOf(search.window));
  }, [isReady, search.window]);

  useRedrawn(stage);
  useKeys(({ key, target }) => !(target instanceof HTMLInputElement) && (EVERYWHERE.includes(key) ? handleKey(key, view, selection) : (stage.current?.key(key) ?? false)));

  return (
    <div className="timeline">
      <Bar view={view} search={search} onAll={() => stage.current?.key("0")} />
      <canvas ref={minimap} className="minimap" role="img" aria-label={t("timeline.minimap")} />
      <div ref={scroller} className="stage" tabIndex={0} role="region" aria-label={t("timeline.label")}>
        <canvas ref={canvas} role="img" aria-label={t("timeline.picture", { count: layout.slots.length })} />
        <div className="room" style={{ height: `calc(${rowsHeight(layout.lanes)}px - 100%)` }} />
      </div>
      {isReady && layout.slots.length < tree.size && !view.loading && <p className="dim absent">{t("timeline.absent", { count: tree.size - layout.slots.length })}</p>}
      {sum && range && <Sum sum={sum} range={range} onClose={() => [setRange(null), stage.current?.select(null)]} />}
      {hovered && <Card process={tree.at(hovered.slot)} hovered={hovered} originUs={originUs} nowUs={endUs + originUs} waitedUs={waitedFor(critical, hovered.slot)} />}
    </div>
  );
}

/** Controls of the timeline. */
function Bar({ view, search, onAll }: { view: RootView; search: RootSearch; onAll: () => void }) {
  const { set } = search;
  const foldsGaps = search.gaps !== "open";
  const corrected = search.clocks !== "raw";
  return (
    <div className="timeline-bar">
      <span className="group" role="group" aria-label={t("lanes")}>
        {LANES.map((each) => (
          <Button key={each} aria-pressed={laneKindOf(search.lanes) === each} onClick={() => set({ lanes: each === "tree" ? undefined : each })}>
            {t(`lanes.${each}`)}
          </Button>
        ))}
      </span>
      <Button aria-pressed={foldsGaps} title={t("timeline.gaps.why")} onClick={() => set({ gaps: foldsGaps ? "open" : undefined })}>
        {t("timeline.gaps")}
      </Button>
      {view.clocks().size > 0 && (
        <Button className="toggle" aria-pressed={corrected} title={clocksText(view)} onClick={() => set({ clocks: corrected ? "raw" : undefined })}>
          {t("timeline.clocks")}
        </Button>
      )}
      <Button title="0" onClick={onAll}>
        {t("timeline.all")}
      </Button>
      <span className="dim hint">{t("timeline.hint")}</span>
    </div>
  );
}

/** Redraws the stage when the colours change. */
function useRedrawn(stage: RefObject<Stage | null>): void {
  useEffect(() => {
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const redraw = () => stage.current?.redraw();
    scheme.addEventListener("change", redraw);
    const observer = new MutationObserver(redraw);
    observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    return () => {
      scheme.removeEventListener("change", redraw);
      observer.disconnect();
    };
  }, [stage]);
}

/** Counts up to `last`, one browser task per step, so that long computations don't block the page. */
function useTurns(last: number): number {
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (turn >= last) return undefined;
    const timer = setTimeout(() => setTurn(turn + 1));
    return () => clearTimeout(timer);
  }, [turn, last]);
  return turn;
}

/** Describes the differing clocks and their offsets. */
function clocksText(view: RootView): string {
  return [...view.clocks()].map(([id, us]) => t("clock.off", { worker: visible(knownWorker(id)?.hostname ?? id), by: `${us > 0 ? "−" : "+"}${duration(Math.abs(us) * 1000, locale)}` })).join("\n");
}

function windowOf(text: string | undefined): Range | null {
  const [, from, to] = /^(\d+)-(\d+)$/.exec(text ?? "") ?? [];
  const range = { fromUs: Number(from), toUs: Number(to) };
  return range.toUs > range.fromUs ? range : null;
}

function Sum({ sum, range, onClose }: { sum: RangeSum; range: Range; onClose: () => void }) {
  const time = (us: number) => duration(us * 1000, locale);
  return (
    <div className="sum" role="status">
      <span>
        {t("timeline.sum", { range: time(range.toUs - range.fromUs), count: sum.count, busy: time(sum.busyUs) })}
        {sum.failed > 0 && ` · ${t("tasks.count", { count: count(sum.failed), state: t("state.failed") })}`}
      </span>
      {sum.names.map(({ name, count: times, busyUs }) => (
        <span key={name} className="dim">
          {visible(name)} ×{count(times)} {time(busyUs)}
        </span>
      ))}
      <Button aria-label={t("panel.close")} onClick={onClose}>
        <Icon d={ICONS.close} />
      </Button>
    </div>
  );
}

/** Returns the time that the root's end waited for a process itself. */
function waitedFor(critical: readonly Stretch[], slot: number): number {
  return critical.reduce((sum, stretch) => sum + (stretch.slot === slot ? stretch.toUs - stretch.fromUs : 0), 0);
}

function Card({ process, hovered, originUs, nowUs, waitedUs }: { process: Process; hovered: Hovered; originUs: number; nowUs: number; waitedUs: number }) {
  const took = elapsed(process, nowUs);
  const isRight = hovered.x > innerWidth / 2;
  return (
    <div className="card" style={{ top: hovered.y + 96, ...(isRight ? { right: `calc(100% - ${hovered.x - 12}px)` } : { left: hovered.x + 12 }) }}>
      <strong>{visible(brief(process.name))}</strong>
      <span>
        <StateLabel state={process.state} /> {took !== null && <span className="number">{duration(took, locale)}</span>}
      </span>
      <span className="dim">{t("timeline.after", { duration: duration(((process.started_us ?? originUs) - originUs) * 1000, locale) })}</span>
      {waitedUs > 0 && <span>{t("timeline.critical", { duration: duration(waitedUs * 1000, locale) })}</span>}
      {process.thread !== null && <span className="dim">{visible(process.thread)}</span>}
      {process.error && <span className="why">{visible(errorLine(process.error))}</span>}
    </div>
  );
}
