import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { fetchBatchTask, runBatchTask } from "../../api/batch.ts";
import type { BatchTask } from "../../api/types.ts";
import { useAgain, useAgainAt } from "../../data/useAgain.ts";
import { useMay } from "../../data/useMe.ts";
import { t } from "../../i18n.ts";
import { taskState } from "../../model/batch-tasks.ts";
import { visible } from "../../model/text.ts";
import { DeedSaid, useDeed } from "../../ui/Deed.tsx";
import { ItemHead } from "../../ui/Head.tsx";
import { OperatorButton, WhyRefused } from "../../ui/OperatorButton.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { StateGlyph } from "../../ui/State.tsx";
import { Name } from "../../ui/Text.tsx";
import { Tabs } from "../../ui/Tabs.tsx";
import { Ago } from "../../ui/Time.tsx";
import { Definition } from "./Definition.tsx";
import { Dues, NextDues } from "./Dues.tsx";
import { Overview } from "./Overview.tsx";
import { Publications } from "./Publications.tsx";
import { RunList } from "./Runs.tsx";
import { Versions } from "./Versions.tsx";
import { EditLink, PauseButton, agentsOf, orderText } from "./parts.tsx";
import { scheduleWords } from "./scheduleWords.ts";
import { useBatchSearch } from "./useBatchSearch.ts";

const AGAIN_MS = 1000;
const VIEWS = [undefined, "runs", "schedule", "versions", "publications", "definition"] as const;

/** One task, in parts: an overview, its runs, its due times, its versions, what it has published, and its definition. */
export function Task({ name }: { name: string }) {
  const { view } = useBatchSearch();
  const query = useQuery({ queryKey: ["batch-task", name], queryFn: ({ signal }) => fetchBatchTask(name, signal), staleTime: 0 });
  useAgain(["batch", "root"], query, AGAIN_MS);
  useAgainAt([query.data?.next_us[0], query.data?.until_us], query);
  const [said, act] = useDeed(() => void query.refetch());
  const task = query.data;
  const may = useMay("operate");
  // The head appears as a whole, so that nothing moves.
  if (!task || may === undefined) {
    return <div className="pane batch">{query.error ? <ProblemNotice error={query.error} onRetry={() => void query.refetch()} /> : <p className="notice dim">{t("loading")}</p>}</div>;
  }
  const tabs = VIEWS.map((each) => ({ text: t(`batch.view.${each ?? "overview"}`), search: { task: name, ...(each !== undefined && { view: each }) }, isCurrent: view === each }));
  return (
    <div className="pane batch one-task">
      <ItemHead back={{ to: "/tasks/batch", label: t("batch.title") }} mark={<StateGlyph state={taskState(task)} />} title={<Name text={name} />} facts={factsOf(task)}>
        <WhyRefused />
        <PauseButton task={task} act={act} />
        {task.agent === null && (
          <EditLink task={name} className="quiet">
            {t("batch.edit")}
          </EditLink>
        )}
        <Link to="/tasks/batch" search={{ tab: "day", q: name }} className="quiet">
          {t("batch.day")}
        </Link>
        <OperatorButton className="primary" onClick={() => act(() => runBatchTask(name).then(orderText))}>
          {t("batch.run")}
        </OperatorButton>
      </ItemHead>
      <Tabs label={visible(name)} to="/tasks/batch" tabs={tabs} />
      <div className="body">
        <DeedSaid said={said} />
        {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
        <View view={view} task={task} act={act} />
      </div>
    </div>
  );
}

function factsOf(task: BatchTask) {
  const [next] = task.next_us;
  return [
    scheduleWords(task) || t("batch.not-by-time"),
    agentsOf(task),
    next === undefined ? (
      ""
    ) : (
      <>
        {t("batch.next-at")} <Ago timeUs={next} />
      </>
    ),
  ];
}

function View({ view, task, act }: { view: string | undefined; task: BatchTask; act: (deed: () => Promise<void>) => void }) {
  switch (view) {
    case "runs":
      return <RunList query={{ task: task.name }} isOfTask />;
    case "schedule":
      return (
        <>
          <NextDues task={task} />
          <Dues task={task.name} />
        </>
      );
    case "versions":
      return <Versions task={task} act={act} />;
    case "publications":
      return <Publications task={task} />;
    case "definition":
      return <Definition of={task.definition} />;
    default:
      return <Overview task={task} />;
  }
}
