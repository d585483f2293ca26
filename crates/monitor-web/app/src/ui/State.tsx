import { wordText } from "../i18n.ts";
import { StateMark } from "./StateMark.tsx";

/** The word of a state; one that this page does not know stands as it came. */
export function stateWord(state: string): string {
  return wordText("state", state);
}

/** Mark and word, in the state's colour. */
export function StateLabel({ state }: { state: string }) {
  return (
    <span className="state" data-state={state}>
      <StateMark state={state} /> {stateWord(state)}
    </span>
  );
}

/** The mark alone; the word is there for those who can't see it, and on hover. */
export function StateGlyph({ state }: { state: string }) {
  return (
    <span className="state mark-only" data-state={state} title={stateWord(state)}>
      <StateMark state={state} />
      <span className="hidden">{stateWord(state)}</span>
    </span>
  );
}
