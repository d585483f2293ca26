import { useMutation, useQuery } from "@tanstack/react-query";
import { askWorker, fetchChannel } from "../../api/client.ts";
import type { CommandLine, Worker } from "../../api/types.ts";
import { locale, t, wordText } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { ago, duration } from "../../model/time.ts";
import { useNow } from "../../ui/now.ts";
import { ProblemNotice } from "../../ui/Problem.tsx";

const METHODS = ["ping", "stats", "active", "registered"] as const;

/** The worker's channel, and what only the worker itself knows. */
export function Channel({ worker }: { worker: Worker }) {
  const nowUs = useNow("slow");
  const query = useQuery({ queryKey: ["channel", worker.id], queryFn: ({ signal }) => fetchChannel(worker.id, signal), staleTime: 0 });
  const asking = useMutation({
    mutationFn: (method: (typeof METHODS)[number]) => askWorker(worker.id, method),
    onSettled: () => query.refetch(),
  });
  const since = query.data?.open_since_us ?? null;
  const line = asking.data?.lines?.[0];
  return (
    <section className="channel">
      <h3>{t("workers.channel")}</h3>
      {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
      {query.data && since === null && <p className="dim">{t("workers.channel.none")}</p>}
      {since !== null && (
        <p>
          {METHODS.map((method) => (
            <button key={method} type="button" className="outlined" disabled={asking.isPending} onClick={() => asking.mutate(method)}>
              {t(`workers.ask.${method}`)}
            </button>
          ))}
          <span className="dim">{t("workers.channel.open", { time: ago(since, nowUs, locale) })}</span>
        </p>
      )}
      <div role="status">
        {asking.error && <ProblemNotice error={asking.error} onRetry={() => asking.reset()} />}
        {line && <Answer line={line} />}
      </div>
    </section>
  );
}

/** What came of the question, and the answer as it is. */
function Answer({ line }: { line: CommandLine }) {
  const isOk = line.status === "ok";
  return (
    <>
      <p>
        {isOk ? t("workers.status.ok", { duration: duration(line.elapsed_ns ?? 0, locale) }) : wordText("workers.status", line.status)}
        {line.error != null && <span className="late"> {visible(line.error)}</span>}
      </p>
      {line.value !== undefined && line.value !== null && <pre tabIndex={0}>{pretty(line.value)}</pre>}
    </>
  );
}

/** A text as it is, anything else as JSON. */
function pretty(value: unknown): string {
  return typeof value === "string" ? visible(value) : JSON.stringify(value, (_, part: unknown) => (typeof part === "string" ? visible(part) : part), 2);
}
