import { useMutation, useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { cancelTree } from "../../../api/cancel.ts";
import type { Cancelled, CommandLine } from "../../../api/types.ts";
import { t, wordText } from "../../../i18n.ts";
import { type GoesOn, goesOn, toBeTold } from "../../../model/cancelled.ts";
import { visible } from "../../../model/text.ts";
import { announce } from "../../../ui/announce.ts";
import { Button } from "../../../ui/Button.tsx";
import { Dialog } from "../../../ui/Dialog.tsx";
import { ProblemNotice } from "../../../ui/Problem.tsx";
import { Name } from "../../../ui/Text.tsx";
import "./cancel.css";

/** Maximum number of names on one line. */
const MOST_NAMES = 6;

interface Props {
  root: string;
  /** The process that is cancelled with its descendants; the whole tree if unset. */
  process?: string | undefined;
  name: string;
  onClose: () => void;
}

/**
 * Asks for confirmation before a tree or a part of it is cancelled: shows the affected processes and workers, cancels, and shows the
 * result.
 */
export default function CancelDialog({ root, process, name, onClose }: Props) {
  const tried = useQuery({ queryKey: ["cancel", root, process], queryFn: () => cancelTree(root, process, true), staleTime: 0, gcTime: 0, retry: false });
  const doing = useMutation({
    mutationFn: () => cancelTree(root, process, false),
    onSuccess: (done) => announce("cancel", t("cancel.ended", { count: done.meant - done.running })),
  });
  const error = doing.error ?? tried.error;
  const title = t(process === undefined ? "cancel.ask.root" : "cancel.ask.process");
  return (
    <Dialog label={title} className="ask cancel" onClose={onClose}>
      <h2>{title}</h2>
      <p>
        <Name text={name} />
      </p>
      {error && <ProblemNotice error={error} onRetry={() => (doing.error ? doing.mutate() : void tried.refetch())} />}
      {doing.data ? <Done done={doing.data} /> : tried.data && !error && <Plan plan={tried.data} />}
      {tried.isPending && <p className="dim">{t("loading")}</p>}
      {doing.isPending && (
        <p className="dim" role="status">
          {t("cancel.waits")}
        </p>
      )}
      <p className="buttons">
        {!doing.data && !error && (tried.data?.meant ?? 0) > 0 && (
          <Button className="outlined danger" disabled={doing.isPending} onClick={() => doing.mutate()}>
            {t("cancel.do", { count: tried.data?.meant ?? 0 })}
          </Button>
        )}
        <Button className="outlined" autoFocus onClick={onClose}>
          {t(doing.data || doing.isPending || tried.data?.meant === 0 ? "cancel.close" : "cancel.not")}
        </Button>
      </p>
    </Dialog>
  );
}

/** The processes that would end, and the workers that would be notified. */
function Plan({ plan }: { plan: Cancelled }) {
  const { told, mute } = toBeTold(plan);
  const pending = plan.still.filter(({ state }) => state === "pending").length;
  if (plan.meant === 0) return <p>{t("cancel.nothing")}</p>;
  return (
    <>
      <p className="count">{t("cancel.meant", { count: plan.meant })}</p>
      <Lines title={t("cancel.told", { count: told.length })} lines={told} />
      {mute.length > 0 && <Lines title={t("cancel.mute", { count: mute.length })} lines={mute} why={(line) => wordText("cancel.why", line.status)} />}
      {pending > 0 && <p>{t("cancel.pending", { count: pending })}</p>}
      <p className="dim">{t("cancel.how")}</p>
    </>
  );
}

function Lines({ title, lines, why }: { title: string; lines: readonly CommandLine[]; why?: (line: CommandLine) => ReactNode }) {
  return (
    <>
      <h3>{title}</h3>
      <ul>
        {lines.map((line) => (
          <li key={line.name}>
            <WorkerName line={line} />
            {why && <span className="dim">{why(line)}</span>}
          </li>
        ))}
      </ul>
    </>
  );
}

function WorkerName({ line }: { line: CommandLine }) {
  return (
    <span className="mono" translate="no">
      {visible(line.name)}
    </span>
  );
}

/** The ended processes, and those that continue with the reason. */
function Done({ done }: { done: Cancelled }) {
  const left = done.running - done.still.length;
  return (
    <div role="status">
      <p className="count">{t("cancel.ended", { count: Math.max(0, done.meant - done.running) })}</p>
      {done.running > 0 && (
        <>
          <h3>{t("cancel.goes-on", { count: done.running })}</h3>
          <ul>
            {goesOn(done).map((group) => (
              <Rest key={`${group.why} ${group.line?.worker_id}`} group={group} />
            ))}
            {left > 0 && <li className="dim">{t("cancel.more", { count: left })}</li>}
          </ul>
        </>
      )}
    </div>
  );
}

function Rest({ group: { why, line, processes } }: { group: GoesOn }) {
  const beyond = processes.length - MOST_NAMES;
  return (
    <li data-why={why}>
      <span>
        {line && <WorkerName line={line} />} {wordText("cancel.why", why)}
      </span>
      {/* For a worker that accepts no commands, the status is sufficient. */}
      {line?.error != null && why !== "unsupported" && (
        <span className="dim" translate="no">
          {visible(line.error)}
        </span>
      )}
      <span className="dim" translate="no">
        {processes.slice(0, MOST_NAMES).map(({ name }) => visible(name)).join(", ")}
      </span>
      {beyond > 0 && <span className="dim">{t("cancel.more", { count: beyond })}</span>}
    </li>
  );
}
