import { useQuery } from "@tanstack/react-query";
import { stringify } from "smol-toml";
import { fetchRules, fetchTrials } from "../../api/alerts.ts";
import type { AlertRules, AlertTrial } from "../../api/types.ts";
import { ruleWords } from "./ruleWords.ts";
import { t, wordText } from "../../i18n.ts";
import { visible, visibleLines } from "../../model/text.ts";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { AlertsHead } from "./AlertsHead.tsx";
import { DAYS, Draft, Tried } from "./Draft.tsx";
import { Mistakes } from "./Mistakes.tsx";

const FRESH_MS = 60_000;

/** The rules of alerts, each as a sentence. */
export function Rules() {
  const query = useQuery({ queryKey: ["alert-rules"], queryFn: ({ signal }) => fetchRules(signal) });
  const trials = useQuery({ queryKey: ["alert-trials"], queryFn: ({ signal }) => fetchTrials(DAYS, signal), staleTime: FRESH_MS });
  const { rules = [], mistakes = [], warnings } = query.data ?? {};
  return (
    <>
      <AlertsHead />
      <div className="body">
        {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
        {(query.isPending || trials.isPending) && !query.error && <p className="notice dim">{t("loading")}</p>}
        {query.data && !trials.isPending && (
          <>
            <Mistakes of={mistakes} />
            {warnings && <pre className="more mono">{warnings.map(visible).join("\n")}</pre>}
            <ul className="rules" aria-label={t("alerts.tab.rules")}>
              {rules.map((rule) => (
                <Rule key={rule.name} rule={rule} tried={trials.data?.trials.find((trial) => trial.rule === rule.name)?.trial} />
              ))}
            </ul>
            <Draft />
          </>
        )}
      </div>
    </>
  );
}

function Rule({ rule, tried }: { rule: AlertRules["rules"][number]; tried: AlertTrial | undefined }) {
  return (
    <li data-rule={rule.name}>
      <p>
        <b translate="no">{visible(rule.name)}</b> <span className="dim">{[wordText("alerts.source", rule.source), rule.replaces_builtin && t("alerts.replaces")].filter(Boolean).join(", ")}</span>
      </p>
      <p>{ruleWords(rule.definition)}</p>
      {tried && <Tried trial={tried} />}
      <RuleText definition={rule.definition} />
    </li>
  );
}

/** A rule in TOML, as in `alerts.toml`, on demand. */
export function RuleText({ definition }: { definition: Readonly<Record<string, unknown>> }) {
  return (
    <details className="as-toml">
      <summary>{t("alerts.rule.toml")}</summary>
      <pre className="mono" translate="no">
        {visibleLines(`[[rule]]\n${stringify(definition)}`.trim())}
      </pre>
    </details>
  );
}
