import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { askWorker } from "../../api/commands.ts";
import { t, wordText } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { rowsOf } from "../../model/worker-stats.ts";
import { problemText } from "../../ui/Problem.tsx";
import { StatusLine } from "./Answer.tsx";

/** Questions whose answers are parts of the page. */
const ASKED = ["active-queues", "conf"] as const;
const ASKED_MS = 2000;

interface Props {
  id: string;
  /** Nested values of its metrics, such as those of a worker of Celery about its pool and its broker. */
  parts: [name: string, value: unknown][];
  methods: readonly string[];
}

/** Nested values of a worker's metrics. Each has a heading that opens it. */
export function Parts({ id, parts, methods }: Props) {
  if (parts.length === 0) return null;
  return (
    <section className="parts" aria-label={t("worker.parts")}>
      {parts.map(([name, value]) => (
        <details key={name} data-part={name}>
          <summary>{wordText("worker.part", name)}</summary>
          <Rows value={value} />
        </details>
      ))}
      {ASKED.filter((method) => methods.includes(method)).map((method) => (
        <Asked key={method} id={id} method={method} />
      ))}
    </section>
  );
}

/** A part that is asked for when it is opened. */
function Asked({ id, method }: { id: string; method: (typeof ASKED)[number] }) {
  const [isOpen, setOpen] = useState(false);
  const asked = useQuery({ queryKey: ["worker-part", id, method], queryFn: () => askWorker(id, method, {}, ASKED_MS), enabled: isOpen, staleTime: 0, gcTime: 0, retry: false });
  const line = asked.data?.lines?.[0];
  return (
    <details data-part={method} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{t(`worker.method.${method}`)}</summary>
      {isOpen && asked.isPending && <p className="dim">{t("worker.asking")}</p>}
      {asked.error && <p className="bad">{problemText(asked.error)}</p>}
      {line && line.status !== "ok" && <StatusLine line={line} />}
      {line?.status === "ok" && <Rows value={line.value} />}
    </details>
  );
}

function Rows({ value }: { value: unknown }) {
  const rows = rowsOf(value);
  if (rows.length === 0) return <p className="dim">{t("workers.nothing")}</p>;
  return (
    <dl>
      {rows.map(([path, text], at) => (
        // Two queues may have the same name.
        <div key={`${at} ${path}`}>
          <dt translate="no">{visible(path)}</dt>
          <dd className="mono" translate="no">
            {visible(text)}
          </dd>
        </div>
      ))}
    </dl>
  );
}
