/** What a process was called with, what it returned, and what it says of itself beside. Pure. */

type Entries = [name: string, value: unknown][];

export interface FieldParts {
  arguments: Entries;
  returned: Entries;
  own: Entries;
  /** How many there was no room for. */
  cut: number;
}

/** Stands among fields for those that the server left out. */
const CUT = "monitor.cut";

/** Arguments stand below `arguments` or `args`, as an object or with a dot: `args.name`; what is returned in `return`. */
export function fieldParts(fields: Readonly<Record<string, unknown>>): FieldParts {
  const parts: FieldParts = { arguments: [], returned: [], own: [], cut: 0 };
  for (const [name, value] of Object.entries(fields)) {
    const [, group, rest] = /^(arguments|args|return)(?:\.(.+))?$/.exec(name) ?? [];
    if (name === CUT && typeof value === "number") parts.cut = value;
    else if (group === undefined) parts.own.push([name, value]);
    else if (group === "return") parts.returned.push([rest ?? name, value]);
    else if (rest !== undefined) parts.arguments.push([rest, value]);
    else if (typeof value === "object" && value !== null && !Array.isArray(value)) parts.arguments.push(...Object.entries(value));
    else parts.arguments.push([name, value]);
  }
  return parts;
}
