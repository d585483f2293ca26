import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { type InputHTMLAttributes, type ReactNode, useDeferredValue, useEffect, useRef, useState } from "react";
import type { JobPreview, JobRequest } from "../../api/types.ts";
import { previewJob, startJob } from "../../api/jobs.ts";
import { count, t } from "../../i18n.ts";
import { draftOf, EMPTY, type Hidden, hiddenOf, type JobDraft, LANGUAGES, MODES, missingOf, mistakesOf, requestOf } from "../../model/job-draft.ts";
import { visible, visibleLines } from "../../model/text.ts";
import { ItemHead } from "../../ui/Head.tsx";
import { Input } from "../../ui/Input.tsx";
import { JobButton, WhyRefused } from "../../ui/OperatorButton.tsx";
import { ProblemNotice, problemText } from "../../ui/Problem.tsx";
import { Warnings } from "./parts.tsx";
import { useHosts, useJobRequest, useSavedTargets } from "./useJobs.ts";
import { useJobSearch } from "./useJobSearch.ts";

const SETTLED_MS = 400;
const MOST_SHOWN = 100;

const PLACEHOLDERS: Partial<Record<keyof JobDraft, string>> = {
  name: "disk check",
  script: "#!/bin/sh\ndf -h /",
  args: "--path\n/var/log",
  hosts: "web-* 10.0.0.7",
  groups: "eu-west",
  tags: "env=prod,!canary",
  saved: "web-prod",
  account: "app",
  timeout: "10m",
  rolling: "1 10% +10",
  stopAfter: "5%",
  retryFailed: "2",
  ifFailed: "./restore.sh",
};

/** Returns a new id for a request. Repeated requests with the same id start one job. */
function newRequestId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The form for a new job, which can repeat another one. */
export function NewJob() {
  const { host, saved, again } = useJobSearch();
  const { data, error, refetch } = useJobRequest(again === undefined ? undefined : Number(again));
  if (again === undefined) return <JobForm first={{ ...EMPTY, hosts: host ?? "", saved: saved ?? "" }} />;
  if (error) return <ProblemNotice error={error} onRetry={() => void refetch()} />;
  if (data === undefined) return <p className="notice dim">{t("loading")}</p>;
  return <JobForm key={again} first={draftOf(data)} base={data} again={again} />;
}

/** The fields of a job, and the hosts that can run it. `base` is the request of the job that is repeated. */
function JobForm({ first, base, again }: { first: JobDraft; base?: JobRequest; again?: string }) {
  const [draft, setDraft] = useState(first);
  const [refused, setRefused] = useState<string>();
  const [isSending, setIsSending] = useState(false);
  const request = useRef(newRequestId());
  const navigate = useNavigate();
  const missing = missingOf(draft);
  const preview = usePreview(draft, base);
  const mistakes = mistakesOf(refused ?? (preview.error && missing.length === 0 ? problemText(preview.error) : ""));
  const change = (key: keyof JobDraft, value: string) => {
    setDraft({ ...draft, [key]: value });
    setRefused(undefined);
    request.current = newRequestId();
  };
  const start = async () => {
    setIsSending(true);
    try {
      const { job_id } = await startJob({ ...requestOf(draft, base), request_id: request.current });
      await navigate({ to: "/tasks/jobs", search: { job: String(job_id) } });
    } catch (error) {
      setRefused(problemText(error));
      setIsSending(false);
    }
  };
  const props = (key: keyof JobDraft) => ({ id: `job-${key}`, value: draft[key], placeholder: PLACEHOLDERS[key], spellCheck: false, translate: "no" as const, "aria-describedby": `job-${key}-hint`, "aria-invalid": mistakes.fields[key] !== undefined, onChange: (event: { target: { value: string } }) => change(key, event.target.value) });
  const field = (key: keyof JobDraft, more: InputHTMLAttributes<HTMLInputElement> = {}) => (
    <Field name={key} mistake={mistakes.fields[key]}>
      <Input {...props(key)} {...more} />
    </Field>
  );
  return (
    <div className="pane jobs new-job">
      <Title />
      <div className="body">
        {base && again !== undefined && <Repeated job={again} hidden={hiddenOf(base)} />}
        <div className="two">
          <form
            className="edit"
            onSubmit={(event) => {
              event.preventDefault();
              if (missing.length === 0) void start();
            }}
          >
            <Field name="script" mistake={mistakes.fields.script}>
              <textarea {...props("script")} rows={8} className="mono" autoFocus />
            </Field>
            <Field name="language" mistake={mistakes.fields.language}>
              <select {...props("language")} translate="yes">
                {LANGUAGES.map((language) => (
                  <option key={language} value={language}>
                    {t(`jobs.language.${language}`)}
                  </option>
                ))}
              </select>
            </Field>
            <Field name="args" mistake={mistakes.fields.args}><textarea {...props("args")} rows={2} className="mono" /></Field>
            {field("hosts", { list: "job-known-hosts" })}
            <KnownHosts />
            {field("groups")}
            {field("tags")}
            {field("saved", { list: "job-saved-targets" })}
            <KnownTargets />
            {field("account")}
            {field("timeout")}
            {field("rolling")}
            {draft.rolling.trim() !== "" && (
              <>
                <Field name="mode" mistake={mistakes.fields.mode}>
                  <select {...props("mode")} translate="yes">
                    {MODES.map((mode) => (
                      <option key={mode} value={mode}>
                        {t(`jobs.mode.${mode}`)}
                      </option>
                    ))}
                  </select>
                </Field>
                {field("stopAfter")}
              </>
            )}
            {field("retryFailed", { type: "number", min: 0, max: 100 })}
            <Field name="ifFailed" mistake={mistakes.fields.ifFailed}><textarea {...props("ifFailed")} rows={2} className="mono" /></Field>
            {field("name")}
            {mistakes.others.length > 0 && (
              <p className="bad lines" role="alert">
                {mistakes.others.map(visible).join("\n")}
              </p>
            )}
            <Start missing={missing} able={preview.data?.able.length} isSending={isSending} onStart={() => void start()} />
          </form>
          <section className="preview side" aria-live="polite">
            <h2>{t("jobs.preview")}</h2>
            {missing.length > 0 ? <p className="dim">{t("jobs.preview.why")}</p> : preview.error ? <p className="dim">{t("jobs.preview.mistakes")}</p> : preview.data ? <Preview of={preview.data} /> : <p className="dim">{t("loading")}</p>}
          </section>
        </div>
      </div>
    </div>
  );
}

