import type { Root } from "../api/types.ts";
import { useWorker } from "../data/workers/useWorker.ts";
import { locale } from "../i18n.ts";
import { duration } from "../model/time.ts";
import { Duration } from "./Time.tsx";

/** Duration of a run; for a lost one, its known minimum. */
export function Took({ root }: { root: Root }) {
  const worker = useWorker(root.worker_id);
  const leastUs = root.state === "lost" && root.elapsed_ns === null && root.started_us !== null && worker ? worker.last_seen_us - root.started_us : 0;
  if (leastUs <= 0) return <Duration process={root} />;
  return <span className="number">≥ {duration(leastUs * 1000, locale)}</span>;
}
