import type { Job, JobStep } from "../../api/types.ts";
import { t } from "../../i18n.ts";
import { targetsText } from "../../model/job-draft.ts";
import { visible, visibleLines } from "../../model/text.ts";
import { CopyButton } from "../../ui/CopyButton.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { useJobRequest } from "./useJobs.ts";

/** The script of a step, with its arguments, variables and limits. */
export function Script({ job, step }: { job: Job; step: JobStep }) {
  const { data, error, refetch } = useJobRequest(job.job_id);
  if (error) return <ProblemNotice error={error} onRetry={() => void refetch()} />;
  const of = data?.steps[job.steps.indexOf(step)];
  if (data === undefined || of === undefined) return <p className="notice dim">{t("loading")}</p>;
  const pairs = (map: Readonly<Record<string, string>> = {}) => Object.entries(map).map(([name, value]) => `${name}=${value}`).join("\n");
  const secrets = Object.entries(of.secrets ?? {}).map(([name, source]) => `${name} ← ${Object.entries(source).map(([kind, place]) => `${kind} ${place}`).join("")}`);
  const saved = (data.targets?.saved ?? []).join(", ");
  const facts = [
    ["args", (of.args ?? []).join("\n")],
    ["env", pairs(of.env)],
    ["secrets", secrets.join("\n")],
    ["timeout", of.timeout ?? ""],
    ["rolling", data.rolling?.expression ?? ""],
    ["targets", targetsText(data.targets ?? {})],
    ["saved", saved],
  ] as const;
  return (
    <section className="job-script">
      <h2>
        {t("jobs.field.script")} <span className="dim">{t(`jobs.language.${of.language ?? "shell"}`)}</span> <CopyButton text={of.script} />
      </h2>
      <pre className="mono" translate="no" tabIndex={0}>
        {visibleLines(of.script)}
      </pre>
      {of.is_param_sensitive === true && <p className="dim">{t("jobs.script.sensitive")}</p>}
      <dl>
        {facts.map(
          ([name, value]) =>
            value !== "" && (
              <div key={name}>
                <dt>{t(`jobs.script.${name}`)}</dt>
                <dd className="lines" translate="no">
                  {visibleLines(value)}
                </dd>
              </div>
            ),
        )}
        {data.then?.failed?.job && (
          <div>
            <dt>{t("jobs.field.ifFailed")}</dt>
            <dd className="lines mono" translate="no">
              {data.then.failed.job.steps.map(({ script }) => visible(script)).join("\n")}
            </dd>
          </div>
        )}
      </dl>
    </section>
  );
}
