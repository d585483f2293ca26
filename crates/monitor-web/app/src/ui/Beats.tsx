import { beatsOf } from "../data/workers/live.ts";
import type { Worker } from "../api/types.ts";
import { t } from "../i18n.ts";
import { beatStrip } from "../model/workers.ts";
import { useNow } from "./now.ts";
import "./beats.css";

const CELLS = 20;

/** The worker's last heartbeats as received by this page: a cell per interval, empty if no heartbeat arrived. */
export function Beats({ worker }: { worker: Worker }) {
  const nowUs = useNow(worker.state === "online" ? "slow" : "never");
  const strip = beatStrip(beatsOf(worker.id), worker, nowUs || worker.last_seen_us, CELLS);
  if (strip.length === 0) return null;
  const heard = strip.filter((cell) => cell === "heard").length;
  return (
    <span className="beats" role="img" aria-label={t("workers.beats", { heard, of: strip.length })} title={t("workers.beats", { heard, of: strip.length })}>
      {strip.map((cell, index) => (
        <i key={index} data-beat={cell} />
      ))}
    </span>
  );
}
