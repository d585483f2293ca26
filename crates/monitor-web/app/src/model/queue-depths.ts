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
  /** The most waiting tasks in each of the last minutes, oldest first. `null` if they are not known. */
  recent: readonly (number | null)[];
}

/** Returns the queues in these fields, the longest first. */
export function queuesOf(fields: Readonly<Record<string, unknown>>): QueueDepth[] {
  const recent = record(fields["celery.queues.recent"]);
  return Object.entries(record(fields["celery.queues"]))
    .flatMap(([name, queue]) => {
      const { waiting, consumers, priorities } = record(queue);
      if (typeof waiting !== "number") return [];
      const minutes = recent[name];
      const values = Array.isArray(minutes) ? minutes.map((value: unknown) => (typeof value === "number" ? value : null)) : [];
      return [{ name, waiting, consumers: typeof consumers === "number" ? consumers : undefined, priorities: counts(priorities), recent: values }];
    })
    .sort((a, b) => b.waiting - a.waiting || a.name.localeCompare(b.name));
}

function counts(value: unknown): [string, number][] {
  const entries = Object.entries(record(value)).flatMap(([priority, count]): [string, number][] => (typeof count === "number" ? [[priority, count]] : []));
  return entries.sort(([a], [b]) => Number(a) - Number(b));
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}
