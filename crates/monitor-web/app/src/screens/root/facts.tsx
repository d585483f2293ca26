/** Building blocks of the panel. */
import type { ReactNode } from "react";
import { absolute, zoneName } from "../../model/time.ts";
import { CopyButton } from "../../ui/CopyButton.tsx";
import { Said } from "../../ui/Text.tsx";

export function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section>
      <h3>{title}</h3>
      <dl>{children}</dl>
    </section>
  );
}

export function Row({ label, children }: { label: string; children: ReactNode }) {
  return (
    <>
      <dt>{label}</dt>
      <dd>{children}</dd>
    </>
  );
}

/** An id or a location that can be copied. */
export function Code({ text, copy = false }: { text: string; copy?: boolean }) {
  return (
    <span className="code-line">
      <span className="mono">
        <Said text={text} />
      </span>
      {copy && <CopyButton text={text} />}
    </span>
  );
}

const UTC = "UTC";

/** Returns `GMT+1` of `Europe/Berlin (GMT+1)`, which is shown next to each of several times. */
function shortZone(zone: string): string {
  return /\((.+)\)$/.exec(zone)?.[1] ?? zone;
}

/** A time in the reader's zone and in UTC. */
export function When({ timeUs, never }: { timeUs: number | null; never: string }) {
  if (timeUs === null) return <span className="dim">{never}</span>;
  const zone = zoneName(timeUs);
  return (
    <span className="when">
      <span className="mono">{absolute(timeUs)}</span>{" "}
      <span className="dim" title={zone}>
        {shortZone(zone)}
      </span>
      {zone !== UTC && (
        <>
          <br />
          <span className="mono dim">{absolute(timeUs, UTC)}</span> <span className="dim">{UTC}</span>
        </>
      )}
    </span>
  );
}
