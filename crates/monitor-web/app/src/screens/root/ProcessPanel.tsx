import { lazy, type ReactNode, Suspense } from "react";
import type { Fold, Process } from "../../api/types.ts";
import { timeOfDay } from "../../clock.ts";
import { useWorker } from "../../data/workers/useWorker.ts";
import { count, t, wordText } from "../../i18n.ts";
import type { Origin } from "../../model/columns.ts";
import { selfTime } from "../../model/selftime.ts";
import { spread } from "../../model/histogram.ts";
import { fieldParts } from "../../model/fields.ts";
import { oddities } from "../../model/oddities.ts";
import { type State, STATES } from "../../model/state.ts";
import { absolute } from "../../model/time.ts";
import { fieldText, visible } from "../../model/text.ts";
import { Button } from "../../ui/Button.tsx";
import { marksOf, Overdue } from "../../ui/Marks.tsx";
import { AttemptNow } from "../../ui/AttemptNow.tsx";
import { CopyButton } from "../../ui/CopyButton.tsx";
import { Counts } from "../../ui/Counts.tsx";
import { Expected } from "../../ui/Expected.tsx";
import { Icon, ICONS } from "../../ui/Icon.tsx";
import { StateLabel, stateWord } from "../../ui/State.tsx";
import { useNow } from "../../ui/now.ts";
import { Said } from "../../ui/Text.tsx";
import { Duration, DurationText } from "../../ui/Time.tsx";
import { progressText } from "../../ui/progress.ts";
import { addressOf, ToWorker } from "./around.tsx";
import { Attempts } from "./Attempts.tsx";
import { CancelProcess } from "./Cancel.tsx";
import { Doctor } from "./Doctor.tsx";
import { ErrorSection } from "./ErrorSection.tsx";
import { Code, Row, Section, When } from "./facts.tsx";
import { History } from "./History.tsx";
import { Links } from "./Links.tsx";
import { Relatives } from "./Relatives.tsx";
import { report } from "./report.ts";
import { Source } from "./Source.tsx";
import { SpreadSection } from "./SpreadSection.tsx";
import type { RootView } from "./view.ts";

/** Loaded when the first process is selected. */
const Logs = lazy(() => import("./logs/Logs.tsx"));

interface Props {
  view: RootView;
  id: string;
  onClose: () => void;
  onSelect: (id: string) => void;
  /** True if its error and its log are shown next to the panel. */
  isBeside: boolean;
}

/** All data of the selected process. */
export function ProcessPanel({ view, id, onClose, onSelect, isBeside }: Props) {
  if (id.startsWith("@")) return <LanePanel view={view} id={id} onClose={onClose} />;
  if (id.startsWith("~")) return <GroupPanel view={view} id={id} onClose={onClose} />;
  const slot = view.tree.find(id);
  const process = slot === undefined ? undefined : view.tree.at(slot);
  return (
    <aside className="panel" aria-label={t("panel.title")} data-state={process?.state}>
      <div className="panel-head">
        {process ? <Title process={process} /> : !view.loading && <Gone id={id} />}
        <Close onClose={onClose} />
      </div>
      {process && slot !== undefined && <Facts view={view} slot={slot} process={process} onSelect={onSelect} isBeside={isBeside} />}
    </aside>
  );
}

/** Summary of similar siblings that share a row. */
function GroupPanel({ view, id, onClose }: { view: RootView; id: string; onClose: () => void }) {
  const row = view.rowOf(id);
  const group = row < 0 ? undefined : view.groupAt(row);
  const first = group?.members[0];
  const of = group && view.spreadOf(group);
  return (
    <aside className="panel" aria-label={t("panel.title")}>
      <div className="panel-head">
        <div>
          <h2>{first === undefined ? t("panel.group.gone") : <Said text={view.tree.at(first).name} />}</h2>
          {group && <p className="number">{t("fold.times", { count: count(group.members.length) })}</p>}
        </div>
        <Close onClose={onClose} />
      </div>
      {of?.spread && <SpreadSection histogram={of.histogram} spread={of.spread} />}
    </aside>
  );
}

/** Summary of a lane. */
function LanePanel({ view, id, onClose }: { view: RootView; id: string; onClose: () => void }) {
  const row = view.rowOf(id);
  const slot = row < 0 ? 0 : (view.rows().slots[row] as number);
  const lane = row < 0 ? undefined : view.groupAt(row)?.lane;
  const rollup = view.rollup();
  const of = rollup.ofLane(-1 - slot);
  return (
    <aside className="panel" aria-label={t("lanes.panel")}>
      <div className="panel-head">
        <div>
          <h2>{lane ? <Said text={lane.label} /> : t("lanes.gone")}</h2>
          {lane && (
            <p>
              {t("root.processes", { count: rollup.total(of) })} <Counts counts={Object.fromEntries(STATES.map((state) => [state, rollup.below(of, state)])) as Record<State, number>} />
            </p>
          )}
        </div>
        <Close onClose={onClose} />
      </div>
      {lane && <Where of={view.placeOf(lane)} />}
    </aside>
  );
}

