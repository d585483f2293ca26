import { useEffect, useMemo, useReducer, useRef, useState } from "react";
import { fetchRunLog } from "../../api/batch.ts";
import { ApiError } from "../../api/client.ts";
import { bytes, count, t } from "../../i18n.ts";
import { RunLog as Log } from "../../model/batch-log.ts";
import { visible } from "../../model/text.ts";
import { Button } from "../../ui/Button.tsx";
import { Input } from "../../ui/Input.tsx";
import { LogLines } from "../../ui/LogLines.tsx";
import { problemText } from "../../ui/Problem.tsx";
import { save } from "../../ui/save.ts";

/** Polling intervals while new lines arrive, and while none do. */
const SOON_MS = 1000;
const LATE_MS = 4000;
/** Maximum size of a file that can be downloaded. */
const MOST_BYTES = 64 << 20;

interface Props {
  run: string;
  /** Agent whose machine stores the log, if known. */
  agent: string | null;
  /** True if the server has the run. */
  isKnown: boolean;
}

/** Output of a run, read from its agent's machine, and followed while the run lasts. */
export function RunLog({ run, agent, isKnown }: Props) {
  const [, redraw] = useReducer((turn: number) => turn + 1, 0);
  const [fromBeginning, setFromBeginning] = useState(false);
  const [attempt, retry] = useReducer((turn: number) => turn + 1, 0);
  const [error, setError] = useState<unknown>();
  const [isRead, setIsRead] = useState(false);
  const [wanted, setWanted] = useState("");
  const log = useMemo(() => new Log(fromBeginning), [run, fromBeginning]);
  useEffect(() => {
    const gone = new AbortController();
    setError(undefined);
    const onChange = () => {
      setError(undefined);
      setIsRead(true);
      redraw();
    };
    follow(run, log, gone.signal, onChange, setError).catch((cause: unknown) => {
      if (!gone.signal.aborted) setError(cause);
    });
    return () => gone.abort();
  }, [run, log, attempt]);
  const found = log.found(wanted);
  return (
    <section className="run-log" aria-labelledby="run-log">
      <div className="log-bar">
        <h3 id="run-log">{t("batch.log")}</h3>
        <span className="dim" role="status">
          {isRead && (wanted !== "" ? t("batch.log.found", { count: count(found.length) }) : t(log.isWhole ? "batch.log.over" : "batch.log.live"))}
        </span>
        <Input type="search" aria-label={t("batch.log.search")} placeholder={t("batch.log.search")} value={wanted} onChange={(event) => setWanted(event.target.value)} />
        <Download run={run} log={log} isReadable={isRead} />
      </div>
      {error !== undefined && (
        <div className="why-not" role="alert">
          <p>{whyNot(error, agent, isKnown)}</p>
          {isKnown && (
            <Button className="outlined" onClick={retry}>
              {t("problem.retry")}
            </Button>
          )}
        </div>
      )}
      {log.from > 0 && (
        <p className="dim">
          {t("batch.log.tail", { size: bytes(log.from) })}{" "}
          <Button className="outlined" onClick={() => setFromBeginning(true)}>
            {t("batch.log.whole")}
          </Button>
        </p>
      )}
      {log.forgotten > 0 && <p className="dim">{t("batch.log.forgotten", { count: count(log.forgotten) })}</p>}
      {error === undefined && found.length === 0 && <p className="dim">{t(!isRead ? "loading" : wanted !== "" ? "batch.log.none-found" : log.isWhole ? "batch.log.empty" : "batch.log.nothing-yet")}</p>}
      {found.length > 0 && <LogLines log={log} found={found} label={t("batch.log")} />}
    </section>
  );
}

/** True if a later attempt can succeed: the server or the agent is away, is busy, or answers too late. */
function isPassing(error: unknown): error is ApiError {
  return error instanceof ApiError && (error.status === 0 || error.status === 429 || error.status >= 500);
}

/** Reads a log to its end, and follows it while the run lasts. Retries after passing errors. */
async function follow(run: string, log: Log, signal: AbortSignal, onChange: () => void, onAway: (why: ApiError) => void): Promise<void> {
  for (let pause = SOON_MS; ; ) {
    const before = log.next;
    const piece = await fetchRunLog(run, log.next, signal).catch((error: unknown) => {
      if (isPassing(error)) return error;
      throw error;
    });
    if (signal.aborted) return;
    if (piece instanceof ApiError) {
      onAway(piece);
      await new Promise((resolve) => setTimeout(resolve, LATE_MS));
      if (signal.aborted) return;
      continue;
    }
    const isMore = log.add(piece);
    onChange();
    if (log.isWhole) return;
    if (isMore) continue;
    pause = log.next > before ? SOON_MS : Math.min(LATE_MS, pause * 2);
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (signal.aborted) return;
  }
}

/** Returns the reason why there is no log. */
function whyNot(error: unknown, agent: string | null, isKnown: boolean): string {
  if (!(error instanceof ApiError)) return problemText(error);
  if (!isKnown && error.status === 404) return t("batch.log.unknown");
  if (error.status === 404) return t("batch.log.gone");
  if (error.status === 503) return agent === null ? t("batch.log.away") : t("batch.log.away-agent", { agent: visible(agent) });
  return problemText(error);
}

/** Reads the log from its first byte and saves it as a file. */
function Download({ run, log, isReadable }: { run: string; log: Log; isReadable: boolean }) {
  const [done, setDone] = useState<number>();
  const [said, setSaid] = useState("");
  const gone = useRef(new AbortController());
  useEffect(() => {
    gone.current = new AbortController();
    return () => gone.current.abort();
  }, [run]);
  const read = async () => {
    const parts: string[] = [];
    try {
      for (let offset = 0; offset < MOST_BYTES; ) {
        setDone(offset);
        const piece = await fetchRunLog(run, offset, gone.current.signal);
        parts.push(piece.text);
        offset = piece.next_offset;
        if (piece.text === "" || offset >= piece.size_bytes) break;
      }
      save(new Blob(parts, { type: "text/plain" }), `${run.replace(/[^\w.@-]/g, "_")}.log`);
      setSaid(log.size > MOST_BYTES ? t("batch.log.cut", { size: bytes(MOST_BYTES) }) : "");
    } catch (error) {
      if (!gone.current.signal.aborted) setSaid(problemText(error));
    }
    setDone(undefined);
  };
  return (
    <>
      <Button className="outlined" disabled={!isReadable || done !== undefined} onClick={() => void read()}>
        {done === undefined ? t("batch.log.download") : t("batch.log.downloading", { percent: Math.floor((100 * done) / Math.max(1, log.size)) })}
      </Button>
      {said !== "" && <span className="bad">{visible(said)}</span>}
    </>
  );
}
