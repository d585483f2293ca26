import { Link } from "@tanstack/react-router";
import { useCallback, useEffect, useMemo, useState } from "react";
import { ApiError } from "../../api/client.ts";
import type { Job, JobHost, JobStep } from "../../api/types.ts";
import { count, t } from "../../i18n.ts";
import { OUTCOMES, type Outcome, currentStep, groupsOf, hostState, isFinished, jobState, keyOf, outcomesOf, showsHost, totalOf } from "../../model/jobs.ts";
import { visible } from "../../model/text.ts";
import { clock } from "../../model/time.ts";
import { Button } from "../../ui/Button.tsx";
import { DeedSaid, useDeed } from "../../ui/Deed.tsx";
import { FilterField } from "../../ui/FilterField.tsx";
import { ItemHead } from "../../ui/Head.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { StateMark } from "../../ui/StateMark.tsx";
import { Name } from "../../ui/Text.tsx";
import { Duration } from "../../ui/Time.tsx";
import { Actions } from "./Actions.tsx";
import { Callbacks } from "./Callbacks.tsx";
import { HostGroups } from "./HostGroups.tsx";
import { HostList } from "./HostList.tsx";
import { HostPanel } from "./HostPanel.tsx";
import { Script } from "./Script.tsx";
import { Shapes } from "./Shapes.tsx";
import { JobState, Warnings, timesOf } from "./parts.tsx";
import { useJob, useJobHosts } from "./useJobs.ts";
import { type JobSearch, useJobSearch } from "./useJobSearch.ts";

/** Views of a step besides its hosts. */
const VIEWS = ["shapes", "script"] as const;

/** One job: its steps, and the hosts of a step grouped by outcome. */
export function OneJob({ id }: { id: number }) {
  const query = useJob(id);
  const { data: job, error } = query;
  useEffect(() => {
    if (job) document.title = `${visible(job.name)} · ${t("jobs.title")}`;
  }, [job?.name]);
  if (job) return <Opened job={job} onDone={() => void query.refetch()} />;
  if (error instanceof ApiError && error.status === 404) return <Gone id={id} />;
  if (error) return <ProblemNotice error={error} onRetry={() => void query.refetch()} />;
  return <p className="notice dim">{t("loading")}</p>;
}

function Opened({ job, onDone }: { job: Job; onDone: () => void }) {
  const search = useJobSearch();
  const step = job.steps.find(({ step_id }) => String(step_id) === search.step) ?? currentStep(job);
  const isOpen = step !== undefined && step.started_us !== null && !isFinished(step.status);
  const read = useJobHosts(job.job_id, step?.step_id, isOpen, JSON.stringify([step?.counts, step?.attempt, step?.status]));
  const hosts = read.data;
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const choose = useCallback((keys: readonly string[], isChosen: boolean) => {
    setChosen((before) => {
      const next = new Set(before);
      for (const key of keys) if (isChosen) next.add(key); else next.delete(key);
      return next;
    });
  }, []);
  const clear = () => setChosen(new Set());
  const [said, act] = useDeed(() => {
    clear();
    onDone();
    void read.refetch();
  });
  const { outcome, q = "" } = search;
  const groups = useMemo(() => groupsOf((hosts ?? []).filter((host) => (outcome === undefined || hostState(host.status) === outcome) && showsHost(host, q))), [hosts, outcome, q]);
  const shown = useMemo(() => groups.flatMap((group) => group.hosts), [groups]);
  const opened = search.host === undefined ? undefined : hosts?.find((host) => keyOf(host) === search.host);
  const open = useCallback((key: string) => search.set({ host: key }), [search.set]);
  return (
    <div className="job-split">
      <div className="pane jobs one-job">
        <Title job={job} step={step} chosen={chosenOf(hosts, chosen)} act={act} />
        <div className="body">
          <DeedSaid said={said} />
          <Warnings of={job.warnings} />
          <Callbacks job={job.job_id} isOpen={!isFinished(job.status)} />
          {step && job.steps.length > 1 && <Steps job={job} current={step} search={search} />}
          {step && <Outcomes step={step} search={search} />}
          {read.error && <ProblemNotice error={read.error} onRetry={() => void read.refetch()} />}
          {!hosts && !read.error && <p className="notice dim">{t("loading")}</p>}
          {hosts && search.view === undefined && shown.length === 0 && <p className="notice dim">{t(hosts.length === 0 ? "jobs.no-hosts" : "jobs.no-hosts-so")}</p>}
          {step && search.view === "script" && <Script job={job} step={step} />}
          {step && search.view === "shapes" && <Shapes job={job.job_id} step={step} hosts={hosts ?? []} onOpen={open} />}
          {search.view === undefined && shown.length > 0 && (
            <>
              <HostGroups groups={groups} step={step} opened={search.host} onOpen={open} />
              <HostList hosts={shown} opened={search.host} chosen={chosen} onOpen={open} onChoose={choose} />
            </>
          )}
        </div>
      </div>
      {search.host !== undefined && !hosts && !read.error && <aside className="host-panel" aria-busy="true" />}
      {opened && step && <HostPanel key={`${step.step_id} ${search.host}`} job={job} step={step} host={opened} hosts={hosts ?? []} act={act} onClose={() => search.set({ host: undefined })} />}
    </div>
  );
}