function Close({ onClose }: { onClose: () => void }) {
  return (
    <Button className="close" aria-label={t("panel.close")} title={`${t("panel.close")} (Esc)`} onClick={onClose}>
      <Icon d={ICONS.close} />
    </Button>
  );
}

/** Summary of the processes that a fold represents. */
function FoldSection({ fold }: { fold: Fold }) {
  const of = spread(fold.histogram, { total: fold.total_ns, min: fold.min_ns, max: fold.max_ns });
  const counts = (["running", "failed", "cancelled"] as const).filter((state) => fold[state] > 0);
  return (
    <>
      <p className="oddity">{t("fold.why")}</p>
      <Section title={t("fold.title")}>
        <Row label={t("fold.count")}>{count(fold.count)}</Row>
        {counts.map((state) => (
          <Row key={state} label={stateWord(state)}>
            {count(fold[state])}
          </Row>
        ))}
      </Section>
      {of && <SpreadSection histogram={fold.histogram} spread={of} />}
    </>
  );
}

function Title({ process }: { process: Process }) {
  return (
    <div>
      <div className="copied-name">
        <h2>{process.name === "" ? t("root.unnamed") : <Said text={process.name} />}</h2>
        {process.name !== "" && <CopyButton text={process.name} what={t("copy.name")} />}
      </div>
      <p>
        <StateLabel state={process.state} /> <Duration process={process} /> <AttemptNow of={process} /> <Overdue of={process} /> <Expected process={process} />
      </p>
    </div>
  );
}

function Gone({ id }: { id: string }) {
  return (
    <div>
      <h2>{t("panel.gone", { process: visible(id) })}</h2>
      <p>{t("panel.gone.hint")}</p>
    </div>
  );
}

interface FactsProps {
  view: RootView;
  slot: number;
  process: Process;
  onSelect: (id: string) => void;
  isBeside: boolean;
}

function Facts({ view, slot, process, onSelect, isBeside }: FactsProps) {
  const marks = marksOf(process, view.tree.isOrphan(slot));
  const worker = useWorker(process.worker_id);
  const parent = view.tree.parentOf(slot);
  const odd = oddities(process, parent === undefined || view.tree.isOrphan(slot) ? undefined : view.tree.at(parent), timeOfDay());
  const known = (id: string) => view.tree.find(id) !== undefined;
  const parts = fieldParts(process.fields ?? {});
  return (
    <>
      {marks.map(({ word, why }) => (
        <p key={word} className="oddity">
          <span className="mark">{word}</span> {why}
        </p>
      ))}
      {(process.attachment === "unattached" || (process.parent_id !== null && view.tree.isOrphan(slot))) && <Doctor key={`${process.id} doctor`} process={process} />}
      {process.state === "lost" && process.ended_us == null && (
        <p className="oddity">
          <span className="mark">{stateWord("lost")}</span> {t("panel.lost", { worker: visible(worker?.hostname ?? process.worker_id ?? "?"), since: worker?.lost_us ? absolute(worker.lost_us).slice(0, 19) : "?" })}
        </p>
      )}
      {odd.map((each) => (
        <p key={each} className="oddity">
          <span className="mark">{t("mark.clock")}</span> {t(`odd.${each}`)}
        </p>
      ))}
      {process.error && !isBeside && <ErrorSection error={process.error} />}
      {!isBeside && <Attempts key={`${process.id} attempts`} process={process} />}
      {process.fold && <FoldSection fold={process.fold} />}
      <p className="actions">
        <CopyButton label={t("panel.copy.markdown")} text={() => report(process, worker, addressOf(process))} />
        <CopyButton label={t("panel.copy.traceparent")} text={`00-${process.root_id}-${process.id}-01`} />
        <CancelProcess key={`${process.id} cancel`} view={view} slot={slot} process={process} />
      </p>
      {(!process.fold || process.started_us !== null) && <WhenSection view={view} slot={slot} process={process} />}
      {!process.fold && !isBeside && (
        <section className="own-logs">
          <Suspense>
            <Logs key={process.id} view={view} process={process.id} />
          </Suspense>
        </section>
      )}
      <Section title={t("panel.what")}>
        <Row label={t("panel.kind")}>{wordText("kind", process.kind)}</Row>
        {process.source && (
          <Row label={t("panel.source")}>
            <Source source={process.source} />
          </Row>
        )}
        <Optional label={t("panel.reason")} value={process.reason} />
        <Optional label={t("panel.exit-code")} value={process.exit_code} />
        <Optional label={t("panel.signal")} value={process.signal} />
        {process.attempt > 1 && <Row label={t("panel.attempt")}>{process.attempt}</Row>}
      </Section>
      <Fields title={t("panel.arguments")} fields={parts.arguments} />
      <Fields title={t("panel.returned")} fields={parts.returned} />
      <Fields title={t("panel.fields")} fields={parts.own} />
      {parts.cut > 0 && <p className="oddity">{t("cut.fields", { count: parts.cut })}</p>}
      {!process.fold && process.name !== "" && <History key={`${process.id} history`} process={process} />}
      <Relatives key={process.id} view={view} slot={slot} onSelect={onSelect} />
      <Where of={process} />
      <Section title={t("panel.ids")}>
        <Row label={t("panel.id")}>
          <Code text={process.id} copy />
        </Row>
        <Row label={t("panel.root-id")}>
          <Code text={process.root_id} copy />
        </Row>
        {process.parent_id !== null && (
          <Row label={t("panel.parent-id")}>
            <ParentId id={process.parent_id} onSelect={known(process.parent_id) ? onSelect : undefined} />
          </Row>
        )}
        {process.native_id !== null && (
          <Row label={t("panel.native-id")}>
            <Code text={process.native_id} copy />
          </Row>
        )}
      </Section>
      <Links key={`${process.id} links`} view={view} process={process} onSelect={onSelect} />
    </>
  );
}

