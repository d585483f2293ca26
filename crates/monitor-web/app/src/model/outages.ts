/** Outages over time: for each subject, when its alerts fired. */

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
  /** Both within the time that is looked at. */
  fromUs: number;
  untilUs: number;
  /** It still lasts. */
  isFiring: boolean;
  /** Where it stands in that time, in percent. */
  left: number;
  width: number;
}

export interface Lane {
  subject: string;
  outages: Outage[];
  /** How long something was out, each moment counted once. */
  totalUs: number;
}

/** The lanes of a time, first those that were out last; within each the oldest outage first. */
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

/** The time that outages cover together; the oldest comes first. */
function covered(outages: readonly Outage[]): number {
  let total = 0;
  let until = -Infinity;
  for (const { fromUs, untilUs } of outages) {
    total += Math.max(0, untilUs - Math.max(fromUs, until));
    until = Math.max(until, untilUs);
  }
  return total;
}
