import type { JobHost, JobResult, JobStep } from "../../api/types.ts";
import { t } from "../../i18n.ts";
import { keyOf } from "../../model/jobs.ts";
import { visible, visibleLines } from "../../model/text.ts";
import { Button } from "../../ui/Button.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { useJobResult } from "./useJobs.ts";

/** Number of hosts that are named of each shape, and of messages. */
const MOST_NAMES = 20;
const MOST_MESSAGES = 200;

/** The hosts of a step grouped by their output, and the messages in it. Numbers in the output make no difference. */
export function Shapes({ job, step, hosts, onOpen }: { job: number; step: JobStep; hosts: readonly JobHost[]; onOpen: (key: string) => void }) {
  const { data, error, refetch } = useJobResult(job, step.step_id, JSON.stringify([step.counts, step.attempt]));
  if (error) return <ProblemNotice error={error} onRetry={() => void refetch()} />;
  if (data === undefined) return <p className="notice dim">{t("loading")}</p>;
  const byId = new Map(hosts.map((host) => [host.host_id, host]));
  return (
    <section className="job-shapes">
      {data.shapes.length === 0 && <p className="notice dim">{t("jobs.shapes.none")}</p>}
      {data.messages.some(({ level }) => level !== "normal") && <Messages of={data} />}
      {data.shapes.map(({ hosts: numbers, example }) => (
        <article key={numbers[0]} className="shape">
          <h2>{t("jobs.shapes.of", { count: numbers.length })}</h2>
          <p>
            {numbers.slice(0, MOST_NAMES).map((number) => {
              const host = byId.get(number);
              return (
                host && (
                  <Button key={number} className="quiet" translate="no" onClick={() => onOpen(keyOf(host))}>
                    {visible(host.name)}
                  </Button>
                )
              );
            })}
            {numbers.length > MOST_NAMES && <span className="dim">{t("jobs.shapes.more", { count: numbers.length - MOST_NAMES })}</span>}
          </p>
          {example === "" ? <p className="dim">{t("jobs.output.empty")}</p> : <pre className="mono" translate="no" tabIndex={0}>{visibleLines(example)}</pre>}
        </article>
      ))}
      {data.is_cut && <p className="notice dim">{t("jobs.shapes.cut")}</p>}
    </section>
  );
}

/** Errors and warnings that scripts have reported in their output. */
function Messages({ of: { messages } }: { of: JobResult }) {
  const shown = messages.filter(({ level }) => level !== "normal");
  return (
    <article className="shape">
      <h2>{t("jobs.messages", { count: shown.length })}</h2>
      <ul className="messages">
        {shown.slice(0, MOST_MESSAGES).map(({ host_id, host, level, module, item, text }, place) => (
          <li key={`${host_id} ${place}`}>
            <b translate="no">{visible(host)}</b> <span className={level === "error" ? "bad" : "dim"}>{t(`jobs.message.${level}`)}</span>{" "}
            <span translate="no">{[module, item, text].filter((part) => part !== "").map(visible).join(" · ")}</span>
          </li>
        ))}
        {shown.length > MOST_MESSAGES && <li className="dim">{t("jobs.preview.more", { count: shown.length - MOST_MESSAGES })}</li>}
      </ul>
    </article>
  );
}
