/** The methods that workers may know, with their arguments, and how these are read from what was typed. */
import { METHODS } from "../api/methods.ts";
import { readMilliseconds } from "./duration.ts";

export interface Field {
  name: string;
  kind: "text" | "count" | "duration" | "time" | "ids" | "texts" | "list" | "object" | "flag";
  isOptional?: boolean;
}

export interface Method {
  name: string;
  scope: string;
  /** Trees, processes and tasks have their own buttons; to start a task, or to empty a queue, is the command line's. */
  hasOwnCommand: boolean;
  arguments: readonly Field[];
}

const fields = (methods: readonly Method[]): Readonly<Record<string, readonly Field[]>> => Object.fromEntries(methods.map((method) => [method.name, method.arguments]));
const OFFERED = METHODS.filter((method) => !method.hasOwnCommand);

/** Methods that only tell something. */
export const READING = fields(OFFERED.filter((method) => method.scope === "read"));

/** Methods that change something. */
export const CHANGING = fields(OFFERED.filter((method) => method.scope !== "read"));

/** All arguments of a method that is the program's own, as one object. */
const OWN: readonly Field[] = [{ name: "arguments", kind: "object", isOptional: true }];

const ELSEWHERE = new Set(METHODS.filter((method) => method.hasOwnCommand).map((method) => method.name));

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
