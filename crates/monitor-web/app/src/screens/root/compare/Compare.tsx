import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useReducer, useRef, useState, useSyncExternalStore } from "react";
import { fetchLogs, fetchRoots } from "../../../api/client.ts";
import type { LogLine, LogsPage, Root } from "../../../api/types.ts";
import { timeOfDay } from "../../../clock.ts";
import { count, locale, t, wordText } from "../../../i18n.ts";
import { CHANGES, type ChangeKind, compare, type Comparison, firstDifference, type LogPart, ranked } from "../../../model/compare.ts";
import { Derived } from "../../../model/derived.ts";
import { brief, visible } from "../../../model/text.ts";
import { ago } from "../../../model/time.ts";
import { Button } from "../../../ui/Button.tsx";
import { ProblemNotice } from "../../../ui/Problem.tsx";
import { StateLabel, stateWord } from "../../../ui/State.tsx";
import { RunTitle } from "../../../ui/Text.tsx";
import { ToRun } from "../around.tsx";
import type { RootSearch } from "../useRootSearch.ts";
import { RootView } from "../view.ts";
import { AnyOther } from "./AnyOther.tsx";
import { DifferenceList } from "./DifferenceList.tsx";
import { TwoSided } from "./TwoSided.tsx";
import "./compare.css";

/** Number of earlier runs that are offered. */
const CHOICES = 30;
const MOST_LINES = 10_000;

interface Props {
  view: RootView;
  root: Root;
  search: RootSearch;
  onSelect: (id: string) => void;
}

