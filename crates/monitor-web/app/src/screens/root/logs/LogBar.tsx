import { useEffect, useState } from "react";
import { t, wordText } from "../../../i18n.ts";
import { LEVELS } from "../../../model/logs.ts";
import { Button } from "../../../ui/Button.tsx";
import { Input } from "../../../ui/Input.tsx";

const TYPING_MS = 250;

interface Props {
  level: string | undefined;
  q: string;
  wraps: boolean;
  onChange: (change: { level?: string; said?: string }) => void;
  onWrap: () => void;
  /** Goes to the first error. */
  onError: () => void;
  /** Result of the last attempt to go to the first error. */
  note: string;
}

/** Filter of the log, and how it is shown. */
export function LogBar({ level, q, wraps, onChange, onWrap, onError, note }: Props) {
  const [text, setText] = useState(q);
  useEffect(() => setText(q), [q]);
  useEffect(() => {
    if (text === q) return;
    const timer = setTimeout(() => onChange({ said: text }), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <div className="logs-bar">
      <select aria-label={t("logs.level")} value={level ?? ""} onChange={(event) => onChange({ level: event.target.value })}>
        <option value="">{t("logs.level.all")}</option>
        {LEVELS.slice(0, -1).map((each) => (
          <option key={each} value={each}>
            {t("logs.level.from", { level: wordText("level", each) })}
          </option>
        ))}
      </select>
      <Input type="search" className="filter-field" aria-label={t("logs.search")} placeholder={t("logs.search")} value={text} onChange={(event) => setText(event.target.value)} />
      <Button className="toggle" aria-pressed={wraps} onClick={onWrap}>
        {t("logs.wrap")}
      </Button>
      <Button onClick={onError}>
        {t("logs.error")}
      </Button>
      <span className="dim" role="status">
        {note}
      </span>
    </div>
  );
}
