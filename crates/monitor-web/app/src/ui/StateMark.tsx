import type { ReactNode } from "react";

const CROSS = (
  <>
    <circle className="filled" cx="7" cy="7" r="6" />
    <path className="cut" d="M4.9 4.9l4.2 4.2m0-4.2l-4.2 4.2" />
  </>
);

/** The marks of states and of the severities of alerts, in a square of 14. The style sheet defines their strokes and colours. */
const MARKS: Readonly<Record<string, ReactNode>> = {
  pending: <circle cx="7" cy="7" r="4.7" />,
  running: (
    <>
      <circle className="track" cx="7" cy="7" r="5" />
      <path className="arc" d="M7 2a5 5 0 0 1 5 5" />
    </>
  ),
  retrying: <path d="M11.5 4.6a5 5 0 1 0 .5 3M11.8 1.8v3h-3" />,
  succeeded: <path d="M3 7.5l2.7 2.7L11 4.5" />,
  failed: CROSS,
  failing: CROSS,
  critical: CROSS,
  cancelled: (
    <>
      <circle cx="7" cy="7" r="5" />
      <path d="M3.5 10.5l7-7" />
    </>
  ),
  paused: <path d="M5 3.5v7M9 3.5v7" />,
  missed: <path d="M7 1.5l5.5 5.5l-5.5 5.5l-5.5-5.5zM7 4.6v2.9M7 9.3v.01" />,
  warning: <path d="M7 2l5.5 9.8h-11zM7 5.6v2.9M7 10.2v.01" />,
  info: <path d="M7 1.8a5.2 5.2 0 1 1 0 10.4a5.2 5.2 0 0 1 0-10.4M7 6.4v3.2M7 4.3v.01" />,
  lost: (
    <>
      <circle cx="7" cy="7" r="5.3" strokeDasharray="2 1.7" />
      <path d="M7 4.2v3.3M7 9.7v.01" />
    </>
  ),
};

/** The mark of a state; unknown states have a dot. */
export function StateMark({ state }: { state: string }) {
  return (
    <svg className="glyph" data-mark={state} viewBox="0 0 14 14" aria-hidden="true">
      {MARKS[state] ?? <circle className="filled" cx="7" cy="7" r="2.5" />}
    </svg>
  );
}
