import type { ReactNode } from "react";

/** Facts with their labels. Empty ones are left out. */
export function Facts({ of }: { of: readonly (readonly [label: string, value: ReactNode])[] }) {
  return (
    <dl className="fact-list">
      {of.filter(([, value]) => value !== "" && value !== null && value !== undefined && value !== false).map(([label, value]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
