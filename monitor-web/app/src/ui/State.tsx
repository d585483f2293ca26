import { wordText } from "../i18n.ts";
import { glyph } from "../model/state.ts";

/** The word of a state; one that this page does not know stands as it came. */
export function stateWord(state: string): string {
  return wordText("state", state);
}

/** Glyph and word, in the state's colour. */
export function StateLabel({ state }: { state: string }) {
  return (
    <span className="state" data-state={state}>
      <span className="glyph" aria-hidden="true">
        {glyph(state)}
      </span>{" "}
      {stateWord(state)}
    </span>
  );
}

/** The glyph alone; the word is there for those who can't see it, and on hover. */
export function StateGlyph({ state }: { state: string }) {
  return (
    <span data-state={state} title={stateWord(state)}>
      <span className="glyph" aria-hidden="true">
        {glyph(state)}
      </span>
      <span className="hidden">{stateWord(state)}</span>
    </span>
  );
}
