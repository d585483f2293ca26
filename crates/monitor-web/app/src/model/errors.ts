/** Formats an error and its causes: the context first, then the causes, the nearest first. */
import { brief, plain } from "./text.ts";

interface Failed {
  kind?: string;
  message: string;
  /** The last lines of a command's output. */
  tail?: string | null | undefined;
  /** Causes, from the direct one to the root cause. */
  chain?: readonly string[] | undefined;
}

/** Entry that the server stores in place of the last causes of a chain that is too long. */
const MORE = /^\[(\d+) more causes\]$/;

/** Returns the number of omitted causes. */
export function causesCut({ chain }: Failed): number {
  return Number(MORE.exec(chain?.at(-1) ?? "")?.[1] ?? 0);
}

/** Returns the last output of a command. Older launchers appended it to the first line of the message. */
export function tailOf({ kind, message, tail }: Failed): string | null {
  if (tail !== undefined && tail !== null) return plain(tail);
  const end = isOfCommand(kind) ? message.indexOf("\n") : -1;
  return end < 0 ? null : plain(message.slice(end + 1));
}

function isOfCommand(kind: string | undefined): boolean {
  return kind === "exit" || kind === "signal";
}

function ownWords({ kind, message, tail }: Failed): string {
  return isOfCommand(kind) && (tail === undefined || tail === null) ? (message.split("\n", 1)[0] as string) : message;
}

/** Returns the process's own message and its causes, the nearest first. A cause that the text before it already contains at its end is omitted. */
export function linksOf(error: Failed): string[] {
  const { chain = [] } = error;
  const links: string[] = [];
  for (const link of [ownWords(error), ...(causesCut(error) > 0 ? chain.slice(0, -1) : chain)].map(plain)) if (link !== "" && !links.at(-1)?.endsWith(link)) links.push(link);
  return links;
}

/** Returns the error on one line, `context: cause`, for a row. The number of an operating system error is omitted at the end. */
export function errorLine(error: Failed): string {
  const links = linksOf(error).map(brief);
  return (causesCut(error) > 0 ? [...links, "⌇"] : links).join(": ").replace(/ \(os error \d+\)$/, "");
}

/** Returns true if an error states more than the exit status of a command. */
export function statesReason({ kind, message, chain = [] }: Failed): boolean {
  return !(isOfCommand(kind) && /^(exit code |killed by )[^\n]*$/.test(message)) && (message !== "" || chain.length > 0);
}
