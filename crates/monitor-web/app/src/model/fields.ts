/** Splits a process's fields into arguments, return value and other fields. Pure. */

type Entries = [name: string, value: unknown][];

export interface FieldParts {
  arguments: Entries;
  returned: Entries;
  own: Entries;
  /** Number of fields that were dropped for lack of space. */
  cut: number;
}

/** Field with the number of dropped fields; the server writes it. */
const CUT = "monitor.cut";

/** Arguments are in `arguments` or `args`, as an object or as dotted names (`args.name`); the return value is in `return`. */
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
