import { useState } from "react";
import { tryDraft } from "../../api/alerts.ts";
import type { AlertTrial, AlertTrials } from "../../api/types.ts";
import { subjectName } from "../../data/alertWords.ts";
import { t } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { Button } from "../../ui/Button.tsx";
import { DeedSaid, useDeed } from "../../ui/Deed.tsx";

/** Number of past days that draft rules are applied to. */
export const DAYS = 7;
/** Maximum number of alerts that are listed for a tried rule. */
const NAMED = 3;
const EXAMPLE = `[[rule]]
name = "imports"
on = { cause = ["failed", "missed"], task = "import-*" }
times = 2
`;

/** The alerts that a rule would have sent: their number and subjects. */
export function Tried({ trial: { count, alerts, is_cut } }: { trial: AlertTrial }) {
  const names = [...new Set(alerts.map(({ subject }) => subjectName(subject)))];
  const on = names.slice(0, NAMED).join(", ") + (names.length > NAMED ? " …" : "");
  return (
    <span className={count === 0 ? "tried dim" : "tried"}>
      {count === 0 ? t("alerts.would.never", { days: DAYS }) : `${t("alerts.would", { count, days: DAYS })}: `}
      <span translate="no" title={names.join(", ")}>
        {on}
      </span>
      {is_cut && ` (${t("alerts.would.cut")})`}
    </span>
  );
}

/** Tries draft rules in the format of the file. */
export function Draft() {
  const [text, setText] = useState(EXAMPLE);
  const [made, setMade] = useState<AlertTrials>();
  const [said, act] = useDeed();
  const change = (text: string) => {
    setText(text);
    setMade(undefined);
  };
  return (
    <section aria-labelledby="alert-draft" className="draft">
      <h2 id="alert-draft">{t("alerts.draft")}</h2>
      <p className="more dim">{t("alerts.draft.hint")}</p>
      <textarea className="mono" rows={6} spellCheck={false} translate="no" value={text} aria-labelledby="alert-draft" onChange={(event) => change(event.target.value)} onKeyDown={(event) => event.stopPropagation()} />
      <p className="more">
        <Button className="outlined" onClick={() => act(() => tryDraft(text, DAYS).then(setMade))}>
          {t("alerts.draft.try", { days: DAYS })}
        </Button>
      </p>
      <DeedSaid said={said} />
      {made && (
        <ul role="status">
          {made.trials.map(({ rule, trial }, index) => (
            <li key={index} data-tried={rule}>
              <span translate="no">{visible(rule)}</span> <Tried trial={trial} />
            </li>
          ))}
          {made.warnings?.map((warning) => (
            <li key={warning} className="dim">
              {visible(warning)}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
