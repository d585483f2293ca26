/** An error as it reads best: the cause first, then what it led to. */
interface Failed {
  message: string;
  /** What caused it, from the nearest to the farthest. */
  chain?: readonly string[] | undefined;
}

/** The farthest cause first; the last one is what the process itself said. A link that only repeats the one before is left out. */
export function causeFirst({ message, chain = [] }: Failed): string[] {
  const links = [message, ...chain].reverse();
  return links.filter((link, index) => link !== links[index - 1]);
}

/** On one line, for a row. */
export function errorLine(error: Failed): string {
  return causeFirst(error).join(" ← ");
}
