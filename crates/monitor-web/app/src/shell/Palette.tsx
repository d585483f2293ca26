import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { useEffect, useRef, useState } from "react";
import { fetchBatchTasks, runBatchTask } from "../api/batch.ts";
import { fetchNames, fetchProcessesOfId, fetchRoots, fetchStats } from "../api/client.ts";
import { useMay } from "../data/useMe.ts";
import { liveWorkers } from "../data/workers/live.ts";
import { t } from "../i18n.ts";
import { errorLine } from "../model/errors.ts";
import { brief, visible } from "../model/text.ts";
import { matchesWorker } from "../model/workers.ts";
import { sections } from "../screens/screen.ts";
import { announce } from "../ui/announce.ts";
import { Dialog } from "../ui/Dialog.tsx";
import { Icon, ICONS } from "../ui/Icon.tsx";
import { problemText } from "../ui/Problem.tsx";
import { StateMark } from "../ui/StateMark.tsx";
import { applyTheme, THEMES } from "./theme.ts";

const TYPING_MS = 150;
const MOST = 8;
const MOST_NAMES = 3;

interface Choice {
  text: string;
  hint: string;
  state?: string;
  /** True if the server found it for the typed text. */
  isFound?: boolean;
  go: () => void;
}

/** Finds screens, actions, batch tasks, workers, runs by name, number or id, and processes by id. */
export function Palette({ onClose, onHelp }: { onClose: () => void; onHelp: () => void }) {
  const [text, setText] = useState("");
  const [asked, setAsked] = useState("");
  const [at, setAt] = useState(0);
  const field = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLUListElement>(null);
  const { choices, isAnswered } = useChoices(text.trim(), asked, onHelp);
  const [entered, setEntered] = useState(false);
  const active = Math.min(at, choices.length - 1);
  useEffect(() => field.current?.focus(), []);
  useEffect(() => {
    const timer = setTimeout(() => setAsked(text.trim()), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text]);
  useEffect(() => {
    list.current?.children[active]?.scrollIntoView({ block: "nearest" });
  }, [active]);

  const take = (choice: Choice | undefined) => {
    if (!choice) return;
    onClose();
    choice.go();
  };
  const isMeant = (choice: Choice | undefined) => isAnswered || (choice !== undefined && !choice.isFound);
  // Pressing Enter at once selects a result for the typed text, not an earlier one.
  useEffect(() => {
    if (!entered || !isMeant(choices[active])) return;
    setEntered(false);
    take(choices[active]);
  });
  const onKey = (event: React.KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return;
    if (event.key === "Enter") setEntered(true);
    else if (event.key === "ArrowDown") setAt(Math.min(active + 1, choices.length - 1));
    else if (event.key === "ArrowUp") setAt(Math.max(active - 1, 0));
    else return;
    event.preventDefault();
  };
  return (
    <Dialog label={t("palette.title")} className="palette" onClose={onClose}>
      <input
        ref={field}
        type="text"
        role="combobox"
        aria-expanded="true"
        aria-controls="choices"
        aria-activedescendant={active >= 0 ? `choice-${active}` : undefined}
        aria-label={t("palette.title")}
        placeholder={t("palette.hint")}
        spellCheck={false}
        autoComplete="off"
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setAt(0);
          setEntered(false);
        }}
        onKeyDown={onKey}
      />
      <ul ref={list} id="choices" role="listbox" aria-label={t("palette.found")} aria-busy={!isAnswered}>
        {choices.map((choice, index) => (
          <li
            // Rows are reused for other results at the same position.
            key={index}
            id={`choice-${index}`}
            role="option"
            aria-selected={index === active}
            onPointerMove={() => setAt(index)}
            onClick={() => take(choice)}
          >
            <span className="state" data-state={choice.state} aria-hidden="true">
              {choice.state === undefined ? <Icon d={ICONS.to} /> : <StateMark state={choice.state} />}
            </span>
            <span className="text" translate={choice.state === undefined ? undefined : "no"}>
              {visible(brief(choice.text))}
            </span>
            <span className="dim">{choice.hint}</span>
          </li>
        ))}
      </ul>
      {choices.length === 0 && <p className="dim">{t("palette.none")}</p>}
    </Dialog>
  );
}

function contains(text: string, part: string): boolean {
  return text.toLowerCase().includes(part);
}

/** Requests all kinds of results and returns them together, so that rows don't move as responses arrive. Failed requests count as empty. */
async function find(text: string, signal: AbortSignal) {
  const wanted = text.toLowerCase();
  const orNone = <T,>(answer: Promise<T[]>): Promise<T[]> => answer.catch(() => []);
  // The text may be the beginning of a process id.
  const mayBeProcess = /^(?=.*\d)[0-9a-f]{6,16}$/.test(wanted);
  const [roots, names, steps, processes, tasks] = await Promise.all([
    orNone(fetchRoots({ limit: MOST, ...(text === "" ? {} : { q: text }) }, signal).then((page) => page.roots)),
    text === "" ? [] : orNone(fetchNames({ limit: MOST_NAMES, q: text }, signal).then((page) => page.names)),
    text === "" ? [] : orNone(fetchStats({ limit: MOST_NAMES, q: text }, signal).then((page) => page.stats)),
    mayBeProcess ? orNone(fetchProcessesOfId(wanted, signal).then((page) => page.processes.slice(0, MOST))) : [],
    text === "" ? [] : orNone(fetchBatchTasks({ limit: MOST_NAMES, q: text }, signal).then((page) => page.tasks)),
  ]);
  return { roots, names, steps, processes, tasks };
}

