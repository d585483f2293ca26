import { useQuery } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { fetchBatchTasks, runBatchTask } from "../api/batch.ts";
import { fetchNames, fetchProcessesOfId, fetchRoots, fetchStats } from "../api/client.ts";
import { useMay } from "../data/useMe.ts";
import { liveWorkers } from "../data/workers/live.ts";
import { locale, t } from "../i18n.ts";
import { alertsStore } from "../live/live.ts";
import { taskState } from "../model/batch-tasks.ts";
import { errorLine } from "../model/errors.ts";
import { type Entry, grouped, matches, taskIn } from "../model/palette.ts";
import { brief, visible } from "../model/text.ts";
import { ago } from "../model/time.ts";
import { markOf, matchesWorker } from "../model/workers.ts";
import { sections } from "../screens/screen.ts";
import { announce } from "../ui/announce.ts";
import { problemText } from "../ui/Problem.tsx";
import { applyTheme, THEMES } from "./theme.ts";

const MOST = 8;
const MOST_NAMES = 3;
/** Takes the place of a task's name, to split the text of its action. */
const NAME = "\u0000";

export interface Choice extends Entry {
  hint?: string;
  state?: string;
  /** The strokes of its icon, if it has no state. */
  icon?: string;
  go: () => void;
}

/** Requests all kinds of results and returns them together, so that rows don't move as responses arrive. Failed requests count as empty. */
async function find(text: string, signal: AbortSignal) {
  const wanted = text.toLowerCase();
  const orNone = <T,>(answer: Promise<T[]>): Promise<T[]> => answer.catch(() => []);
  // The text may be the beginning of a process id.
  const mayBeProcess = /^(?=.*\d)[0-9a-f]{6,16}$/.test(wanted);
  const task = taskIn(text, t("palette.run", { task: NAME }).split(NAME)) ?? text;
  const [roots, names, steps, processes, tasks, alerts] = await Promise.all([
    orNone(fetchRoots({ limit: MOST, ...(text === "" ? {} : { q: text }) }, signal).then((page) => page.roots)),
    text === "" ? [] : orNone(fetchNames({ limit: MOST_NAMES, q: text }, signal).then((page) => page.names)),
    text === "" ? [] : orNone(fetchStats({ limit: MOST_NAMES, q: text }, signal).then((page) => page.stats)),
    mayBeProcess ? orNone(fetchProcessesOfId(wanted, signal).then((page) => page.processes.slice(0, MOST))) : [],
    text === "" ? [] : orNone(fetchBatchTasks({ limit: MOST_NAMES, q: task }, signal).then((page) => page.tasks)),
    alertsStore.get()?.firing === 0 ? [] : orNone(import("../data/firing.ts").then(({ fetchFiring }) => fetchFiring(signal))),
  ]);
  return { roots, names, steps, processes, tasks, alerts };
}

type Found = Partial<Awaited<ReturnType<typeof find>>>;

/** Returns the choices by group, and true if the server has answered for the whole typed text. */
export function useChoices(text: string, asked: string, onHelp: () => void) {
  const { data, isPlaceholderData } = useQuery({
    queryKey: ["palette", asked],
    queryFn: ({ signal }) => find(asked, signal),
    staleTime: 0,
    placeholderData: (before) => before,
  });
  const own = useOwn(text, onHelp);
  const found = useFound(text, data ?? {});
  const shown = [...own, ...found].map(({ text: full, hint = "", ...rest }) => ({ ...rest, text: visible(brief(full)), hint: visible(brief(hint)) }));
  return { groups: grouped(shown, text), isAnswered: asked === text && data !== undefined && !isPlaceholderData };
}

