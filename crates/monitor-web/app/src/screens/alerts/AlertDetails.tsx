import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { fetchAlert } from "../../api/alerts.ts";
import type { Alert, AlertDetail } from "../../api/types.ts";
import { decisionWords, whyDecided } from "../../data/alertWords.ts";
import { useAgain } from "../../data/useAgain.ts";
import { t, wordText } from "../../i18n.ts";
import { visible, visibleLines } from "../../model/text.ts";
import { DeedSaid, useDeed } from "../../ui/Deed.tsx";
import { useNow } from "../../ui/now.ts";
import { WhyRefused } from "../../ui/OperatorButton.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { Said } from "../../ui/Text.tsx";
import { At } from "../../ui/Time.tsx";
import { AlertButtons, Cause, lasted } from "./parts.tsx";

const AGAIN_MS = 1000;

/** One alert: its cause, start, recipients, decisions, and the result of each message. */
export function AlertDetails({ id }: { id: number }) {
  const query = useQuery({ queryKey: ["alert", id], queryFn: ({ signal }) => fetchAlert(id, signal), staleTime: 0 });
  useAgain(["alerts"], query, AGAIN_MS);
  const [said, act] = useDeed(() => void query.refetch());
  const detail = query.data;
  const unreached = detail?.notes.find(({ what, who }) => what === "nobody" && who);
  return (
    <div className="pane alerts">
      <header className="title">
        <Link to="/tasks/alerts" className="link">
          {t("alerts.title")}
        </Link>
        <h1 translate="no">{detail ? visible(detail.alert.subject) : id}</h1>
        {detail && <AlertButtons alert={detail.alert} act={act} />}
        <WhyRefused />
      </header>
      <DeedSaid said={said} />
      {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
      {query.isPending && <p className="notice dim">{t("loading")}</p>}
      {unreached?.who && <p className="notice bad">{t("alerts.unreached", { owner: visible(unreached.who) })}</p>}
      {detail && <Facts alert={detail.alert} />}
      {detail && <Notes detail={detail} />}
      {detail && detail.messages.length > 0 && <Messages detail={detail} />}
    </div>
  );
}

function Facts({ alert }: { alert: Alert }) {
  const { facts } = alert;
  const nowUs = useNow(alert.state === "firing" ? "slow" : "never");
  const state = alert.state === "firing" ? t("alerts.firing-for", { time: lasted(alert, nowUs) }) : t("alerts.over-after", { time: lasted(alert, 0) });
  const rows: [string, ReactNode][] = [
    [t("alerts.column.state"), state],
    [t("alerts.column.severity"), wordText("alerts.severity", alert.severity)],
    [t("alerts.column.why"), <Cause alert={alert} />],
    [t("alerts.column.since"), <At timeUs={alert.since_us} />],
    [t("alerts.column.rule"), <span translate="no">{visible(alert.rule)}</span>],
    [t("alerts.column.told"), alert.told.map(visible).join(", ")],
    [t("alerts.column.acked"), visible(alert.acknowledged_by ?? "")],
    [t("alerts.column.machine"), visible(facts.machine ?? "")],
    [
      t("alerts.column.job"),
      facts.job === undefined ? (
        ""
      ) : (
        <Link to="/tasks/jobs" search={{ job: String(facts.job) }} className="link">
          {facts.job}
        </Link>
      ),
    ],
    [
      t("alerts.column.run"),
      facts.root_id === undefined ? (
        ""
      ) : (
        <Link to="/tasks/$root" params={{ root: facts.root_id }} search={facts.process_id === undefined ? {} : { process: facts.process_id }} className="link">
          {visible(facts.run ?? facts.root_id)}
        </Link>
      ),
    ],
  ];
  const published = (facts.published ?? []).map(({ target, was, is }) => t("alerts.published", { target, was, is: is ?? 0 }));
  const changes = [...published, ...(facts.changes ?? [])];
  return (
    <div className="facts">
      <dl>
        {rows.filter(([, value]) => value !== "").map(([label, value]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {facts.lines !== undefined && <Lines title={t("alerts.lines")} lines={facts.lines} />}
      {changes.length > 0 && <Lines title={t("alerts.changes")} lines={changes} />}
    </div>
  );
}

function Lines({ title, lines }: { title: string; lines: readonly string[] }) {
  return (
    <section>
      <h2>{title}</h2>
      <pre className="mono">{visibleLines(lines.join("\n"))}</pre>
    </section>
  );
}

function Notes({ detail }: { detail: AlertDetail }) {
  return (
    <section aria-labelledby="alert-notes">
      <h2 id="alert-notes">{t("alerts.notes")}</h2>
      <table>
        <tbody>
          {detail.notes.map((note, index) => (
            <tr key={index}>
              <td>
                <At timeUs={note.time_us} />
              </td>
              <td>{decisionWords(note)}</td>
              <td className="why dim">
                <Said text={whyDecided(note)} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Messages({ detail }: { detail: AlertDetail }) {
  return (
    <section aria-labelledby="alert-messages">
      <h2 id="alert-messages">{t("alerts.messages")}</h2>
      <table>
        <tbody>
          {detail.messages.map((message) => (
            <tr key={message.id} data-message={message.state}>
              <td>
                <At timeUs={message.time_us} />
              </td>
              <td>{wordText("alerts.kind", message.kind)}</td>
              <td>{[message.channel, message.address].filter((text) => text !== null).map((text) => visible(text)).join(" · ")}</td>
              <td className="message">{wordText("alerts.message", message.state)}</td>
              <td className="why dim">
                <Said text={message.answer ?? ""} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
