import type { ReactNode } from "react";
import "./head.css";

/** The reason of a failure, and its context below. */
export function Reason({ text, state = "failed", children }: { text: ReactNode; state?: string; children?: ReactNode }) {
  return (
    <div className="reason-box" data-state={state} role="note">
      <p className="reason">{text}</p>
      {children}
    </div>
  );
}
