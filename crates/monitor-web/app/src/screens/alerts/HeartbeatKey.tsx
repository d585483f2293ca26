import { useState } from "react";
import { addHeartbeat } from "../../api/alerts.ts";
import type { HeartbeatKey } from "../../api/types.ts";
import { locale, t } from "../../i18n.ts";
import { readMilliseconds } from "../../model/duration.ts";
import { visible } from "../../model/text.ts";
import { Button } from "../../ui/Button.tsx";
import { CopyButton } from "../../ui/CopyButton.tsx";
import { Dialog } from "../../ui/Dialog.tsx";
import { Input } from "../../ui/Input.tsx";
import { AdminButton } from "../../ui/OperatorButton.tsx";
import { problemText } from "../../ui/Problem.tsx";

/** Snippets for jobs, by language: the same files that `monitor heartbeat add --snippet` prints. */
const SNIPPETS: Readonly<Record<string, string>> = import.meta.glob("./snippets/*.txt", { eager: true, query: "?raw", import: "default" });
const LANGUAGES = ["sh", "python", "powershell", "crontab", "systemd"] as const;
const EMPTY = { name: "", when: "", zone: "", grace: "10m" };
const EXAMPLES = { name: "nightly-backup", when: "1d", zone: "Europe/Berlin", grace: "10m" };

/** A form that adds a heartbeat. */
export function AddHeartbeat({ onKey, onClose }: { onKey: (key: HeartbeatKey) => void; onClose: () => void }) {
  const [wanted, setWanted] = useState(EMPTY);
  const [refused, setRefused] = useState<string>();
  const change = (key: keyof typeof wanted, text: string) => {
    setWanted({ ...wanted, [key]: text });
    setRefused(undefined);
  };
  const field = (key: keyof typeof wanted, isFirst = false) => (
    <div className="field">
      <label htmlFor={`heartbeat-${key}`}>{t(`alerts.heartbeat.${key}`)}</label>
      <Input id={`heartbeat-${key}`} value={wanted[key]} placeholder={EXAMPLES[key]} autoFocus={isFirst} onChange={(event) => change(key, event.target.value)} />
    </div>
  );
  const add = async () => {
    try {
      const every = readMilliseconds(wanted.when);
      const grace = readMilliseconds(wanted.grace);
      if (grace === undefined) throw new Error(t("alerts.heartbeat.length", { text: wanted.grace }));
      const zone = wanted.zone.trim();
      const when = every === undefined ? { rule: wanted.when.trim(), ...(zone && { zone }) } : { every_ms: every };
      onKey(await addHeartbeat({ name: wanted.name.trim(), grace_ms: grace, ...when }));
      onClose();
    } catch (error) {
      setRefused(problemText(error));
    }
  };
  return (
    <Dialog label={t("alerts.heartbeat.new-one")} className="ask pane-form" onClose={onClose}>
      <h2>{t("alerts.heartbeat.new-one")}</h2>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void add();
        }}
      >
        {field("name", true)}
        {field("when")}
        {field("zone")}
        {field("grace")}
        {refused !== undefined && (
          <p className="said bad" role="alert">
            {visible(refused)}
          </p>
        )}
        <p className="buttons">
          <AdminButton className="primary" onClick={() => void add()}>
            {t("alerts.heartbeat.add")}
          </AdminButton>
          <Button className="quiet" onClick={onClose}>
            {t("dialog.cancel")}
          </Button>
        </p>
        <Button type="submit" hidden />
      </form>
    </Dialog>
  );
}

/** A new key, which is only shown once, and its use in a job. */
export function NewKey({ of: key }: { of: HeartbeatKey }) {
  const [language, setLanguage] = useState<(typeof LANGUAGES)[number]>("sh");
  const url = key.url ?? location.origin + key.path;
  const file = Object.keys(SNIPPETS).find((path) => path.endsWith(`/${language}.txt`)) ?? "";
  // A rule or a name may contain the name of a placeholder, so all placeholders are replaced in one pass.
  const values: Record<string, string> = { NAME: visible(key.name), URL: url, RULE: visible(key.crontab) };
  const snippet = (SNIPPETS[file] ?? "").replace(/NAME|URL|RULE/g, (place) => values[place] ?? place);
  return (
    <section className="key" role="status" data-key={key.name}>
      <p className="more">{t("alerts.heartbeat.key", { name: visible(key.name) })}</p>
      <p className="more mono" translate="no">
        <span className="url">{url}</span> <CopyButton text={url} />
      </p>
      {key.old_key_until_us != null && (
        <p className="more dim">{t("alerts.heartbeat.old", { until: new Date(key.old_key_until_us / 1000).toLocaleString(locale) })}</p>
      )}
      <div className="filters">
        <select value={language} aria-label={t("alerts.heartbeat.language")} title={t("alerts.heartbeat.language")} onChange={(event) => setLanguage(event.target.value as typeof language)}>
          {LANGUAGES.map((each) => (
            <option key={each}>{each}</option>
          ))}
        </select>
        <CopyButton text={snippet} />
      </div>
      <pre className="mono" translate="no" tabIndex={0}>
        {snippet}
      </pre>
    </section>
  );
}
