import { memo, type MouseEvent } from "react";
import type { JobHost, JobStep } from "../../api/types.ts";
import { count, t } from "../../i18n.ts";
import { type Group, keyOf } from "../../model/jobs.ts";
import { visible } from "../../model/text.ts";
import { clock } from "../../model/time.ts";
import { StateMark } from "../../ui/StateMark.tsx";
import { durationOf, hostWord } from "./parts.tsx";

interface Props {
  groups: readonly Group[];
  step: JobStep | undefined;
  /** Key of the opened host. */
  opened: string | undefined;
  onOpen: (key: string) => void;
}

/** The hosts of each status as squares. The list below has the same hosts for the keyboard and screen readers. */
export function HostGroups({ groups, step, opened, onOpen }: Props) {
  return (
    <section className="groups" aria-label={t("jobs.column.results")}>
      {groups.map((group) => (
        <div key={group.status} className="host-group" data-state={group.state} data-status={group.status}>
          <p>
            <StateMark state={group.state} />{" "}
            <b>
              <span className="number">{group.status}</span> {hostWord(group.status)}
            </b>{" "}
            <span className="dim">{factsOf(group, step)}</span>{" "}
            {group.reason !== undefined && (
              <span className="reason" title={visible(group.reason)} translate="no">
                {visible(group.reason)}
              </span>
            )}
          </p>
          <Squares hosts={group.hosts} status={group.status} opened={group.hosts.some((host) => keyOf(host) === opened) ? opened : undefined} onOpen={onOpen} />
        </div>
      ))}
    </section>
  );
}

/** Returns the number of hosts of a group, and facts: time of the first loss, median duration, current batch, or number of hosts with the same reason. */
function factsOf({ hosts, status, state, same, medianUs }: Group, step: JobStep | undefined): string {
  const facts = [t("jobs.count", { count: hosts.length })];
  const ends = hosts.flatMap(({ ended_us }) => ended_us ?? []);
  const [batch = 1, batches = 1] = step?.batch ?? [];
  if (status === 310 && ends.length > 0) facts.push(t("jobs.since", { time: clock(ends.reduce((least, end) => Math.min(least, end))) }));
  if (state === "succeeded" && medianUs !== undefined) facts.push(t("jobs.median", { duration: durationOf(medianUs) }));
  if (state === "pending" && batches > 1) facts.push(t("jobs.batch", { batch, batches }));
  if (same > 0 && same < hosts.length) facts.push(t("jobs.same", { count: same }));
  return facts.join(" · ");
}

const Squares = memo(
  function Squares({ hosts, status, opened, onOpen }: { hosts: readonly JobHost[]; status: number; opened: string | undefined; onOpen: (key: string) => void }) {
    const click = ({ target }: MouseEvent) => {
      const key = target instanceof HTMLElement ? target.dataset["host"] : undefined;
      if (key !== undefined) onOpen(key);
    };
    return (
      <div className="squares" role="img" aria-label={`${hostWord(status)}: ${count(hosts.length)}`} onClick={click}>
        {hosts.map((host) => (
          <i key={keyOf(host)} data-host={keyOf(host)} data-opened={keyOf(host) === opened || undefined} translate="no" title={host.ip === null ? visible(host.name) : `${visible(host.name)} ${visible(host.ip)}`} />
        ))}
      </div>
    );
  },
  (before, after) => before.opened === after.opened && before.onOpen === after.onOpen && before.hosts.length === after.hosts.length && before.hosts.every((host, at) => keyOf(host) === keyOf(after.hosts[at]!)),
);
