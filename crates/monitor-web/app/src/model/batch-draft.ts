/** A definition of a batch task in the form: the most used keys have a field, the others are TOML, as in the file of a task. */
import { parse, stringify, TomlError } from "smol-toml";

export type Definition = Record<string, unknown>;

export interface Draft {
  name: string;
  /** A shell command line, or an array of words in JSON. */
  command: string;
  /** One rule per line. */
  rules: string;
  zone: string;
  /** Agents, separated by commas. */
  on: string;
  timeout: string;
  owner: string;
  /** All other keys, in TOML. */
  rest: string;
}

/** Placeholders of the fields. */
export const EXAMPLES: Partial<Draft> = { name: "gold", command: "node index.js", rules: "30 2 * * 1-5", zone: "Asia/Shanghai", on: "db-1, db-2", timeout: "30m", owner: "ada@example.org", rest: "[retry]\ntimes = 3" };

const text = (value: unknown) => (typeof value === "string" ? value : "");
const list = (value: unknown) => (Array.isArray(value) ? value.map(String) : typeof value === "string" ? [value] : []);

export function draftOf({ name, command, shell, rules, zone, on, timeout, owner, ...rest }: Definition): Draft {
  return {
    name: text(name),
    command: command === undefined ? text(shell) : JSON.stringify(command),
    rules: list(rules).join("\n"),
    zone: text(zone),
    on: list(on).join(", "),
    timeout: text(timeout),
    owner: list(owner).join(", "),
    rest: stringify(rest).trim(),
  };
}

/** Converts a draft to a definition. Throws an error that names the field, in the format of the server's errors. */
export function readDraft(draft: Draft): Definition {
  const words = (written: string, between: RegExp) => written.split(between).map((word) => word.trim()).filter((word) => word !== "");
  const rest = toml("rest", draft.rest);
  const command = draft.command.trim();
  const [rules, on] = [words(draft.rules, /\n/), words(draft.on, /,/)];
  const owners = words(draft.owner, /,/);
  const line = (key: "zone" | "timeout") => (draft[key].trim() === "" ? {} : { [key]: draft[key].trim() });
  return {
    ...rest,
    name: draft.name.trim(),
    ...(command.startsWith("[") ? { command: json("command", command) } : command !== "" && { shell: command }),
    ...(rules.length > 0 && { rules }),
    ...line("zone"),
    ...(on.length > 0 && { on }),
    ...line("timeout"),
    ...(owners.length > 0 && { owner: owners.length === 1 ? owners[0] : owners }),
  };
}

function toml(field: string, written: string): Definition {
  try {
    return parse(written);
  } catch (error) {
    const { line, column, message } = error as TomlError;
    // The message also contains the lines around the place.
    throw new Error(`${field}: ${line}:${column}: ${message.split("\n")[0]?.replace(/^Invalid TOML document: /, "") ?? ""}`);
  }
}

function json(field: string, written: string): unknown {
  try {
    return JSON.parse(written);
  } catch (error) {
    throw new Error(`${field}: no JSON: ${(error as Error).message}`);
  }
}

const FIELDS: readonly (keyof Draft)[] = ["name", "command", "rules", "zone", "on", "timeout", "owner", "rest"];

/**
 * Assigns the lines of the server's error message, such as `rules.0: …`, to fields. Lines about keys without a field are returned in
 * `others`.
 */
export function mistakesOf(told: string): { fields: Partial<Record<keyof Draft, string>>; others: string[] } {
  const fields: Partial<Record<keyof Draft, string>> = {};
  const others: string[] = [];
  for (const line of told.split("\n").filter((line) => line !== "")) {
    const [, key = ""] = /^([a-z-]+)(?:[.[][^:]*)?:/.exec(line) ?? [];
    const field = key === "shell" ? "command" : FIELDS.find((name) => name === key);
    if (field === undefined) others.push(line);
    else fields[field] = fields[field] === undefined ? line : `${fields[field]}\n${line}`;
  }
  return { fields, others };
}
