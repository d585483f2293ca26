import { useEffect } from "react";
import { t } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { Day } from "./Day.tsx";
import { Edit } from "./Edit.tsx";
import { RunPanel } from "./RunPanel.tsx";
import { Runs } from "./Runs.tsx";
import { Task } from "./Task.tsx";
import { Tasks } from "./Tasks.tsx";
import { useBatchSearch } from "./useBatchSearch.ts";
import "../../ui/pane.css";
import "./batch.css";

/** The batch screen: tasks, their runs, and the details of a task. An opened run is shown next to them. */
export default function Batch() {
  const { task, run, set } = useBatchSearch();
  useEffect(() => {
    document.title = `${task === undefined ? t("batch.title") : visible(task)} · ${t("app.name")}`;
  }, [task]);
  return (
    <div className="batch-split">
      <Main />
      {run !== undefined && <RunPanel key={run} run={run} onClose={() => set({ run: undefined })} />}
    </div>
  );
}

function Main() {
  const { task, tab } = useBatchSearch();
  if (tab === "edit") return <Edit key={task} name={task} />;
  if (task !== undefined && tab === undefined) return <Task key={task} name={task} />;
  return (
    <div className="pane batch" data-tab={tab}>
      {tab === "runs" ? <Runs /> : tab === "day" ? <Day /> : <Tasks />}
    </div>
  );
}
