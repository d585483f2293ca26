import { useQuery } from "@tanstack/react-query";
import { fetchRules, testChannel, tryRule } from "../../api/alerts.ts";
import type { AlertChannel, AlertRules } from "../../api/types.ts";
import { t, wordText } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { DeedSaid, useDeed } from "../../ui/Deed.tsx";
import { OperatorButton, WhyRefused } from "../../ui/OperatorButton.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { Ago } from "../../ui/Time.tsx";
import { Mistakes } from "./AlertList.tsx";

const DAYS = 7;
const NAMED = 3;

/** By which rules somebody is told, and by which channels. */
export function Rules() {
  const query = useQuery({ queryKey: ["alert-rules"], queryFn: ({ signal }) => fetchRules(signal) });
  const [said, act] = useDeed(() => void query.refetch());
  if (query.error) return <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />;
  if (!query.data) return <p className="notice dim">{t("loading")}</p>;
  const { rules, channels, mistakes, file } = query.data;
  return (
    <>
      <DeedSaid said={said} />
      <Mistakes of={mistakes} />
      <section aria-labelledby="alert-channels">
        <h2 id="alert-channels">{t("alerts.channels")}</h2>
        <p className="more dim">
          {t(channels.length === 0 ? "alerts.channels.none" : "alerts.channels.file", { file: visible(file) })}
        </p>
        {channels.length > 0 && (
          <table>
            <tbody>
              {channels.map((channel) => (
                <Channel key={channel.name} channel={channel} onTest={() => act(() => testChannel(channel.name).then((told) => `${visible(channel.name)}: ${wordText("alerts.message", told.state)} ${visible(told.answer ?? "")}`))} />
              ))}
            </tbody>
          </table>
        )}
      </section>
      <section aria-labelledby="alert-rules">
        <h2 id="alert-rules">{t("alerts.rules")}</h2>
        <table>
          <tbody>
            {rules.map((rule) => (
              <Rule key={rule.name} rule={rule} onTry={() => act(() => tried(rule.name))} />
            ))}
          </tbody>
        </table>
      </section>
      <p className="more">
        <WhyRefused />
      </p>
    </>
  );
}

/** What a rule would have told in the past days, in words. */
async function tried(rule: string): Promise<string> {
  const { count, messages, alerts } = await tryRule(rule, DAYS);
  const named = alerts.slice(0, NAMED).map((alert) => visible(alert.subject)).join(", ");
  return `${visible(rule)}: ${t("alerts.tried", { count, messages, days: DAYS })}${named === "" ? "" : ` (${named}${count > NAMED ? " …" : ""})`}`;
}

function Channel({ channel, onTest }: { channel: AlertChannel; onTest: () => void }) {
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
        <OperatorButton className="outlined" onClick={onTest}>
          {t("alerts.test")}
        </OperatorButton>
      </td>
      <td className="why dim" data-message={last?.state}>
        {last === null ? t("alerts.channels.unused") : `${wordText("alerts.message", last.state)} `}
        {last !== null && <Ago timeUs={last.time_us} />} {visible(last?.answer ?? "")}
      </td>
    </tr>
  );
}

function Rule({ rule, onTry }: { rule: AlertRules["rules"][number]; onTry: () => void }) {
  return (
    <tr data-rule={rule.name}>
      <th scope="row" translate="no">
        {visible(rule.name)}
      </th>
      <td className="dim">{wordText("alerts.source", rule.source)}</td>
      <td>
        <button type="button" className="outlined" onClick={onTry}>
          {t("alerts.try")}
        </button>
      </td>
      <td className="why mono" translate="no">
        {visible(JSON.stringify(rule.definition))}
      </td>
    </tr>
  );
}
