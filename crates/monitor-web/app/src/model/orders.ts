/** The methods that workers may know, with their arguments, and how these are read from what was typed. */
import { readMilliseconds } from "./duration.ts";

export interface Field {
  name: string;
  kind: "text" | "count" | "duration" | "ids" | "flag" | "object";
  isOptional?: true;
}

const text = (name: string): Field => ({ name, kind: "text" });
const optional = (name: string): Field => ({ name, kind: "text", isOptional: true });
const count = (name: string): Field => ({ name, kind: "count" });
const duration = (name: string): Field => ({ name, kind: "duration", isOptional: true });
const ids: Field = { name: "ids", kind: "ids" };
const held = duration("for_ms");

/** Methods that only tell something. */
export const READING: Readonly<Record<string, readonly Field[]>> = {
  ping: [],
  stats: [],
  active: [],
  registered: [],
  scheduled: [],
  reserved: [],
  revoked: [],
  "active-queues": [],
  queues: [],
  query: [ids],
  conf: [],
};

/** Methods that change something. */
export const CHANGING: Readonly<Record<string, readonly Field[]>> = {
  pause: [held],
  resume: [],
  "pool-grow": [count("n")],
  "pool-shrink": [count("n")],
  autoscale: [count("min"), count("max"), held],
  "rate-limit": [text("name"), text("rate"), held],
  "time-limit": [text("name"), duration("soft_ms"), duration("hard_ms"), held],
  "add-consumer": [text("queue")],
  "cancel-consumer": [text("queue")],
  revoke: [ids, { name: "terminate", kind: "flag" }],
  shutdown: [{ name: "now", kind: "flag" }],
  restart: [],
  "pool-restart": [],
  "enable-events": [optional("level"), optional("kind"), optional("name"), held],
  "disable-events": [optional("kind"), optional("name"), held],
  "log-level": [text("level"), held],
  heartbeat: [],
};

/** All arguments of a method that is the program's own, as one object. */
const OWN: readonly Field[] = [{ name: "arguments", kind: "object", isOptional: true }];

/** Trees, processes and tasks have their own buttons; to start a task, or to empty a queue, is the command line's. */
const ELSEWHERE = new Set(["cancel", "call", "purge", "retry"]);

export function fieldsOf(method: string): readonly Field[] {
  return READING[method] ?? CHANGING[method] ?? OWN;
}

export interface Offered {
  reading: string[];
  changing: string[];
  /** Methods of the program's own. */
  own: string[];
}

/** Sorts what a worker offers. A worker that names nothing answers what all do. */
export function offeredBy(methods: readonly string[]): Offered {
  const has = new Set(methods.length > 0 ? methods : ["ping", "stats", "active", "registered"]);
  return {
    reading: Object.keys(READING).filter((method) => has.has(method)),
    changing: Object.keys(CHANGING).filter((method) => has.has(method)),
    own: [...has].filter((method) => !(method in READING) && !(method in CHANGING) && !ELSEWHERE.has(method)),
  };
}

/** The arguments as they were typed, by name; a flag that is set is not empty. */
export type Typed = Readonly<Record<string, string>>;

/** Reads the arguments of a method, or names the first one that can't be read. */
export function readArguments(fields: readonly Field[], typed: Typed): { arguments: Record<string, unknown> } | { wrong: string } {
  const read: Record<string, unknown> = {};
  for (const field of fields) {
    const given = (typed[field.name] ?? "").trim();
    if (field.kind === "flag") {
      if (given !== "") read[field.name] = true;
      continue;
    }
    if (given === "" && field.isOptional) continue;
    const value = readValue(field, given);
    if (value === undefined) return { wrong: field.name };
    if (field.kind === "object") Object.assign(read, value);
    else read[field.name] = value;
  }
  return { arguments: read };
}

function readValue({ kind }: Field, given: string): unknown {
  switch (kind) {
    case "count":
      return /^\d{1,5}$/.test(given) ? Number(given) : undefined;
    case "duration":
      return readMilliseconds(given);
    case "ids": {
      const ids = given.split(/[\s,]+/).filter((id) => id !== "");
      return ids.length > 0 ? ids : undefined;
    }
    case "object":
      return readObject(given);
    default:
      return given === "" ? undefined : given;
  }
}

function readObject(given: string): object | undefined {
  try {
    const value: unknown = JSON.parse(given);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
