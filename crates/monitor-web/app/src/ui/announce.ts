/** Announcements for screen readers: at most one per interval, and only the newest of each kind. */
const EVERY_MS = 5000;

const waiting = new Map<string, string>();
const listeners = new Set<() => void>();
let said = "";
let timer: ReturnType<typeof setTimeout> | undefined;

/** Replaces a waiting announcement of the same `kind`. */
export function announce(kind: string, text: string): void {
  waiting.set(kind, text);
  timer ??= setTimeout(say);
}

function say(): void {
  timer = undefined;
  if (waiting.size === 0) return;
  said = [...waiting.values()].join(". ");
  waiting.clear();
  for (const listener of listeners) listener();
  timer = setTimeout(say, EVERY_MS);
}

/** For `useSyncExternalStore`. */
export const announcements = {
  get: () => said,
  subscribe: (listener: () => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
};
