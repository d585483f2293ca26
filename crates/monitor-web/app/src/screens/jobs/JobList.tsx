import { Link } from "@tanstack/react-router";
import type { Job } from "../../api/types.ts";
import { count, t } from "../../i18n.ts";
import { currentStep, isFinished, jobState, totalOf } from "../../model/jobs.ts";
import { visible } from "../../model/text.ts";
import { Button } from "../../ui/Button.tsx";
import { DataList } from "../../ui/DataList.tsx";
import { Empty } from "../../ui/Empty.tsx";
import { FilterField } from "../../ui/FilterField.tsx";
import { Head } from "../../ui/Head.tsx";
import { WhyRefused } from "../../ui/OperatorButton.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { Ago, Duration } from "../../ui/Time.tsx";
import { JobState, JobTabs, OutcomeBar, timesOf } from "./parts.tsx";
import { useJobList } from "./useJobs.ts";
import { type JobSearch, useJobSearch } from "./useJobSearch.ts";

/** Command that runs a script on a host. The server's own agent is a host. */
const RUN = `echo 'uptime' > check.sh\nmonitor job run --host '*' ./check.sh`;
const STATES = ["open", "ended"] as const;
const COLUMNS = ["job", "status", "results", "hosts", "by", "since", "duration"] as const;

/** All jobs, the newest first. */
export function JobList() {
  const search = useJobSearch();
  const { state, name } = search;
  const query = useJobList(state, name);
  const jobs = query.data?.pages.flatMap((page) => page.jobs) ?? [];
  return (
    <div className="pane jobs">
      <JobsHead search={search} />
      <div className="body">
        {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
        {query.isPending && !query.error && <p className="notice dim">{t("loading")}</p>}
        {query.data && jobs.length === 0 && (state || name ? <p className="notice dim">{t("jobs.none-so")}</p> : <NoJobs />)}
        {jobs.length > 0 && (
          <DataList columns={COLUMNS.map((key) => ({ key, text: t(`jobs.column.${key}`) }))}>
            {jobs.map((job) => (
              <Row key={job.job_id} job={job} />
            ))}
          </DataList>
        )}
        {query.hasNextPage && (
          <p className="more">
            <Button className="outlined" onClick={() => void query.fetchNextPage()}>
              {t("batch.more")}
            </Button>
          </p>
        )}
      </div>
    </div>
  );
}

function JobsHead({ search: { state, name, set } }: { search: JobSearch }) {
  return (
    <Head
      title={t("jobs.title")}
      tabs={
        <>
          <JobTabs tab={undefined} />
          <div className="states" role="group" aria-label={t("tasks.filter.state")}>
            <Button aria-pressed={state === undefined} onClick={() => set({ state: undefined })}>
              <span className="word">{t("tasks.all")}</span>
            </Button>
            {STATES.map((each) => (
              <Button key={each} aria-pressed={state === each} onClick={() => set({ state: state === each ? undefined : each })}>
                <span className="word">{t(`jobs.state.${each}`)}</span>
              </Button>
            ))}
          </div>
        </>
      }
    >
      <FilterField value={name} label={t("jobs.filter.name")} onChange={(text) => set({ name: text })} />
      <Link to="/tasks/jobs" search={{ tab: "new" }} className="primary">
        {t("jobs.new")}
      </Link>
    </Head>
  );
}

function Row({ job }: { job: Job }) {
  const step = currentStep(job);
  const at = step ? job.steps.indexOf(step) + 1 : 0;
  return (
    <tr data-job={job.job_id} data-state={jobState(job.status)}>
      <th scope="row" className="job">
        <Link to="/tasks/jobs" search={{ job: String(job.job_id) }} className="link" translate="no">
          {visible(job.name)}
        </Link>{" "}
        <span className="number dim">{job.job_id}</span>
      </th>
      <td className="status">
        <JobState status={job.status} isBrief />
        {job.steps.length > 1 && !isFinished(job.status) && <span className="dim"> {t("jobs.step-of", { at, of: job.steps.length })}</span>}
      </td>
      <td className="results">{step && <OutcomeBar counts={step.counts} />}</td>
      <td className="hosts number">{step && count(totalOf(step.counts))}</td>
      <td className="by dim" translate="no">
        {visible(job.by)}
      </td>
      <td className="since dim">
        <Ago timeUs={job.created_us} />
      </td>
      <td className="duration">
        <Duration process={timesOf(job)} />
      </td>
    </tr>
  );
}

/** Explains how a first job is started. */
function NoJobs() {
  return (
    <Empty title={t("jobs.none")} how={t("jobs.none.how")} command={RUN}>
      <p className="ways">
        <Link to="/tasks/jobs" search={{ tab: "new" }} className="link">
          {t("jobs.none.here")}
        </Link>{" "}
        <Link to="/tasks/jobs" search={{ tab: "hosts" }} className="link">
          {t("jobs.none.hosts")}
        </Link>
      </p>
      <WhyRefused right="jobs" />
    </Empty>
  );
}
