import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { fetchRules, previewChannel, testChannel } from "../../api/alerts.ts";
import type { AlertChannel, AlertPreview } from "../../api/types.ts";
import { useAgain } from "../../data/useAgain.ts";
import { t, wordText } from "../../i18n.ts";
import { visible, visibleLines } from "../../model/text.ts";
import { DataList } from "../../ui/DataList.tsx";
import { DeedSaid, useDeed } from "../../ui/Deed.tsx";
import { Empty } from "../../ui/Empty.tsx";
import { AdminButton, WhyRefused } from "../../ui/OperatorButton.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { StateMark } from "../../ui/StateMark.tsx";
import { Ago } from "../../ui/Time.tsx";
import { AlertsHead } from "./AlertsHead.tsx";
import { Mistakes } from "./Mistakes.tsx";

const AGAIN_MS = 2000;
const COLUMNS = ["sign", "channel", "kind", "delivery"] as const;
/** A channel that works as it stands, if a mail server listens on the server's machine. */
const EXAMPLE = `[channel.ops]
kind = "mail"
server = "localhost:25"
tls = "none"
from = "monitor@localhost"
to = ["root@localhost"]`;

/** The channels that messages are sent by, each with its last delivery. */
export function Channels() {
  const query = useQuery({ queryKey: ["alert-rules"], queryFn: ({ signal }) => fetchRules(signal) });
  useAgain(["alerts"], query, AGAIN_MS);
  const [said, act] = useDeed(() => void query.refetch());
  const [preview, setPreview] = useState<AlertPreview>();
  const test = (name: string) => testChannel(name).then((told) => `${visible(name)}: ${wordText("alerts.message", told.state)} ${visible(told.answer ?? "")}`);
  const { channels = [], mistakes = [], file = "" } = query.data ?? {};
  return (
    <>
      <AlertsHead />
      <div className="body">
        {channels.length > 0 && <WhyRefused right="admin" />}
        <DeedSaid said={said} />
        {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
        {query.isPending && !query.error && <p className="notice dim">{t("loading")}</p>}
        <Mistakes of={mistakes} />
        {query.data && channels.length === 0 && <Empty title={t("alerts.channels.none")} how={t("alerts.channels.how", { file: visible(file) })} command={EXAMPLE} />}
        {channels.length > 0 && (
          <>
            <p className="more dim">{t("alerts.channels.file", { file: visible(file) })}</p>
            <DataList columns={[...COLUMNS, "deeds" as const].map((key) => (key === "sign" ? { key, text: t("alerts.column.state"), isMute: true } : { key, text: t(`alerts.column.${key}`), isMute: key === "deeds" }))}>
              {channels.map((channel) => (
                <Row key={channel.name} channel={channel} onPreview={() => act(() => previewChannel(channel.name).then(setPreview))} onTest={() => act(() => test(channel.name))} />
              ))}
            </DataList>
            {preview && <Previewed preview={preview} />}
          </>
        )}
      </div>
    </>
  );
}

const STATES: Readonly<Record<string, string>> = { sent: "succeeded", undelivered: "failed", waiting: "pending" };

function Row({ channel, onTest, onPreview }: { channel: AlertChannel; onTest: () => void; onPreview: () => void }) {
  const { name, kind, last } = channel;
  const state = STATES[last?.state ?? ""] ?? "pending";
  return (
    <tr data-channel={name} data-state={state}>
      <td className="sign">
        <span className="state" data-state={state}>
          <StateMark state={state} />
        </span>
      </td>
      <th scope="row" className="channel" translate="no">
        {visible(name)}
      </th>
      <td className="kind dim" translate="no">
        {visible(kind)}
      </td>
      <td className="why" data-message={last?.state}>
        {last === null ? (
          <span className="dim">{t("alerts.channels.unused")}</span>
        ) : (
          <>
            {wordText("alerts.message", last.state)} <Ago timeUs={last.time_us} /> <span translate="no">{visible(last.answer ?? "")}</span>
          </>
        )}
      </td>
      <td className="deeds">
        <span className="row-deeds">
          <AdminButton className="outlined" onClick={onTest}>
            {t("alerts.test")}
          </AdminButton>
          <AdminButton className="quiet" onClick={onPreview}>
            {t("alerts.preview")}
          </AdminButton>
        </span>
      </td>
    </tr>
  );
}

/** The latest alert as a channel would format it. */
function Previewed({ preview: { alert, text, trouble } }: { preview: AlertPreview }) {
  return (
    <div className="preview" role="status">
      {trouble !== null && <p className="more bad">{t("alerts.preview.trouble", { why: visible(trouble) })}</p>}
      {alert === null && <p className="more dim">{t("alerts.preview.none")}</p>}
      <pre className="mono" translate="no">
        {visibleLines(text)}
      </pre>
    </div>
  );
}
