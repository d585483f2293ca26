/** Arguments and results of queue tasks as text. */

/** Returns a value as the program wrote it: a text as it is, anything else as JSON. Empty without a value. */
export function valueText(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Returns the arguments in the order of a call: positional ones, then `name=value`. */
export function argumentsText(args: unknown, kwargs: unknown): string {
  const positional = Array.isArray(args) ? args.map((arg) => JSON.stringify(arg)) : [withoutBrackets(valueText(args))];
  const named = isObject(kwargs) ? Object.entries(kwargs).map(([name, value]) => `${name}=${JSON.stringify(value)}`) : [withoutBrackets(valueText(kwargs))];
  return [...positional, ...named].filter((text) => text !== "").join(", ");
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Returns the text that Celery sends, such as `(1, 2)` or `{}`, without the brackets around it. */
function withoutBrackets(text: string): string {
  const found = /^(?:\((.*?),?\)|\[(.*)\]|\{(.*)\})$/s.exec(text);
  return found ? (found[1] ?? found[2] ?? found[3] ?? "") : text;
}
