import { useQuery } from "@tanstack/react-query";
import { type ReactNode, useEffect } from "react";
import { fetchMe, fetchStatus, fetchTokens } from "../../api/client.ts";
import type { KeepRule, Status } from "../../api/types.ts";
import { useSettled } from "../../data/useSettled.ts";
import { bytes, count, locale, lostText, t, wordText } from "../../i18n.ts";
import { STATES } from "../../model/state.ts";
import { visible } from "../../model/text.ts";
import { absolute, ago, duration, zoneName } from "../../model/time.ts";
import { Button } from "../../ui/Button.tsx";
import { Head } from "../../ui/Head.tsx";
import { useNow } from "../../ui/now.ts";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { stateWord } from "../../ui/State.tsx";
import "./about.css";

const AGAIN_MS = 5000;

/** The server's own figures. */
export default function About() {
  const query = useQuery({ queryKey: ["status"], queryFn: ({ signal }) => fetchStatus(signal), refetchInterval: AGAIN_MS, staleTime: 0 });
  const me = useQuery({ queryKey: ["me"], queryFn: ({ signal }) => fetchMe(signal) });
  const ready = useSettled(!query.isPending && !me.isPending, "status", "me", "tokens");
  useEffect(() => {
    document.title = `${t("about.title")} · ${t("app.name")}`;
  }, []);
  return (
    <div className="settings">
      <Head title={t("about.title")} />
      <div className="about" data-ready={ready} role="region" aria-label={t("about.title")} tabIndex={0}>
        {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
        {query.data ? <Figures status={query.data} /> : !query.error && <p className="dim">{t("loading")}</p>}
      </div>
    </div>
  );
}

function Figures({ status }: { status: Status }) {
  const nowUs = useNow("slow");
  const unknown = Object.entries(status.unknown_events);
  return (
    <>
      {status.trouble != null && (
        <p className="notice" role="alert" data-trouble>
          {t("about.trouble", { cause: visible(status.trouble) })}
        </p>
      )}
      {status.clock_jump != null && (
        <p className="notice" role="alert" data-jump>
          {t("about.jump", { ahead: duration(status.clock_jump.ahead_s * 1e9, locale), rest: duration(status.clock_jump.counts_in_s * 1e9, locale) })}
        </p>
      )}
      <Part title={t("about.server")}>
        <Figure label={t("about.version")}>{status.version}</Figure>
        {status.wire !== undefined && status.wire > 0 && <Figure label={t("about.wire")}>{status.wire}</Figure>}
        {status.schemas && Object.keys(status.schemas).length > 0 && (
          <Figure label={t("about.schemas")}>
            <span translate="no">
              {Object.entries(status.schemas)
                .map(([file, schema]) => `${file} ${schema}`)
                .join(", ")}
            </span>
          </Figure>
        )}
        <Figure label={t("about.since")}>
          <span title={zoneName(status.started_us)}>{absolute(status.started_us).slice(0, 19)}</span> · {duration((nowUs - status.started_us) * 1000, locale)}
        </Figure>
        <Figure label={t("about.page-version")}>{__PAGE_VERSION__}</Figure>
        <Figure label={t("about.database")}>{bytes(status.database_bytes)}</Figure>
        {status.wal_bytes !== undefined && <Figure label={t("about.wal")}>{bytes(status.wal_bytes)}</Figure>}
        {status.disk_free_bytes != null && (
          <Figure label={t("about.disk")}>
            {bytes(status.disk_free_bytes)}
            {status.min_free_bytes != null && <div className="dim">{t("about.disk.least", { bytes: bytes(status.min_free_bytes) })}</div>}
          </Figure>
        )}
        {status.queue_bytes !== undefined && <Figure label={t("about.queue")}>{bytes(status.queue_bytes)}</Figure>}
        {(status.refused_batches ?? 0) > 0 && <Figure label={t("about.refused")}>{count(status.refused_batches ?? 0)}</Figure>}
        <Kept status={status} />
        <Figure label={t("about.events")}>{count(status.events)}</Figure>
        {status.events_per_second !== undefined && <Figure label={t("about.ingest")}>{t("about.ingest.rate", { count: count(Math.round(status.events_per_second)) })}</Figure>}
        {unknown.map(([type, of]) => (
          <Figure key={type} label={t("about.unknown", { type: visible(type) })}>
            {count(of)}
          </Figure>
        ))}
      </Part>
      <Duties status={status} />
      <Access />
      <Part title={t("tasks.title")}>
        {STATES.map((state) => (
          <Figure key={state} label={stateWord(state)}>
            {count(status.roots[state])}
          </Figure>
        ))}
      </Part>
      <Part title={t("tasks.column.processes")}>
        {STATES.map((state) => (
          <Figure key={state} label={stateWord(state)}>
            {count(status.processes[state])}
          </Figure>
        ))}
      </Part>
      <Part title={t("workers.title")}>
        {(["online", "offline", "lost"] as const).map((state) => (
          <Figure key={state} label={wordText("worker", state)}>
            {count(status.workers[state])}
          </Figure>
        ))}
      </Part>
      <Part title={t("about.dropped")}>
        {status.dropped.length === 0 && <Figure label={t("about.nothing")}>{count(0)}</Figure>}
        {status.dropped.map(({ type, reason, count: of }) => (
          <Figure key={`${type} ${reason}`} label={wordText("missing.reason", reason)}>
            {lostText(type, of)}
          </Figure>
        ))}
      </Part>
    </>
  );
}

/** Shorter delays are not shown as late, because duties run one after another. */
const LATE_NS = 5e9;

/** Periodic work of the server: the last run of each duty, and its problems. */
function Duties({ status: { duties } }: { status: Status }) {
  const nowUs = useNow("slow");
  // An older server doesn't report duties.
  if (!duties || duties.length === 0) return null;
  return (
    <Part title={t("about.duties")}>
      {duties.map(({ name, last_us, lag_ns, error, restarts }) => {
        const isLate = lag_ns >= LATE_NS;
        const told = [
          last_us == null ? t("about.duty.never") : t("about.duty.last", { time: ago(last_us, nowUs, locale) }),
          isLate && t("about.duty.late", { duration: duration(lag_ns, locale) }),
          restarts > 0 && t("about.duty.restarts", { count: restarts }),
        ].filter(Boolean);
        return (
          <div key={name} data-duty={name} data-state={error == null ? undefined : "failed"}>
            <dt className="dim">{wordText("duty", name)}</dt>
            <dd>
              {told.join(" · ")}
              {error != null && <div className="problem">{visible(error)}</div>}
            </dd>
          </div>
        );
      })}
    </Part>
  );
}

/** The retention of trees, rule by rule. */
function Kept({ status }: { status: Status }) {
  const { keeps, keeps_bytes, retention } = status;
  if (!keeps) {
    // Format of older servers.
    return retention ? (
      <Figure label={t("about.retention")}>
        <span translate="no">{visible(retention)}</span>
      </Figure>
    ) : null;
  }
  const isForAll = ({ name, batch, states }: KeepRule) => name === "*" && batch == null && states.length === 0;
  const rules = keeps.some(isForAll) ? keeps : [...keeps, { name: "*", states: [] }];
  return (
    <Figure label={t("about.retention")}>
      {rules.map((rule, index) => (
        <div key={index}>
          {rule.name !== "*" && <span translate="no">{visible(rule.name)} </span>}
          {rule.batch != null && <span translate="no">{`<${visible(rule.batch)}> `}</span>}
          {isForAll(rule) ? t(index === 0 ? "about.keep.all" : "about.keep.rest") : rule.states.map(stateWord).join(" · ")}: {limits(rule)}
        </div>
      ))}
      {keeps_bytes != null && <div>{t("about.keep.bytes", { bytes: bytes(keeps_bytes) })}</div>}
    </Figure>
  );
}

function limits({ age_s, count: most }: KeepRule): string {
  const found = [most != null && t("about.keep.count", { count: count(most) }), age_s != null && t("about.keep.age", { duration: duration(age_s * 1e9, locale) })].filter(Boolean);
  return found.length === 0 ? t("about.keep.ever") : found.join(", ");
}

/** The reader's user and rights. */
function Access() {
  const nowUs = useNow("slow");
  const query = useQuery({ queryKey: ["me"], queryFn: ({ signal }) => fetchMe(signal) });
  if (query.error) return <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />;
  const me = query.data;
  if (!me) return null;
  const isAdmin = me.scopes.includes("admin");
  return (
    <>
      <Part title={t("about.access")} action={me.how === "session" ? <LogOut /> : undefined}>
        <Figure label={t("about.user")}>{me.user === null ? "–" : visible(me.user)}</Figure>
        {me.role !== null && <Figure label={t("about.role")}>{wordText("role", me.role)}</Figure>}
        <Figure label={t("about.how")}>{wordText("how", me.how)}</Figure>
        {!isAdmin && <Figure label={t("about.tokens")}>{t("about.tokens.admin")}</Figure>}
      </Part>
      {isAdmin && <TokenList nowUs={nowUs} />}
    </>
  );
}

/** The rights of each token, its last use, and its validity. */
function TokenList({ nowUs }: { nowUs: number }) {
  const query = useQuery({ queryKey: ["tokens"], queryFn: ({ signal }) => fetchTokens(signal), refetchInterval: AGAIN_MS, staleTime: 0 });
  if (query.error) return <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />;
  const time = (timeUs: number) => ago(timeUs, nowUs, locale);
  return (
    <Part title={t("about.tokens")}>
      {query.data?.tokens.length === 0 && <Figure label={t("about.nothing")}>{count(0)}</Figure>}
      {query.data?.tokens.map(({ id, name, scopes, used_us, expires_us }) => {
        const isOver = expires_us != null && expires_us <= nowUs;
        const states = [
          scopes.map((scope) => wordText("scope", scope)).join(", "),
          used_us == null ? t("about.token.unused") : t("about.token.used", { time: time(used_us) }),
          expires_us == null ? t("about.token.ever") : t(isOver ? "about.token.over" : "about.token.ends", { time: time(expires_us) }),
        ];
        return (
          <div key={id} data-token={name} data-state={isOver ? "failed" : undefined}>
            <dt className="dim" translate="no">{visible(name)}</dt>
            <dd>{states.join(" · ")}</dd>
          </div>
        );
      })}
    </Part>
  );
}

function LogOut() {
  return (
    <form method="post" action="/logout">
      <Button type="submit" className="outlined">
        {t("about.logout")}
      </Button>
    </form>
  );
}

function Part({ title, action, children }: { title: string; action?: ReactNode; children: ReactNode }) {
  return (
    <section>
      <h2>{title}</h2>
      <dl>{children}</dl>
      {action}
    </section>
  );
}

function Figure({ label, children }: { label: string; children: ReactNode }) {
  return (
    <div>
      <dt className="dim">{label}</dt>
      <dd className="number">{children}</dd>
    </div>
  );
}
