import type { ReactNode } from "react";
import { CommandLine } from "./CommandLine.tsx";

/** A section without content: what belongs here, and a command that works as it stands. */
export function Empty({ title, how, command, children }: { title: string; how?: string; command?: string; children?: ReactNode }) {
  return (
    <div className="notice">
      <h2>{title}</h2>
      {how !== undefined && <p className="dim">{how}</p>}
      {command !== undefined && <CommandLine text={command} />}
      {children}
    </div>
  );
}
