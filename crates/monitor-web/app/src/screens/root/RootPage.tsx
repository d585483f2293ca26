import { useParams } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { ApiError } from "../../api/client.ts";
import { liveStore } from "../../data/live.ts";
import { workersVersion } from "../../data/workers/live.ts";
import { t } from "../../i18n.ts";
import { estimate } from "../../model/estimate.ts";
import { glyph } from "../../model/state.ts";
import { brief, visible } from "../../model/text.ts";
import { announce } from "../../ui/announce.ts";
import { setFavicon } from "../../ui/favicon.ts";
import { NotFound } from "../../ui/NotFound.tsx";
import { useNow } from "../../ui/now.ts";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { stateWord } from "../../ui/State.tsx";
import { idle } from "../../ui/useIdle.ts";
import { BackToRuns } from "./around.tsx";
import { laneKindOf } from "./lanes.ts";
import { Missing } from "./Missing.tsx";
import { OneProcess } from "./OneProcess.tsx";
import { ProcessPanel } from "./ProcessPanel.tsx";
import { RootHeader } from "./RootHeader.tsx";
import { TreeToolbar } from "./TreeToolbar.tsx";
import { TreeView } from "./TreeView.tsx";
import { useRootSearch } from "./useRootSearch.ts";
import { useSelection } from "./useSelection.ts";
import { RootView } from "./view.ts";
import "./root.css";
import "./print.css";

const loadTimeline = () => import("./timeline/Timeline.tsx");
const loadCompare = () => import("./compare/Compare.tsx");
const loadLogs = () => import("./logs/Logs.tsx");
const Timeline = lazy(loadTimeline);
const Compare = lazy(loadCompare);
const Logs = lazy(loadLogs);

/** Loads the other tabs, one after another, so that they can be opened without a connection: browsers don't repeat an import that failed. */
async function loadTabs(): Promise<void> {
  for (const load of [loadTimeline, loadLogs, loadCompare]) {
    await idle();
    await load().catch(() => undefined);
  }
}

/** A root and its tree. */
export default function RootPage() {
  const { root = "" } = useParams({ strict: false }) as { root?: string };
  return <OneRoot key={root} param={root} />;
}

function OneRoot({ param }: { param: string }) {
  const view = useMemo(() => new RootView(param), [param]);
  useSyncExternalStore(view.subscribe, view.get);
  // Lanes are named after workers.
  useSyncExternalStore(liveStore.subscribe, workersVersion);
  const selection = useSelection(view);
  const search = useRootSearch();
  const lanes = laneKindOf(search.lanes);
  useEffect(() => view.arrange(search.filter, search.grouped, lanes), [view, search.filter, search.grouped, lanes]);
  const { root } = view;
  const { tab = "tree" } = search;
  // The panel belongs to the tab on which it was opened; the selection is shared by all tabs.
  const opened = useRef({ turn: selection.turn, tab });
  if (opened.current.turn !== selection.turn) opened.current = { turn: selection.turn, tab };
  // A run with one process shows its log in place of a tree; its panel opens by itself only if there is no log.
  const only = tab === "tree" || tab === "logs" ? view.only() : undefined;
  const [isSilent, setIsSilent] = useState(false);
  const isPanelOpen = only ? !selection.isAutomatic || isSilent : opened.current.tab === tab;
  const panelOf = isPanelOpen ? selection.id : null;
  const details = only && { isOpen: panelOf !== null, toggle: () => (panelOf === null ? selection.select(only.id) : selection.clear()) };

  // The browser tab's icon shows the state while another tab is active.
  const own = view.own();
  const nowUs = useNow(root?.state === "running" ? "slow" : "never");
  const part = root ? (estimate({ ...root, ...(own?.progress && { progress: own.progress }) }, nowUs)?.part ?? null) : null;
  const percent = part === null ? null : Math.floor(part * 100);
  useEffect(() => {
    document.title = root ? [glyph(root.state), percent !== null && `${percent} %`, visible(brief(root.title))].filter(Boolean).join(" ") : t("app.name");
    setFavicon(root?.state ?? null, percent === null ? null : percent / 100);
  }, [root?.state, root?.title, percent]);
  useEffect(() => () => setFavicon(null), []);
  useEffect(() => void loadTabs(), []);
  const toldState = useRef<string>(undefined);
  useEffect(() => {
    if (root && toldState.current !== undefined && toldState.current !== root.state) announce("root", `${visible(brief(root.title))}: ${stateWord(root.state)}`);
    toldState.current = root?.state;
  }, [root?.state]);

  if (!root) {
    const status = view.problem instanceof ApiError ? view.problem.status : undefined;
    if (status === 404 || status === 410) return <Gone param={param} wasHere={status === 410} />;
    // The address is not that of a run.
    if (status === 400) return <NotFound />;
    if (view.problem) return <ProblemNotice error={view.problem} onRetry={view.retry} />;
    return <p className="notice dim">{t("loading")}</p>;
  }
  return (
    <div className="root-page">
      <RootHeader view={view} root={root} search={search} details={details} />
      <Missing view={view} />
      {tab === "tree" && !only && <TreeToolbar view={view} selection={selection} search={search} />}
      {view.problem !== null && <ProblemNotice error={view.problem} onRetry={view.retry} />}
      <div className="split" data-panel={panelOf !== null}>
        <Suspense fallback={<p className="notice dim">{t("loading")}</p>}>
          {only ? (
            <OneProcess view={view} process={only} search={search} selection={selection} isSilent={isSilent} onSilent={setIsSilent} />
          ) : tab === "timeline" ? (
            <Timeline view={view} root={root} selection={selection} search={search} />
          ) : tab === "logs" ? (
            <Logs view={view} search={search} onSelect={selection.select} />
          ) : tab === "compare" ? (
            <Compare view={view} root={root} search={search} onSelect={selection.select} />
          ) : (
            <TreeView view={view} root={root} selection={selection} />
          )}
        </Suspense>
        {panelOf !== null && <ProcessPanel view={view} id={panelOf} onClose={selection.clear} onSelect={selection.select} isBeside={only !== undefined} />}
      </div>
    </div>
  );
}

function Gone({ param, wasHere }: { param: string; wasHere: boolean }) {
  return (
    <div className="notice">
      <h2>{t(wasHere ? "root.removed" : "root.gone", { root: visible(param) })}</h2>
      <p>{t(wasHere ? "root.removed.hint" : "root.gone.hint")}</p>
      <BackToRuns inWords />
    </div>
  );
}
