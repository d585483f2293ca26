/** The queues of a cluster of Celery, from the fields of its bridge's run. */

/** A queue of a cluster. */
export interface QueueDepth {
  name: string;
  /** Number of tasks that no worker has taken. */
  waiting: number;
  /** Number of workers that read the queue, if it is known. */
  consumers: number | undefined;
  /** Number of waiting tasks of each priority, the lowest number first. Empty if all have the same, or if it is not known. */
  priorities: readonly (readonly [priority: string, waiting: number])[];
  /** When the oldest waiting task was sent, if that is known. */
  oldestUs: number | undefined;
  /** Tasks that were sent in the last minute, and attempts that ended in it, if they are known. */
  lastMinute: { sent: number; ended: number } | undefined;
  /** The most waiting tasks in each of the last minutes, oldest first. `null` if they are not known. */
  recent: readonly (number | null)[];
}

/** Returns the queues in these fields, the longest first. */
export function queuesOf(fields: Readonly<Record<string, unknown>>): QueueDepth[] {
  const recent = record(fields["celery.queues.recent"]);
  return Object.entries(record(fields["celery.queues"]))
    .flatMap(([name, queue]) => {
      const { waiting, consumers, priorities, oldest_us, sent_per_minute, ended_per_minute } = record(queue);
      if (typeof waiting !== "number") return [];
      const lastMinute = typeof sent_per_minute === "number" && typeof ended_per_minute === "number" ? { sent: sent_per_minute, ended: ended_per_minute } : undefined;
      const minutes = recent[name];
      const values = Array.isArray(minutes) ? minutes.map((value: unknown) => (typeof value === "number" ? value : null)) : [];
      return [{ name, waiting, consumers: number(consumers), priorities: counts(priorities), oldestUs: number(oldest_us), lastMinute, recent: values }];
    })
    .sort((a, b) => b.waiting - a.waiting || a.name.localeCompare(b.name));
}

function number(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}

function counts(value: unknown): [string, number][] {
  const entries = Object.entries(record(value)).flatMap(([priority, count]): [string, number][] => (typeof count === "number" ? [[priority, count]] : []));
  return entries.sort(([a], [b]) => Number(a) - Number(b));
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}
