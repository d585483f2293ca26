import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { fetchAlert, fetchRules } from "../../api/alerts.ts";
import type { Alert, AlertDetail } from "../../api/types.ts";
import { causeWords, decisionWords, subjectName, whyDecided } from "../../data/alertWords.ts";
import { ruleWords } from "./ruleWords.ts";
import { useAgain } from "../../data/useAgain.ts";
import { useMay } from "../../data/useMe.ts";
import { t, wordText } from "../../i18n.ts";
import { visible, visibleLines } from "../../model/text.ts";
import { DeedSaid, useDeed } from "../../ui/Deed.tsx";
import { Facts } from "../../ui/Facts.tsx";
import { ItemHead } from "../../ui/Head.tsx";
import { useNow } from "../../ui/now.ts";
import { WhyRefused } from "../../ui/OperatorButton.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { Reason } from "../../ui/Reason.tsx";
import { StateMark } from "../../ui/StateMark.tsx";
import { Said } from "../../ui/Text.tsx";
import { At } from "../../ui/Time.tsx";
import { RuleText } from "./Rules.tsx";
import { AlertButtons, SeverityMark, lasted } from "./parts.tsx";

const AGAIN_MS = 1000;

/** One alert: its reason, what happened since, the result of each message, and its rule. */
export function AlertDetails({ id }: { id: number }) {
  const query = useQuery({ queryKey: ["alert", id], queryFn: ({ signal }) => fetchAlert(id, signal), staleTime: 0 });
  useAgain(["alerts"], query, AGAIN_MS);
  const rules = useQuery({ queryKey: ["alert-rules"], queryFn: ({ signal }) => fetchRules(signal) });
  const [said, act] = useDeed(() => void query.refetch());
  const detail = query.data;
  const alert = detail?.alert;
  const unreached = detail?.notes.find(({ what, who }) => what === "nobody" && who);
  const rule = rules.data?.rules.find(({ name }) => name === alert?.rule);
  const may = useMay("operate");
  // Everything appears at once, so that nothing moves.
  if (!query.error && (query.isPending || rules.isPending || may === undefined)) {
    return (
      <div className="pane alerts">
        <p className="notice dim">{t("loading")}</p>
      </div>
    );
  }
  return (
    <div className="pane alerts">
      <ItemHead
        back={{ to: "/tasks/alerts", label: t("alerts.all") }}
        mark={alert && <SeverityMark alert={alert} />}
        title={<span translate="no">{alert ? subjectName(alert.subject) : id}</span>}
        facts={alert ? [<Since alert={alert} />] : []}
      >
        <WhyRefused />
        {alert && <AlertButtons alert={alert} act={act} main="primary" />}
      </ItemHead>
      <div className="body">
        <DeedSaid said={said} />
        {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
        {detail && alert && (
          <div className="two">
            <div className="main">
              <div>
                <Reason text={<Said text={alert.facts.error ?? alert.facts.text ?? causeWords(alert)} />} state={alert.severity === "critical" ? "failed" : alert.severity}>
                  {(alert.facts.error ?? alert.facts.text) !== undefined && <p className="dim">{causeWords(alert)}</p>}
                </Reason>
                {unreached?.who && <p className="unreached bad">{t("alerts.unreached", { owner: visible(unreached.who) })}</p>}
              </div>
              <Outputs alert={alert} />
              <Happened detail={detail} />
            </div>
            <div className="side">
              {rule && (
                <section aria-labelledby="alert-rule">
                  <h2 id="alert-rule">
                    {t("alerts.column.rule")}{" "}
                    <span className="dim" translate="no">
                      {visible(rule.name)}
                    </span>
                  </h2>
                  <p>{ruleWords(rule.definition)}</p>
                  <RuleText definition={rule.definition} />
                </section>
              )}
              <section aria-labelledby="alert-facts">
                <h2 id="alert-facts">{t("alerts.facts")}</h2>
                <Facts of={factsOf(alert)} />
              </section>
            </div>
          </div>
        )}
      </div>
    </div>
  );
}

function Since({ alert }: { alert: Alert }) {
  const nowUs = useNow(alert.state === "firing" ? "slow" : "never");
  return <>{alert.state === "firing" ? t("alerts.firing-for", { time: lasted(alert, nowUs) }) : t("alerts.over-after", { time: lasted(alert, 0) })}</>;
}

function factsOf(alert: Alert): [string, ReactNode][] {
  const { facts } = alert;
  const [, kind = "", name = ""] = /^([^:]*):(.*)$/.exec(alert.subject) ?? [];
  return [
    [t("alerts.column.severity"), wordText("alerts.severity", alert.severity)],
    [
      t("alerts.column.task"),
      kind === "task" ? (
        <Link to="/tasks/batch" search={{ task: name }} className="link" translate="no">
          {visible(name)}
        </Link>
      ) : (
        ""
      ),
    ],
    [t("alerts.column.since"), <At timeUs={alert.since_us} />],
    [t("alerts.column.rule"), <span translate="no">{visible(alert.rule)}</span>],
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
}

/** The last lines of the run, and what changed since the last good one. */
function Outputs({ alert: { facts } }: { alert: Alert }) {
  const published = (facts.published ?? []).map(({ target, was, is }) => t("alerts.published", { target, was, is: is ?? 0 }));
  const changes = [...published, ...(facts.changes ?? [])];
  return (
    <>
      {facts.lines !== undefined && <Lines title={t("alerts.lines")} lines={facts.lines} />}
      {changes.length > 0 && <Lines title={t("alerts.changes")} lines={changes} />}
    </>
  );
}

function Lines({ title, lines }: { title: string; lines: readonly string[] }) {
  return (
    <section>
      <h2>{title}</h2>
      <pre className="output-box mono" tabIndex={0}>
        {visibleLines(lines.join("\n"))}
      </pre>
    </section>
  );
}

interface Entry {
  key: string;
  timeUs: number;
  /** State of the mark. */
  mark: string;
  what: string;
  why: string;
}

/** The decisions and the messages, in the order of their times. */
function Happened({ detail: { notes, messages } }: { detail: AlertDetail }) {
  const entries: Entry[] = [
    ...notes.map((note, index) => ({ key: `note ${index}`, timeUs: note.time_us, mark: NOTE_MARKS[note.what] ?? "pending", what: decisionWords(note), why: whyDecided(note) })),
    ...messages.map((message) => ({
      key: message.id,
      timeUs: message.time_us,
      mark: MESSAGE_MARKS[message.state] ?? "pending",
      what: t("alerts.message.to", { kind: wordText("alerts.kind", message.kind), to: [message.channel, message.address].filter((text) => text !== null).map((text) => visible(text)).join(" · "), state: wordText("alerts.message", message.state) }),
      why: [message.answer ?? "", message.attempts > 1 ? t("alerts.attempts", { count: message.attempts }) : ""].filter((text) => text !== "").join(" · "),
    })),
  ].sort((a, b) => a.timeUs - b.timeUs);
  return (
    <section aria-labelledby="alert-notes">
      <h2 id="alert-notes">{t("alerts.happened")}</h2>
      <ol className="happened">
        {entries.map(({ key, timeUs, mark, what, why }) => (
          <li key={key}>
            <At timeUs={timeUs} />
            <span className="state" data-state={mark}>
              <StateMark state={mark} />
            </span>
            <span>
              {what}
              {why !== "" && (
                <span className="dim">
                  {" · "}
                  <Said text={why} />
                </span>
              )}
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}

const NOTE_MARKS: Readonly<Record<string, string>> = { fired: "failed", counted: "failed", back: "failed", resolved: "succeeded", acknowledged: "info", nobody: "warning", undelivered: "failed", "text-failed": "failed", hushed: "paused" };
const MESSAGE_MARKS: Readonly<Record<string, string>> = { sent: "succeeded", undelivered: "failed", waiting: "pending" };
