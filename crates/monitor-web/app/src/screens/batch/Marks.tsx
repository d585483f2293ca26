import type { ReactNode } from "react";
import { wordText } from "../../i18n.ts";
import { stateWord } from "../../ui/State.tsx";
import { StateMark } from "../../ui/StateMark.tsx";

/** The marks of due times without a run, in a square of 14; each has a different shape. */
const DECISIONS: Readonly<Record<string, ReactNode>> = {
  missed: <path d="M7 1.5l5.5 5.5l-5.5 5.5l-5.5-5.5zM5 5l4 4m0-4l-4 4" />,
  skipped: <path d="M2 7h10M9 3.5l3.5 3.5l-3.5 3.5M5 3v8" />,
  unknown: <path d="M4.5 5a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.1.8-1.1 1.8M7 11.6v.01" />,
  waits: <path d="M3.5 2h7M3.5 12h7M4.5 2c0 3 5 7 5 10M9.5 2c0 3-5 7-5 10" />,
  "will-start": <circle cx="7" cy="7" r="3" />,
  "will-be-skipped": (
    <>
      <circle cx="7" cy="7" r="3" />
      <path d="M2.5 11.5l9-9" />
    </>
  ),
};

/** The mark of a due time's result. */
export function KindMark({ kind }: { kind: string }) {
  const decision = DECISIONS[kind];
  if (decision === undefined) {
    return (
      <span className="state" data-state={kind}>
        <StateMark state={kind} />
      </span>
    );
  }
  return (
    <svg className="glyph decision-mark" data-decision={kind} viewBox="0 0 14 14" aria-hidden="true">
      {decision}
    </svg>
  );
}

/** Returns the text of a kind: the state of a run, or the decision. */
export function kindWord(kind: string): string {
  return kind in DECISIONS ? wordText("batch.kind", kind) : stateWord(kind);
}