/** Returns the choices, and true if the server has answered for the whole typed text. */
function useChoices(text: string, asked: string, onHelp: () => void): { choices: Choice[]; isAnswered: boolean } {
  const navigate = useNavigate();
  const { root } = useParams({ strict: false }) as { root?: string };
  const wanted = text.toLowerCase();
  const { data, isPlaceholderData } = useQuery({
    queryKey: ["palette", asked],
    queryFn: ({ signal }) => find(asked, signal),
    staleTime: 0,
    placeholderData: (before) => before,
  });
  const choices: Choice[] = [];
  // A `traceparent`, or any other text with both ids.
  const [, ofRoot, ofProcess] = /(?<![0-9a-f])([0-9a-f]{32})[^0-9a-f]+([0-9a-f]{16})(?![0-9a-f])/.exec(wanted) ?? [];
  if (ofRoot !== undefined && ofProcess !== undefined) {
    choices.push({ text: ofProcess, hint: t("palette.process"), go: () => void navigate({ to: "/tasks/$root", params: { root: ofRoot }, search: { process: ofProcess } }) });
  }
  // The length of an id determines its type; a number is that of a run.
  if (/^[0-9a-f]{32}$/.test(wanted) || /^\d{1,15}$/.test(wanted)) {
    choices.push({ text: wanted, hint: t("palette.root"), go: () => void navigate({ to: "/tasks/$root", params: { root: wanted } }) });
  }
  if (root !== undefined && /^[0-9a-f]{16}$/.test(wanted)) {
    const go = () => void navigate({ to: ".", search: (before: object) => ({ ...before, process: wanted }) });
    choices.push({ text: wanted, hint: t("palette.process"), go });
  }
  for (const found of data?.processes ?? []) {
    const go = () => void navigate({ to: "/tasks/$root", params: { root: found.root_id }, search: { process: found.id } });
    choices.push({ text: found.name, hint: t("palette.found.process"), state: found.state, isFound: true, go });
  }
  if (root !== undefined && text !== "") {
    const go = () => void navigate({ to: ".", search: (before: object) => ({ ...before, tab: undefined, filter: text }) });
    choices.push({ text, hint: t("palette.filter"), go });
  }
  for (const { path, title, search = {} } of sections) {
    if (t(title).toLowerCase().includes(wanted)) choices.push({ text: t(title), hint: t("palette.screen"), go: () => void navigate({ to: path, search }) });
  }
  if (t("keys.title").toLowerCase().includes(wanted)) choices.push({ text: t("keys.title"), hint: "?", go: onHelp });
  choices.push(...useActions(wanted, data?.tasks.map(({ name }) => name) ?? []));
  for (const { name } of data?.names ?? []) {
    if (name !== "") choices.push({ text: name, hint: t("palette.name"), isFound: true, go: () => void navigate({ to: "/tasks", search: { name } }) });
  }
  for (const { name } of data?.steps ?? []) {
    if (name !== "" && !data?.names.some((root) => root.name === name)) {
      choices.push({ text: name, hint: t("palette.step"), isFound: true, go: () => void navigate({ to: "/tasks/statistics", search: { name } }) });
    }
  }
  for (const found of data?.roots ?? []) {
    const go = () => void navigate({ to: "/tasks/$root", params: { root: found.root_id } });
    const hint = found.error && contains(errorLine(found.error), wanted) && !contains(found.title, wanted) ? brief(errorLine(found.error)) : t("palette.task");
    choices.push({ text: found.title, hint: visible(hint), state: found.state, isFound: true, go });
  }
  return { choices, isAnswered: asked === text && data !== undefined && !isPlaceholderData };
}

/** Actions whose names contain the text, the batch tasks that were found, and workers. */
function useActions(wanted: string, tasks: readonly string[]): Choice[] {
  const navigate = useNavigate();
  const mayRun = useMay("operate") === true;
  // Without a text, the list consists of the sections and the newest runs.
  if (wanted === "") return [];
  const openTask = (task: string) => void navigate({ to: "/tasks/batch", search: { task } });
  const run = async (task: string) => {
    openTask(task);
    await runBatchTask(task).then(
      () => announce("deed", t("palette.ran", { task: visible(task) })),
      (error: unknown) => announce("deed", problemText(error)),
    );
  };
  const actions: Choice[] = [
    { text: t("palette.failed"), hint: t("palette.action"), go: () => void navigate({ to: "/tasks", search: { state: "failed" } }) },
    ...THEMES.map((theme) => ({ text: t(`theme.${theme}`), hint: t("palette.action"), go: () => applyTheme(theme) })),
  ];
  const workers = [...liveWorkers().values()].map(({ model }) => model).filter((worker) => worker.state !== "offline" && matchesWorker(worker, wanted));
  return [
    ...actions.filter(({ text }) => contains(text, wanted)),
    ...tasks.flatMap((task) => [
      { text: task, hint: t("palette.batch"), isFound: true, go: () => openTask(task) },
      ...(mayRun ? [{ text: t("palette.run", { task: visible(task) }), hint: t("palette.action"), isFound: true, go: () => void run(task) }] : []),
    ]),
    ...workers.slice(0, MOST_NAMES).map(({ id, program, hostname }) => ({ text: program, hint: t("palette.worker", { host: visible(hostname) }), go: () => void navigate({ to: "/tasks/workers/$id", params: { id } }) })),
  ];
}