/** Choices that need no response of the server: ids, sections, actions and workers. */
function useOwn(text: string, onHelp: () => void): Choice[] {
  const navigate = useNavigate();
  const { root } = useParams({ strict: false }) as { root?: string };
  const wanted = text.toLowerCase();
  const choices: Choice[] = [];
  // A `traceparent`, or any other text with both ids.
  const [, ofRoot, ofProcess] = /(?<![0-9a-f])([0-9a-f]{32})[^0-9a-f]+([0-9a-f]{16})(?![0-9a-f])/.exec(wanted) ?? [];
  if (ofRoot !== undefined && ofProcess !== undefined) {
    choices.push({ group: "ids", text: ofProcess, hint: t("palette.process"), go: () => void navigate({ to: "/tasks/$root", params: { root: ofRoot }, search: { process: ofProcess } }) });
  }
  // The length of an id determines its type; a number is that of a run.
  if (/^[0-9a-f]{32}$/.test(wanted) || /^\d{1,15}$/.test(wanted)) {
    choices.push({ group: "ids", text: wanted, hint: t("palette.root"), go: () => void navigate({ to: "/tasks/$root", params: { root: wanted } }) });
  }
  if (root !== undefined && /^[0-9a-f]{16}$/.test(wanted)) {
    const go = () => void navigate({ to: ".", search: (before: object) => ({ ...before, process: wanted }) });
    choices.push({ group: "ids", text: wanted, hint: t("palette.process"), go });
  }
  if (root !== undefined && text !== "") {
    const go = () => void navigate({ to: ".", search: (before: object) => ({ ...before, tab: undefined, filter: text }) });
    choices.push({ group: "actions", text, hint: t("palette.filter"), go });
  }
  const places: Choice[] = [
    ...sections.map(({ path, title, icon, search = {} }): Choice => ({ group: "sections", text: t(title), icon, go: () => void navigate({ to: path, search }) })),
    { group: "sections", text: t("keys.title"), hint: "?", go: onHelp },
  ];
  choices.push(...places.filter((place) => matches(place.text, text)));
  // Without a text, the list consists of the sections, the newest runs and the active alerts.
  if (text === "") return choices;
  const actions: Choice[] = [
    { group: "actions", text: t("palette.failed"), go: () => void navigate({ to: "/tasks", search: { state: "failed" } }) },
    ...THEMES.map((theme): Choice => ({ group: "actions", text: t(`theme.${theme}`), go: () => applyTheme(theme) })),
  ];
  choices.push(...actions.filter((action) => matches(action.text, text)));
  const workers = [...liveWorkers().values()].map(({ model }) => model).filter((worker) => worker.state !== "offline" && matchesWorker(worker, wanted));
  for (const { id, program, hostname, state } of workers.slice(0, MOST_NAMES)) {
    choices.push({ group: "workers", text: program, hint: hostname, state: markOf({ state }), go: () => void navigate({ to: "/tasks/workers/$id", params: { id } }) });
  }
  return choices;
}

/** Choices that the server found: processes, batch tasks, names, runs and alerts. */
function useFound(text: string, { processes = [], tasks = [], names = [], steps = [], roots = [], alerts = [] }: Found): Choice[] {
  const navigate = useNavigate();
  const mayRun = useMay("operate") === true;
  const choices: Choice[] = [];
  const isFound = true;
  for (const { name, state, id, root_id } of processes) {
    choices.push({ group: "ids", text: name, hint: t("palette.found.process"), state, isFound, go: () => void navigate({ to: "/tasks/$root", params: { root: root_id }, search: { process: id } }) });
  }
  for (const task of tasks) {
    const { name } = task;
    const open = () => void navigate({ to: "/tasks/batch", search: { task: name } });
    const run = async () => {
      open();
      await runBatchTask(name).then(
        () => announce("deed", t("palette.ran", { task: visible(name) })),
        (error: unknown) => announce("deed", problemText(error)),
      );
    };
    if (mayRun) choices.push({ group: "actions", text: t("palette.run", { task: name }), hint: t("palette.batch"), isFound, go: () => void run() });
    choices.push({ group: "tasks", text: name, state: taskState(task), isFound, go: open });
  }
  for (const { name } of names) {
    if (name !== "") choices.push({ group: "names", text: name, hint: t("palette.name"), isFound, go: () => void navigate({ to: "/tasks", search: { name } }) });
  }
  for (const { name } of steps) {
    if (name !== "" && !names.some((root) => root.name === name)) {
      choices.push({ group: "names", text: name, hint: t("palette.step"), isFound, go: () => void navigate({ to: "/tasks/statistics", search: { name } }) });
    }
  }
  for (const { root_id, title, state, error, started_us } of roots) {
    const why = error && matches(errorLine(error), text) && !matches(title, text) ? errorLine(error) : undefined;
    const hint = why ?? (started_us == null ? "" : ago(started_us, Date.now() * 1000, locale));
    choices.push({ group: "runs", text: title, hint, state, isFound, go: () => void navigate({ to: "/tasks/$root", params: { root: root_id } }) });
  }
  for (const { id, name, words, severity } of alerts.filter((alert) => matches(`${alert.name} ${alert.words}`, text)).slice(0, MOST_NAMES)) {
    choices.push({ group: "alerts", text: name, hint: words, state: severity, isFound, go: () => void navigate({ to: "/tasks/alerts", search: { alert: String(id) } }) });
  }
  return choices;
}