/** Names the repeated job, and what of it the form doesn't show. */
function Repeated({ job, hidden }: { job: string; hidden: readonly Hidden[] }) {
  return (
    <p className="notice dim">
      <Link to="/tasks/jobs" search={{ job }} className="link">
        {t("jobs.again.of", { job })}
      </Link>
      {hidden.length > 0 && ` ${t("jobs.again.hidden", { parts: hidden.map((each) => t(`jobs.again.${each}`)).join(", ") })}`}
    </p>
  );
}

function Title() {
  return (
    <ItemHead back={{ to: "/tasks/jobs", label: t("jobs.all") }} title={t("jobs.new")}>
      <WhyRefused right="jobs" />
    </ItemHead>
  );
}

/** The button that starts the job, and the missing fields. */
function Start({ missing, able, isSending, onStart }: { missing: ReturnType<typeof missingOf>; able: number | undefined; isSending: boolean; onStart: () => void }) {
  return (
    <p className="buttons">
      <JobButton className="primary" disabled={missing.length > 0 || isSending} onClick={onStart}>
        {able === undefined ? t("jobs.start") : t("jobs.start.on", { count: able })}
      </JobButton>
      {missing.length > 0 && <span className="dim">{missing.map((each) => t(`jobs.missing.${each}`)).join(" ")}</span>}
    </p>
  );
}

/** Requests a preview of the job after the user has stopped typing. */
function usePreview(draft: JobDraft, base: JobRequest | undefined) {
  const [settled, setSettled] = useState(draft);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(draft), SETTLED_MS);
    return () => clearTimeout(timer);
  }, [draft]);
  const body = useDeferredValue(JSON.stringify(requestOf(settled, base)));
  return useQuery({
    queryKey: ["job-preview", body],
    queryFn: ({ signal }) => previewJob(requestOf(settled, base), signal),
    enabled: missingOf(settled).length === 0,
    staleTime: 0,
    gcTime: 0,
    retry: false,
    placeholderData: (before) => before,
  });
}

function KnownHosts() {
  const { data } = useHosts();
  return (
    <datalist id="job-known-hosts">
      {data?.hosts.slice(0, MOST_SHOWN).map(({ id, name }) => (
        <option key={id} value={name} />
      ))}
    </datalist>
  );
}

function KnownTargets() {
  const { data } = useSavedTargets();
  return (
    <datalist id="job-saved-targets">
      {data?.targets.map(({ name }) => (
        <option key={name} value={name} />
      ))}
    </datalist>
  );
}

function Field({ name, mistake, children }: { name: keyof JobDraft; mistake: string | undefined; children: ReactNode }) {
  return (
    <div className="field">
      <label htmlFor={`job-${name}`}>{t(`jobs.field.${name}`)}</label>
      <div>
        {children}
        {mistake !== undefined && (
          <p className="bad lines" role="alert">
            {visibleLines(mistake)}
          </p>
        )}
        <p id={`job-${name}-hint`} className="dim hint">
          {t(`jobs.hint.${name}`)}
        </p>
      </div>
    </div>
  );
}

/** The rules that the job matches, the hosts that can't run it with the reason, the hosts that can, and the batches. */
function Preview({ of: { able, unable, batches, warnings } }: { of: JobPreview }) {
  return (
    <>
      <Warnings of={warnings} />
      {unable.length > 0 && (
        <>
          <h3 className="bad">{t("jobs.preview.unable", { count: unable.length })}</h3>
          <ul className="unable">
            {unable.slice(0, MOST_SHOWN).map(({ host_id, name, reason }) => (
              <li key={`${host_id} ${name}`}>
                <b translate="no">{visible(name)}</b> <span className="bad">{visible(reason ?? "")}</span>
              </li>
            ))}
            {unable.length > MOST_SHOWN && <li className="dim">{t("jobs.preview.more", { count: unable.length - MOST_SHOWN })}</li>}
          </ul>
        </>
      )}
      <h3>{t("jobs.preview.able", { count: able.length })}</h3>
      <p className="able dim" translate="no">
        {able.slice(0, MOST_SHOWN).map(({ name }) => visible(name)).join(", ")}
        {able.length > MOST_SHOWN && " …"}
      </p>
      {batches.length > 1 && (
        <>
          <h3>{t("jobs.preview.batches", { count: batches.length })}</h3>
          <p className="dim number">{batches.map((size) => count(size)).join(" → ")}</p>
        </>
      )}
    </>
  );
}
