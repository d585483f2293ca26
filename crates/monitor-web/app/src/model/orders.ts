/** The methods that workers may support, with their arguments, and the parsing of typed arguments. */
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
  /** Trees, processes and tasks have their own buttons; starting a task and emptying a queue are only possible on the command line. */
  hasOwnCommand: boolean;
  arguments: readonly Field[];
}

const fields = (methods: readonly Method[]): Readonly<Record<string, readonly Field[]>> => Object.fromEntries(methods.map((method) => [method.name, method.arguments]));
const OFFERED = METHODS.filter((method) => !method.hasOwnCommand);

/** Methods that only read. */
export const READING = fields(OFFERED.filter((method) => method.scope === "read"));

/** Methods that change something. */
export const CHANGING = fields(OFFERED.filter((method) => method.scope !== "read"));

/** Arguments of a program's own method, as one object. */
const OWN: readonly Field[] = [{ name: "arguments", kind: "object", isOptional: true }];

const ELSEWHERE = new Set(METHODS.filter((method) => method.hasOwnCommand).map((method) => method.name));

export function fieldsOf(method: string): readonly Field[] {
  return READING[method] ?? CHANGING[method] ?? OWN;
}

export interface Offered {
  reading: string[];
  changing: string[];
  /** Methods defined by the program itself. */
  own: string[];
}

/** Groups the methods that a worker offers. A worker that lists none supports the standard methods. */
export function offeredBy(methods: readonly string[]): Offered {
  const has = new Set(methods.length > 0 ? methods : ["ping", "stats", "active", "registered"]);
  return {
    reading: Object.keys(READING).filter((method) => has.has(method)),
    changing: Object.keys(CHANGING).filter((method) => has.has(method)),
    own: [...has].filter((method) => !(method in READING) && !(method in CHANGING) && !ELSEWHERE.has(method)),
  };
}

/** Typed arguments by name; the value of a set flag is not empty. */
export type Typed = Readonly<Record<string, string>>;

/** Parses the arguments of a method, or returns the name of the first invalid one. */
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
