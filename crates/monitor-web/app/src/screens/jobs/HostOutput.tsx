import { useEffect, useMemo, useReducer, useRef, useState } from "react";
import { ApiError } from "../../api/client.ts";
import { fetchJobOutput, jobOutputAddress } from "../../api/jobs.ts";
import type { JobHost } from "../../api/types.ts";
import { bytes, count, t } from "../../i18n.ts";
import { onReconnect } from "../../live/live.ts";
import { RunLog } from "../../model/batch-log.ts";
import { Button } from "../../ui/Button.tsx";
import { LogLines } from "../../ui/LogLines.tsx";
import { problemText } from "../../ui/Problem.tsx";

/** Intervals of reading while new output arrives, and while none does. */
const SOON_MS = 1000;
const LATE_MS = 4000;
/** Maximum size of a downloaded file: that of an answer of the server. */
const MOST_BYTES = 16 << 20;

/** The output of a host, followed while the script runs. */
export function HostOutput({ job, host, id }: { job: number; host: JobHost; id: number }) {
  const [, redraw] = useReducer((turn: number) => turn + 1, 0);
  const [again, retry] = useReducer((turn: number) => turn + 1, 0);
  const [fromBeginning, setFromBeginning] = useState(false);
  const [isRead, setIsRead] = useState(false);
  const [error, setError] = useState<unknown>();
  const log = useMemo(() => new RunLog(fromBeginning), [fromBeginning]);
  const newest = useRef(host);
  newest.current = host;
  const { step_id: step, attempt } = host;
  const address = jobOutputAddress(job, id, { step, attempt, limit: MOST_BYTES });
  useEffect(() => {
    const gone = new AbortController();
    setError(undefined);
    const read = (offset: number) => fetchJobOutput(job, id, { step, attempt, offset }, gone.signal);
    const onChange = () => {
      setIsRead(true);
      redraw();
    };
    follow(log, read, () => newest.current, gone.signal, onChange).catch((cause: unknown) => {
      if (!gone.signal.aborted) setError(cause);
    });
    return () => gone.abort();
  }, [job, id, step, attempt, log, again]);
  useEffect(() => (error === undefined ? undefined : onReconnect(retry)), [error]);
  const found = log.found("");
  return (
    <section className={found.length === 0 && log.isWhole ? "host-output empty" : "host-output"}>
      <h3>
        {t("jobs.output")}{" "}
        <span className="dim" role="status">
          {isRead && !log.isWhole && t("jobs.output.live")}
        </span>
        {found.length > 0 && (
          <a className="quiet" href={address} download={`job-${job}-${host.name.replace(/[^\w.-]/g, "_")}.log`}>
            {t("jobs.output.download")}
          </a>
        )}
      </h3>
      {error !== undefined && (
        <p className="bad" role="alert">
          {problemText(error)}{" "}
          <Button className="outlined" onClick={retry}>
            {t("problem.retry")}
          </Button>
        </p>
      )}
      {log.from > 0 && (
        <p className="dim">
          {t("jobs.output.tail", { size: bytes(log.from) })}{" "}
          <Button className="quiet" onClick={() => setFromBeginning(true)}>
            {t("jobs.output.whole")}
          </Button>
        </p>
      )}
      {log.forgotten > 0 && <p className="dim">{t("jobs.output.forgotten", { count: count(log.forgotten) })}</p>}
      {found.length === 0 && error === undefined && <p className="dim">{t(!isRead ? "loading" : log.isWhole ? "jobs.output.empty" : "jobs.output.nothing-yet")}</p>}
      {found.length > 0 && <LogLines log={log} found={found} label={t("jobs.output")} />}
    </section>
  );
}

/** Reads an output to its end, and follows it until the host has ended and no more output arrives. */
async function follow(log: RunLog, read: (offset: number) => Promise<Uint8Array>, newest: () => JobHost, signal: AbortSignal, onChange: () => void): Promise<void> {
  let decoder = new TextDecoder();
  for (let pause = SOON_MS; ; ) {
    const isOver = newest().ended_us !== null;
    const offset = log.next;
    const piece = await read(offset).catch((error: unknown) => {
      // The agent has sent nothing yet.
      if (error instanceof ApiError && error.status === 404) return new Uint8Array();
      throw error;
    });
    if (signal.aborted) return;
    const next = offset + piece.length;
    log.add({ offset, text: decoder.decode(piece, { stream: true }), next_offset: next, size_bytes: Math.max(newest().output_bytes, next), is_over: isOver && piece.length === 0 });
    // A long output is read from near its end, so the next piece doesn't continue this one.
    if (log.next !== next) decoder = new TextDecoder();
    onChange();
    if (log.isWhole) return;
    if (piece.length > 0 && (isOver || log.next < newest().output_bytes)) continue;
    pause = piece.length > 0 ? SOON_MS : Math.min(LATE_MS, pause * 2);
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (signal.aborted) return;
  }
}
