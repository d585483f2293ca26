import { wordText } from "../i18n.ts";
import { StateMark } from "./StateMark.tsx";

/** Returns the text of a state; unknown states are shown unchanged. */
export function stateWord(state: string): string {
  return wordText("state", state);
}

/** The mark and text of a state, in its colour. */
export function StateLabel({ state }: { state: string }) {
  return (
    <span className="state" data-state={state}>
      <StateMark state={state} /> {stateWord(state)}
    </span>
  );
}

/** The mark only; the text is available to screen readers and on hover. */
export function StateGlyph({ state }: { state: string }) {
  return (
    <span className="state mark-only" data-state={state} title={stateWord(state)}>
      <StateMark state={state} />
      <span className="hidden">{stateWord(state)}</span>
    </span>
  );
}
