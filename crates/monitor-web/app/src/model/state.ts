/** The states of a process. Unknown states are shown unchanged. */

export const STATES = ["pending", "running", "succeeded", "failed", "cancelled", "lost"] as const;
export type State = (typeof STATES)[number];

const GLYPHS: Record<State, string> = {
  pending: "○",
  running: "◐",
  succeeded: "✓",
  failed: "✕",
  cancelled: "⊘",
  lost: "?",
};

export function isState(value: string): value is State {
  return (STATES as readonly string[]).includes(value);
}

export function glyph(state: string): string {
  return isState(state) ? GLYPHS[state] : state === "retrying" ? "↻" : "•";
}

/** Returns true if the state needs attention. */
export function needsAttention(state: string): boolean {
  return state === "failed" || state === "lost";
}
