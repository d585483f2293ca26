/** Outages over time: the periods with active alerts of each subject. */

export interface Firing {
  id: number;
  subject: string;
  cause: string;
  since_us: number;
  resolved_us: number | null;
}

export interface Outage {
  id: number;
  cause: string;
  /** Start and end, limited to the displayed period. */
  fromUs: number;
  untilUs: number;
  /** True if it continues. */
  isFiring: boolean;
  /** Position in the displayed period, in percent. */
  left: number;
  width: number;
}

export interface Lane {
  subject: string;
  outages: Outage[];
  /** Total duration of the outages; overlapping time is counted once. */
  totalUs: number;
}

/** Returns the lanes of a period, those with the latest outage first; outages of a lane are sorted oldest first. */
export function lanesOf(alerts: readonly Firing[], fromUs: number, nowUs: number): Lane[] {
  const lanes = new Map<string, Outage[]>();
  for (const { id, subject, cause, since_us, resolved_us } of alerts) {
    const begin = Math.max(since_us, fromUs);
    const end = Math.min(resolved_us ?? nowUs, nowUs);
    if (end < fromUs || begin > nowUs) continue;
    const untilUs = Math.max(begin, end);
    const percent = (us: number) => (100 * us) / (nowUs - fromUs);
    const outage = { id, cause, fromUs: begin, untilUs, isFiring: resolved_us === null, left: percent(begin - fromUs), width: percent(untilUs - begin) };
    const lane = lanes.get(subject);
    if (lane) lane.push(outage);
    else lanes.set(subject, [outage]);
  }
  const last = (outages: readonly Outage[]) => Math.max(...outages.map(({ untilUs }) => untilUs));
  return [...lanes]
    .map(([subject, outages]) => {
      outages.sort((a, b) => a.fromUs - b.fromUs || a.id - b.id);
      return { subject, outages, totalUs: covered(outages) };
    })
    .sort((a, b) => last(b.outages) - last(a.outages) || (a.subject < b.subject ? -1 : 1));
}

/** Returns the time covered by outages, which are sorted oldest first. */
function covered(outages: readonly Outage[]): number {
  let total = 0;
  let until = -Infinity;
  for (const { fromUs, untilUs } of outages) {
    total += Math.max(0, untilUs - Math.max(fromUs, until));
    until = Math.max(until, untilUs);
  }
  return total;
}
