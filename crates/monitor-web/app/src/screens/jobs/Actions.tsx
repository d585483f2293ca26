import { useState } from "react";
import type { Job, JobOperate, JobStep } from "../../api/types.ts";
import { operateJob } from "../../api/jobs.ts";
import { t } from "../../i18n.ts";
import { type Operation, type Possible, canRetry, possible } from "../../model/jobs.ts";
import { Button } from "../../ui/Button.tsx";
import { Dialog } from "../../ui/Dialog.tsx";
import { Menu } from "../../ui/Menu.tsx";
import { JobButton, WhyRefused } from "../../ui/OperatorButton.tsx";
import { Icon, ICONS } from "../../ui/Icon.tsx";

/** Operations that happen at once; the others ask first. */
const AT_ONCE: ReadonlySet<Operation> = new Set(["retry-failed", "retry-not-started", "continue", "confirm"]);
/** Operations next to the menu; the first of them is the main action. */
const BESIDE = 1;

interface Props {
  job: Job;
  step: JobStep;
  /** Numbers of the selected hosts. */
  chosen: readonly number[];
  act: (deed: () => Promise<string | void>) => void;
}

/** Buttons for all operations that are possible now. Selected hosts can be retried. */
export function Actions({ job, step, chosen, act }: Props) {
  const [asking, setAsking] = useState<Possible>();
  const send = (body: JobOperate) => act(() => operateJob(job.job_id, body).then(() => undefined));
  const go = (of: Possible) => (AT_ONCE.has(of.operation) ? send({ operation: of.operation, step_id: step.step_id }) : setAsking(of));
  const all = possible(job, step);
  const stop = all.find(({ operation }) => operation === "stop");
  const others = all.filter((of) => of !== stop);
  const isMain = (of: Possible) => AT_ONCE.has(of.operation);
  const [beside, rest] = [others.slice(0, BESIDE), others.slice(BESIDE)];
  return (
    <>
      {stop && (
        <JobButton className="quiet" onClick={() => go(stop)}>
          {t("jobs.do.stop")}
        </JobButton>
      )}
      {rest.length > 0 && (
        <Menu className="quiet" label={<><Icon d={ICONS.more} /> <span className="hidden">{t("batch.more")}</span></>}>
          {rest.map((of) => (
            <JobButton key={of.operation} data-choice onClick={() => go(of)}>
              {operationText(of)}
            </JobButton>
          ))}
          <WhyRefused right="jobs" />
        </Menu>
      )}
      {chosen.length > 0 && canRetry(job, step) ? (
        <JobButton className="primary" onClick={() => send({ operation: "retry-all", step_id: step.step_id, hosts: [...chosen] })}>
          {t("jobs.do.retry-chosen", { count: chosen.length })}
        </JobButton>
      ) : (
        beside.map((of) => (
          <JobButton key={of.operation} className={isMain(of) ? "primary" : "quiet"} onClick={() => go(of)}>
            {operationText(of)}
          </JobButton>
        ))
      )}
      {asking && (
        <Dialog label={operationText(asking)} className="ask" onClose={() => setAsking(undefined)}>
          <h2>{operationText(asking)}</h2>
          <p>{t(`jobs.ask.${asking.operation}` as "jobs.ask.stop")}</p>
          <p className="buttons">
            <Button className="outlined danger" onClick={() => {
                send({ operation: asking.operation, step_id: step.step_id });
                setAsking(undefined);
              }}>
              {operationText(asking)}
            </Button>
            <Button className="outlined" autoFocus onClick={() => setAsking(undefined)}>
              {t("jobs.ask.not")}
            </Button>
          </p>
        </Dialog>
      )}
    </>
  );
}

function operationText({ operation, count = 0 }: Possible): string {
  return t(`jobs.do.${operation}`, { count });
}
