/** Kinds of lanes for tree and timeline. */
import { knownWorker } from "../../data/workers/live.ts";
import { t } from "../../i18n.ts";
import type { Origin } from "../../model/columns.ts";
import type { LaneName } from "../../model/lanes.ts";

/** With `tree` there is only one lane. */
export const LANES = ["tree", "thread", "worker", "host"] as const;
export type LaneKind = (typeof LANES)[number];

/** Returns the kind of lanes in the address. */
export function laneKindOf(asked: string | undefined): LaneKind {
  return LANES.find((each) => each === asked) ?? "tree";
}

/** Returns a function that determines the lane of a process. */
export function laneNames(kind: LaneKind): (origin: Origin) => LaneName {
  const worker = (origin: Origin) => (origin.worker_id === null ? undefined : knownWorker(origin.worker_id));
  switch (kind) {
    case "tree":
      return () => ({ key: "", label: "" });
    case "thread":
      return (origin) => ({ key: `${origin.worker_id} ${origin.thread}`, label: [origin.thread ?? t("lanes.unknown"), worker(origin)?.hostname, worker(origin)?.pid].filter(Boolean).join(" · ") });
    case "worker":
      return (origin) => ({ key: `${origin.worker_id}`, label: [worker(origin)?.program ?? t("lanes.unknown"), worker(origin)?.hostname, worker(origin)?.pid].filter(Boolean).join(" · ") });
    case "host":
      return (origin) => {
        const host = worker(origin)?.hostname ?? t("lanes.unknown");
        return { key: host, label: host };
      };
  }
}
