/** An error as it reads best: the cause first, then what it led to. */
import { brief } from "./text.ts";

interface Failed {
  kind?: string;
  message: string;
  /** The last lines that a command wrote. */
  tail?: string | null | undefined;
  /** What caused it, from the nearest to the farthest. */
  chain?: readonly string[] | undefined;
}

/** How the server says that a chain was too long: in place of its farthest causes. */
const MORE = /^\[(\d+) more causes\]$/;

/** How many causes are left out, beyond the farthest that is told. */
export function causesCut({ chain }: Failed): number {
  return Number(MORE.exec(chain?.at(-1) ?? "")?.[1] ?? 0);
}

/** What a command wrote last; a launcher that knows no tail put it behind the first line of the message. */
export function tailOf({ kind, message, tail }: Failed): string | null {
  if (tail !== undefined && tail !== null) return tail;
  const end = isOfCommand(kind) ? message.indexOf("\n") : -1;
  return end < 0 ? null : message.slice(end + 1);
}

function isOfCommand(kind: string | undefined): boolean {
  return kind === "exit" || kind === "signal";
}

function ownWords({ kind, message, tail }: Failed): string {
  return isOfCommand(kind) && (tail === undefined || tail === null) ? (message.split("\n", 1)[0] as string) : message;
}

/** The farthest cause first; the last one is what the process itself said. A link that only repeats the one before is left out. */
export function causeFirst(error: Failed): string[] {
  const { chain = [] } = error;
  const links = [ownWords(error), ...(causesCut(error) > 0 ? chain.slice(0, -1) : chain)].reverse();
  return links.filter((link, index) => link !== links[index - 1]);
}

/** On one line, for a row. */
export function errorLine(error: Failed): string {
  const links = causeFirst(error).map(brief);
  return (causesCut(error) > 0 ? ["⌇", ...links] : links).join(" ← ");
}
