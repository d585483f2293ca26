import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { fetchRules, fetchTrials, previewChannel, testChannel } from "../../api/alerts.ts";
import type { AlertChannel, AlertPreview, AlertRules, AlertTrial } from "../../api/types.ts";
import { t, wordText } from "../../i18n.ts";
import { visible, visibleLines } from "../../model/text.ts";
import { DeedSaid, useDeed } from "../../ui/Deed.tsx";
import { AdminButton, WhyRefused } from "../../ui/OperatorButton.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { Ago } from "../../ui/Time.tsx";
import { Mistakes } from "./AlertList.tsx";
import { DAYS, Draft, Tried } from "./Draft.tsx";

const FRESH_MS = 60_000;

/** The rules and channels of alerts. */
export function Rules() {
  const query = useQuery({ queryKey: ["alert-rules"], queryFn: ({ signal }) => fetchRules(signal) });
  const trials = useQuery({ queryKey: ["alert-trials"], queryFn: ({ signal }) => fetchTrials(DAYS, signal), staleTime: FRESH_MS });
  const [said, act] = useDeed(() => void query.refetch());
  const [preview, setPreview] = useState<AlertPreview>();
  const [shown, actOnChannel] = useDeed();
  if (query.error) return <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />;
  if (!query.data || trials.isPending) return <p className="notice dim">{t("loading")}</p>;
  const { rules, channels, mistakes, warnings, file } = query.data;
  return (
    <>
      <DeedSaid said={said} />
      <Mistakes of={mistakes} />
      {warnings && <pre className="more mono">{warnings.map(visible).join("\n")}</pre>}
      <section aria-labelledby="alert-channels">
        <h2 id="alert-channels">{t("alerts.channels")}</h2>
        <p className="more dim">
          {t(channels.length === 0 ? "alerts.channels.none" : "alerts.channels.file", { file: visible(file) })}
        </p>
        {channels.length > 0 && (
          <table>
            <tbody>
              {channels.map((channel) => (
                <Channel key={channel.name} channel={channel} onPreview={() => actOnChannel(() => previewChannel(channel.name).then(setPreview))} onTest={() => act(() => testChannel(channel.name).then((told) => `${visible(channel.name)}: ${wordText("alerts.message", told.state)} ${visible(told.answer ?? "")}`))} />
              ))}
            </tbody>
          </table>
        )}
        <DeedSaid said={shown} />
        {preview && <Previewed preview={preview} />}
      </section>
      <section aria-labelledby="alert-rules">
        <h2 id="alert-rules">{t("alerts.rules")}</h2>
        <table>
          <tbody>
            {rules.map((rule) => (
              <Rule key={rule.name} rule={rule} tried={trials.data?.trials.find((trial) => trial.rule === rule.name)?.trial} />
            ))}
          </tbody>
        </table>
      </section>
      <Draft />
      <p className="more">
        <WhyRefused right="admin" />
      </p>
    </>
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

function Channel({ channel, onTest, onPreview }: { channel: AlertChannel; onTest: () => void; onPreview: () => void }) {
  const { name, kind, last } = channel;
  return (
    <tr data-channel={name}>
      <th scope="row" translate="no">
        {visible(name)}
      </th>
      <td className="dim" translate="no">
        {visible(kind)}
      </td>
      <td>
        <AdminButton className="outlined" onClick={onTest}>
          {t("alerts.test")}
        </AdminButton>{" "}
        <AdminButton className="outlined" onClick={onPreview}>
          {t("alerts.preview")}
        </AdminButton>
      </td>
      <td className="why dim" data-message={last?.state}>
        {last === null ? t("alerts.channels.unused") : `${wordText("alerts.message", last.state)} `}
        {last !== null && <Ago timeUs={last.time_us} />} {visible(last?.answer ?? "")}
      </td>
    </tr>
  );
}

function Rule({ rule, tried }: { rule: AlertRules["rules"][number]; tried: AlertTrial | undefined }) {
  return (
    <tr data-rule={rule.name}>
      <th scope="row" translate="no">
        {visible(rule.name)}
      </th>
      <td className="dim">{[wordText("alerts.source", rule.source), rule.replaces_builtin && t("alerts.replaces")].filter(Boolean).join(", ")}</td>
      <td>{tried && <Tried trial={tried} />}</td>
      <td className="why mono" translate="no">
        {visible(JSON.stringify(rule.definition))}
      </td>
    </tr>
  );
}
