import { useEffect } from "react";
import { t } from "../../i18n.ts";
import { Hosts } from "./Hosts.tsx";
import { JobList } from "./JobList.tsx";
import { NewJob } from "./NewJob.tsx";
import { OneJob } from "./OneJob.tsx";
import { useJobSearch } from "./useJobSearch.ts";
import "../../ui/pane.css";
import "../../ui/states.css";
import "./jobs.css";
import "./form.css";

/** The screen of jobs on many hosts: jobs, one job, a new job, and the hosts. */
export default function Jobs() {
  const { job, tab } = useJobSearch();
  const number = Number(job);
  useEffect(() => {
    document.title = `${t("jobs.title")} · ${t("app.name")}`;
  }, [job, tab]);
  if (Number.isSafeInteger(number) && number > 0) return <OneJob key={number} id={number} />;
  if (tab === "new") return <NewJob />;
  return tab === "hosts" ? <Hosts /> : <JobList />;
}