/** Returns the numbers of the selected hosts that exist. */
function chosenOf(hosts: readonly JobHost[] | undefined, chosen: ReadonlySet<string>): number[] {
  return (hosts ?? []).flatMap((host) => (host.host_id !== null && chosen.has(keyOf(host)) ? [host.host_id] : []));
}

/** The name and status of the job, its facts, and its actions. */
function Title({ job, step, chosen, act }: { job: Job; step: JobStep | undefined; chosen: readonly number[]; act: (deed: () => Promise<string | void>) => void }) {
  return (
    <ItemHead
      back={{ to: "/tasks/jobs", label: t("jobs.all") }}
      mark={<JobState status={job.status} />}
      title={<Name text={job.name} />}
      facts={[
        step ? t("jobs.count", { count: totalOf(step.counts) }) : "",
        job.account === null ? t("jobs.account.own") : t("jobs.account.of", { account: visible(job.account) }),
        t("jobs.started", { time: clock(job.started_us ?? job.created_us) }),
        <span translate="no">{visible(job.by)}</span>,
        job.follows === null ? "" : <Other job={job.follows} text={t("jobs.follows", { job: job.follows })} />,
        job.followed_by === null ? "" : <Other job={job.followed_by} text={t("jobs.followed-by", { job: job.followed_by })} />,
        job.started_us === null ? "" : <Duration process={timesOf(job)} />,
      ]}
    >
      <Link to="/tasks/$root" params={{ root: job.root_id }} className="quiet">
        {t("jobs.tree")}
      </Link>
      <Link to="/tasks/jobs" search={{ tab: "new", again: String(job.job_id) }} className="quiet">
        {t("jobs.again")}
      </Link>
      {step && <Actions job={job} step={step} chosen={chosen} act={act} />}
    </ItemHead>
  );
}

/** A link to the job before or after this one. */
function Other({ job, text }: { job: number; text: string }) {
  return (
    <Link to="/tasks/jobs" search={{ job: String(job) }} className="link">
      {text}
    </Link>
  );
}

function Steps({ job, current, search }: { job: Job; current: JobStep; search: JobSearch }) {
  return (
    <nav className="steps" aria-label={t("jobs.steps")}>
      {job.steps.map((step, index) => (
        <Button key={step.step_id} data-state={jobState(step.status)} aria-current={step === current ? "step" : undefined} onClick={() => search.set({ step: String(step.step_id), host: undefined, outcome: undefined })}>
          <span className="dim">{index + 1}</span> <StateMark state={jobState(step.status)} /> <span translate="no">{visible(step.name)}</span>
        </Button>
      ))}
    </nav>
  );
}

/** Buttons that show the hosts with one outcome, with their numbers, and the filter. */
function Outcomes({ step, search: { outcome, view, q, set } }: { step: JobStep; search: JobSearch }) {
  const sums = outcomesOf(step.counts);
  const shown = OUTCOMES.filter((each) => sums[each] > 0 || each === outcome);
  const button = (each: Outcome | undefined, text: string, number: number) => (
    <Button key={text} data-state={each} aria-pressed={view === undefined && outcome === each} onClick={() => set({ view: undefined, outcome: outcome === each ? undefined : each })}>
      {each && <StateMark state={each} />} <span className="word">{text}</span> <span className="number">{count(number)}</span>
    </Button>
  );
  return (
    <search className="filters">
      <div className="states" role="group" aria-label={t("jobs.column.results")}>
        {button(undefined, t("jobs.hosts"), totalOf(step.counts))}
        {shown.map((each) => button(each, t(`jobs.outcome.${each}`), sums[each]))}
        {VIEWS.map((each) => (
          <Button key={each} aria-pressed={view === each} onClick={() => set({ view: view === each ? undefined : each, outcome: undefined, host: undefined })}>
            <span className="word">{t(`jobs.view.${each}`)}</span>
          </Button>
        ))}
      </div>
      <FilterField value={q} label={t("jobs.filter.host")} onChange={(text) => set({ q: text })} />
    </search>
  );
}

function Gone({ id }: { id: number }) {
  return (
    <div className="notice">
      <h2>{t("jobs.gone", { job: id })}</h2>
      <Link to="/tasks/jobs" className="link">
        {t("jobs.all")}
      </Link>
    </div>
  );
}
