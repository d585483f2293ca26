/** Formats an error in the most readable order: the root cause first, then its consequences. */
import { brief } from "./text.ts";

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

/** Returns the messages from the root cause to the process's own one. Messages that only repeat the previous one are omitted. */
export function causeFirst(error: Failed): string[] {
  const { chain = [] } = error;
  const links = [ownWords(error), ...(causesCut(error) > 0 ? chain.slice(0, -1) : chain)].reverse();
  return links.filter((link, index) => link !== links[index - 1]);
}

/** Returns the error on one line, for a row. */
export function errorLine(error: Failed): string {
  const links = causeFirst(error).map(brief);
  return (causesCut(error) > 0 ? ["⌇", ...links] : links).join(" ← ");
}
