import { Link } from "@tanstack/react-router";
import { useEffect, useRef } from "react";
import { operateJob } from "../../api/jobs.ts";
import type { Job, JobHost, JobStep } from "../../api/types.ts";
import { bytes, count, t } from "../../i18n.ts";
import { canRetry, hostState } from "../../model/jobs.ts";
import { visible } from "../../model/text.ts";
import { absolute, zoneName } from "../../model/time.ts";
import { Button } from "../../ui/Button.tsx";
import { Icon, ICONS } from "../../ui/Icon.tsx";
import { JobButton } from "../../ui/OperatorButton.tsx";
import { StateMark } from "../../ui/StateMark.tsx";
import { Said } from "../../ui/Text.tsx";
import { Duration } from "../../ui/Time.tsx";
import { HostOutput } from "./HostOutput.tsx";
import { durationOf, hostWord, timesOf } from "./parts.tsx";

interface Props {
  job: Job;
  step: JobStep;
  host: JobHost;
  /** All hosts of the step. */
  hosts: readonly JobHost[];
  act: (deed: () => Promise<string | void>) => void;
  onClose: () => void;
}

/** One host of a step: its outcome with the reason, its output, and its times. Esc closes it. */
export function HostPanel({ job, step, host, hosts, act, onClose }: Props) {
  const close = useRef(onClose);
  close.current = onClose;
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      const isWritten = event.target instanceof HTMLInputElement && event.target.type === "search" && event.target.value !== "";
      if (event.key === "Escape" && !event.defaultPrevented && !isWritten) close.current();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, []);
  const { host_id } = host;
  const isRetryable = host_id !== null && canRetry(job, step);
  return (
    <aside className="host-panel" aria-label={visible(host.name)}>
      <header data-state={hostState(host.status)}>
        <StateMark state={hostState(host.status)} />
        <h2 translate="no">{visible(host.name)}</h2>
        <span className="dim" translate="no">
          {host.ip !== null && host.ip !== host.name && visible(host.ip)}
        </span>
        <Button className="close" aria-label={t("jobs.panel.close")} title={t("jobs.panel.close")} onClick={onClose}>
          <Icon d={ICONS.close} />
        </Button>
      </header>
      <Reason host={host} hosts={hosts} />
      <p className="panel-deeds">
        {isRetryable && (
          <JobButton className="quiet" onClick={() => act(() => operateJob(job.job_id, { operation: "retry-all", step_id: step.step_id, hosts: [host_id] }).then(() => undefined))}>
            {t("jobs.panel.retry")}
          </JobButton>
        )}
        <Link to="/tasks/$root" params={{ root: job.root_id }} search={{ filter: host.name }} className="quiet">
          {t("jobs.panel.tree")}
        </Link>
      </p>
      {host_id !== null && host.started_us !== null && <HostOutput key={host.attempt} job={job.job_id} host={host} id={host_id} />}
      <Facts host={host} step={step} />
    </aside>
  );
}

/** The outcome of the host, with the reason in red if it needs attention. */
function Reason({ host, hosts }: { host: JobHost; hosts: readonly JobHost[] }) {
  const state = hostState(host.status);
  const word = `${host.status} ${hostWord(host.status)}`;
  if (state === "succeeded" || state === "running" || state === "pending") {
    return (
      <p className="dim">
        {word}
        {host.started_us !== null && (
          <>
            {" · "}
            <Duration process={timesOf(host)} />
          </>
        )}
      </p>
    );
  }
  const same = host.reason === null ? 0 : hosts.filter(({ reason, status }) => reason === host.reason && status === host.status).length;
  const facts = [
    ...(host.reason === null ? [] : [word]),
    ...(host.exit_code === null ? [] : [t("jobs.panel.exit", { code: host.exit_code })]),
    ...(host.started_us === null || host.ended_us === null ? [] : [t("jobs.panel.after", { duration: durationOf(host.ended_us - host.started_us) })]),
    ...(same > 1 ? [t("jobs.panel.same", { count: same })] : []),
  ];
  return (
    <div className="reason-box" data-state={state}>
      <b>{host.reason === null ? word : <span translate="no"><Said text={host.reason} /></span>}</b>
      <span className="dim">{facts.join(" · ")}</span>
    </div>
  );
}

function Facts({ host, step }: { host: JobHost; step: JobStep }) {
  const time = (us: number | null) => (us === null ? null : <span className="number" title={zoneName(us)}>{absolute(us).slice(0, 23)}</span>);
  const facts = [
    ["step", visible(step.name)],
    ["attempt", count(host.attempt)],
    ["started", time(host.started_us)],
    ["ended", time(host.ended_us)],
    ["exit", host.exit_code],
    ["tag", host.tag === null ? null : visible(host.tag)],
    ["number", host.host_id],
    ["network", host.cloud_id === 0 ? null : host.cloud_id],
    ["output", host.output_bytes === 0 ? null : bytes(host.output_bytes)],
    ["omitted", host.omitted_bytes === 0 ? null : bytes(host.omitted_bytes)],
  ] as const;
  return (
    <section>
      <h3>{t("jobs.panel.facts")}</h3>
      <dl>
        {facts.map(([name, value]) => value !== null && (
          <div key={name}>
            <dt>{t(`jobs.fact.${name}`)}</dt>
            <dd translate="no">{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
