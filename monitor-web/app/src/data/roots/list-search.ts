/** The search part of the address that the list of runs was last seen at: the way back leads there. */
let latest: Record<string, unknown> = {};

export function rememberList(search: Record<string, unknown>): void {
  latest = search;
}

export function lastList(): Record<string, unknown> {
  return latest;
}