/** Text that the client writes in place of a masked value. */
const MASKED = "[masked]";

function Fields({ title, fields }: { title: string; fields: readonly (readonly [name: string, value: unknown])[] }) {
  if (fields.length === 0) return null;
  return (
    <Section title={title}>
      {fields.map(([name, value]) => (
        <Row key={name} label={visible(name)}>
          {value === MASKED ? (
            <span className="dim" title={t("panel.masked.why")}>
              {t("panel.masked")}
            </span>
          ) : (
            <span className="mono lines"><Said text={fieldText(value)} lines /></span>
          )}
        </Row>
      ))}
    </Section>
  );
}

function WhenSection({ view, slot, process }: { view: RootView; slot: number; process: Process }) {
  const nowUs = useNow(process.state === "running" ? "slow" : "never");
  const own = view.tree.childrenOf(slot).length > 0 ? selfTime(view.tree, slot, nowUs) : undefined;
  return (
    <Section title={t("panel.when")}>
      <Row label={t("panel.started")}>
        <When timeUs={process.started_us} never={t(process.ended_us == null ? "panel.not-yet" : "panel.never")} />
      </Row>
      <Row label={t("panel.ended")}>
        <When timeUs={process.ended_us} never={t("panel.not-yet")} />
      </Row>
      <Row label={t("panel.duration")}>
        <Duration process={process} />
      </Row>
      {own !== undefined && (
        <Row label={t("panel.self")}>
          <DurationText nanoseconds={own} />
        </Row>
      )}
      {process.progress && <Row label={t("panel.progress")}>{progressText(process.progress)}</Row>}
    </Section>
  );
}

function ParentId({ id, onSelect }: { id: string; onSelect: ((id: string) => void) | undefined }) {
  if (!onSelect) return <Code text={id} copy />;
  return (
    <span className="code-line">
      <Button className="inline mono" onClick={() => onSelect(id)}>
        {id}
      </Button>
      <CopyButton text={id} />
    </span>
  );
}

function Where({ of }: { of: Origin }) {
  const worker = useWorker(of.worker_id);
  if (of.worker_id === null && of.thread === null) return null;
  return (
    <Section title={t("panel.where")}>
      {worker && (
        <>
          <Row label={t("panel.host")}>{visible(worker.hostname)}</Row>
          <Row label={t("panel.program")}>
            <ToWorker id={worker.id}>{visible(worker.program)}</ToWorker>
          </Row>
          <Optional label={t("panel.client-version")} value={worker.version} />
          {worker.pid > 0 && (
            <Row label={t("panel.pid")}>
              <span className="mono">{worker.pid}</span>
            </Row>
          )}
        </>
      )}
      <Optional label={t("panel.thread")} value={of.thread} />
      {worker && <Row label={t("panel.worker-state")}>{wordText("worker", worker.state)}</Row>}
      {worker && worker.state !== "online" && (
        <Row label={t("panel.last-seen")}>
          <When timeUs={worker.last_seen_us} never="" />
        </Row>
      )}
      {of.worker_id !== null && (
        <Row label={t("panel.worker")}>
          <Code text={of.worker_id} copy />
        </Row>
      )}
    </Section>
  );
}

function Optional({ label, value }: { label: string; value: string | number | null | undefined }): ReactNode {
  if (value === null || value === undefined || value === "") return null;
  return (
    <Row label={label}>
      <Said text={String(value)} />
    </Row>
  );
}