/** Compares this root with the last successful one of the same name, or with any other. */
export default function Compare({ view, root, search, onSelect }: Props) {
  const query = useQuery({
    queryKey: ["compare", root.name, root.root_id],
    queryFn: async ({ signal }) => {
      const [good, all] = await Promise.all([
        fetchRoots({ name: root.name, state: "succeeded", limit: 2, ...(root.started_us !== null && { started_before: root.started_us }) }, signal),
        fetchRoots({ name: root.name, limit: CHOICES }, signal),
      ]);
      const others = (roots: Root[]) => roots.filter(({ root_id }) => root_id !== root.root_id);
      return { good: others(good.roots)[0] ?? null, choices: others(all.roots) };
    },
  });
  const chosen = search.with ?? query.data?.good?.root_id;
  return (
    <div className="compare">
      <div className="compare-bar">
        <Chooser root={root} chosen={chosen} good={query.data?.good ?? null} choices={query.data?.choices ?? []} onChoose={(id) => search.set({ with: id })} />
      </div>
      {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
      {chosen !== undefined ? <Two key={chosen} view={view} other={chosen} search={search} onSelect={onSelect} /> : query.data && <p className="notice dim">{t("compare.none")}</p>}
    </div>
  );
}

interface ChooserProps {
  root: Root;
  chosen: string | undefined;
  good: Root | null;
  choices: Root[];
  onChoose: (id: string | undefined) => void;
}

function Chooser({ root, chosen, good, choices, onChoose }: ChooserProps) {
  const listed = choices.some(({ root_id }) => root_id === chosen) ? choices : [...choices, ...(good && good.root_id === chosen ? [good] : [])];
  const isListed = listed.some(({ root_id }) => root_id === chosen);
  const nowUs = timeOfDay();
  return (
    <>
      <span>{t("compare.with", { root: `<${root.number}>` })}</span>
      <select aria-label={t("compare.other")} value={isListed ? chosen : ""} onChange={(event) => onChoose(event.target.value || undefined)}>
        {!isListed && <option value="">{chosen === undefined ? "–" : visible(chosen)}</option>}
        {listed.map((each) => (
          <option key={each.root_id} value={each.root_id}>
            {[`<${each.number}>`, stateWord(each.state), each.started_us !== null && ago(each.started_us, nowUs, locale), each.root_id === good?.root_id && t("compare.good")].filter(Boolean).join(" · ")}
          </option>
        ))}
      </select>
      <AnyOther onChoose={onChoose} />
    </>
  );
}

interface TwoProps {
  view: RootView;
  other: string;
  search: RootSearch;
  onSelect: (id: string) => void;
}

function Two({ view, other, search, onSelect }: TwoProps) {
  const left = useMemo(() => new RootView(other), [other]);
  useSyncExternalStore(left.subscribe, left.get);
  const isWhole = !left.loading && !view.loading;
  const comparison = useComparison(left, view, isWhole);
  const order = useMemo(() => (comparison ? ranked(comparison, left.tree, view.tree) : []), [comparison]);
  const [kind, setKind] = useState<ChangeKind | null>(null);
  if (left.problem !== null) return <ProblemNotice error={left.problem} onRetry={left.retry} />;
  if (!comparison || !left.root) return <p className="notice dim">{t("loading")}</p>;
  const isTree = search.view === "tree";
  return (
    <>
      <div className="compare-bar">
        <span>
          <StateLabel state={left.root.state} />{" "}
          <ToRun root={left.root.root_id}>
            <RunTitle run={left.root} />
          </ToRun>
        </span>
        <span className="group" role="group" aria-label={t("compare.changes")}>
          {CHANGES.filter((each) => each !== "same").map((each) => (
            <Button key={each} className="toggle" data-change={each} aria-pressed={kind === each} disabled={comparison.counts[each] === 0} onClick={() => setKind(kind === each ? null : each)}>
              {t(`compare.change.${each}`)} <span className="number">{comparison.counts[each]}</span>
            </Button>
          ))}
        </span>
        <span className="group" role="group" aria-label={t("compare.view")}>
          {(["list", "tree"] as const).map((each) => (
            <Button key={each} className="toggle" aria-pressed={isTree === (each === "tree")} onClick={() => search.set({ view: each === "tree" ? "tree" : undefined })}>
              {t(`compare.view.${each}`)}
            </Button>
          ))}
        </span>
      </div>
      <FirstLine left={left} right={view} comparison={comparison} onSelect={onSelect} />
      {isTree ? (
        <TwoSided comparison={comparison} left={left.tree} right={view.tree} onSelect={onSelect} />
      ) : (
        <DifferenceList comparison={comparison} order={kind ? order.filter((at) => comparison.pairs[at]?.change === kind) : order} left={left.tree} right={view.tree} onSelect={onSelect} />
      )}
    </>
  );
}

/** Recomputed when the trees change, but not for every frame; null until both are loaded. */
function useComparison(left: RootView, right: RootView, isWhole: boolean): Comparison | null {
  const [, again] = useReducer((turn: number) => turn + 1, 0);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const derived = useMemo(() => new Derived<Comparison>((ms) => (timer.current = setTimeout(again, ms))), [left, right]);
  // A later rendering requests it again if it is still outdated.
  clearTimeout(timer.current);
  useEffect(() => () => clearTimeout(timer.current), []);
  return isWhole ? derived.get("", left.tree.version + right.tree.version, () => compare(left.tree, right.tree, timeOfDay())) : null;
}

/** The first log line that differs. */
function FirstLine({ left, right, comparison, onSelect }: { left: RootView; right: RootView; comparison: Comparison; onSelect: (id: string) => void }) {
  const query = useQuery({
    queryKey: ["compare logs", left.param, right.param],
    queryFn: async ({ signal }) => Promise.all([left, right].map((view) => fetchLogs(view.param, undefined, { limit: MOST_LINES, order: "oldest" }, signal))),
  });
  const [before, after] = query.data ?? [];
  const found = useMemo(() => (before && after ? firstDifference(comparison.pairs, left.tree, right.tree, partOf(before), partOf(after)) : null), [before, after, comparison]);
  if (query.error) return <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />;
  if (!before || !after || before.logs.length + after.logs.length === 0) return null;
  const cut = before.next_cursor != null || after.next_cursor != null ? t("compare.logs.cut", { count: count(MOST_LINES) }) : "";
  if (!found) return <p className="dim first-line">{cut || t("compare.logs.same")}</p>;
  const line = (of: LogLine | null) => <span className="mono">{of ? `${wordText("level", of.level)} ${visible(brief(of.message))}` : t("compare.logs.silent")}</span>;
  return (
    <div className="first-line">
      <h3>{t("compare.logs.first")}</h3>
      {cut !== "" && <p className="dim">{cut}</p>}
      <p className="before">
        {"− "}
        {line(found.left)}
      </p>
      <p className="after">
        {"+ "}
        {line(found.right)}
        {found.right && (
          <Button className="inline" onClick={() => onSelect(found.right?.process_id ?? "")}>
            {t("logs.process")}
          </Button>
        )}
      </p>
    </div>
  );
}

function partOf({ logs, next_cursor }: LogsPage): LogPart {
  return { lines: logs, isCut: next_cursor != null };
}
