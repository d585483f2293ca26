import { useState } from "react";
import type { ManagedHost } from "../../api/types.ts";
import { putHost } from "../../api/jobs.ts";
import { t } from "../../i18n.ts";
import { readNames, readTags, tagsText } from "../../model/job-draft.ts";
import { visible } from "../../model/text.ts";
import { Dialog } from "../../ui/Dialog.tsx";
import { problemText } from "../../ui/Problem.tsx";

const FIELDS = ["name", "ip", "ipv6", "cloud_id", "tags", "groups"] as const;
const PLACEHOLDERS = { name: "web-1", ip: "10.0.0.7", ipv6: "fd00::7", cloud_id: "0", tags: "env=prod, canary", groups: "eu-west, web" };

/** A form that adds a host, or changes one. `names` are those of the other hosts. */
export function HostDialog({ host, names, onDone, onClose }: { host: ManagedHost | undefined; names: readonly string[]; onDone: () => void; onClose: () => void }) {
  const [texts, setTexts] = useState({ name: host?.name ?? "", ip: host?.ip ?? "", ipv6: host?.ipv6 ?? "", cloud_id: String(host?.cloud_id ?? 0), tags: tagsText(host?.tags), groups: (host?.groups ?? []).join(", ") });
  const [refused, setRefused] = useState<string>();
  const title = host === undefined ? t("jobs.hosts.add") : t("jobs.hosts.edit.of", { host: visible(host.name) });
  const save = async () => {
    const { name, ip, ipv6, cloud_id, tags, groups } = texts;
    // The server would replace the settings of the other host.
    if (host === undefined && names.includes(name.trim())) return setRefused(t("jobs.hosts.exists", { host: visible(name.trim()) }));
    try {
      await putHost({ name: name.trim(), ...(ip.trim() && { ip: ip.trim() }), ...(ipv6.trim() && { ipv6: ipv6.trim() }), cloud_id: Number(cloud_id), tags: readTags(tags), groups: readNames(groups) });
      onDone();
      onClose();
    } catch (error) {
      setRefused(problemText(error));
    }
  };
  return (
    <Dialog label={title} className="ask host-dialog" onClose={onClose}>
      <h2>{title}</h2>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void save();
        }}
      >
        {FIELDS.map((name) => (
          <div key={name} className="field">
            <label htmlFor={`host-${name}`}>{t(`jobs.hosts.field.${name}`)}</label>
            <input
              id={`host-${name}`}
              value={texts[name]}
              placeholder={PLACEHOLDERS[name]}
              required={name === "name"}
              readOnly={name === "name" && host !== undefined}
              inputMode={name === "cloud_id" ? "numeric" : "text"}
              pattern={name === "cloud_id" ? "\\d+" : undefined}
              spellCheck={false}
              translate="no"
              onChange={(event) => setTexts({ ...texts, [name]: event.target.value })}
            />
          </div>
        ))}
        {refused !== undefined && (
          <p className="bad lines" role="alert">
            {visible(refused)}
          </p>
        )}
        <p className="buttons">
          <button type="submit" className="primary">
            {t("jobs.hosts.save")}
          </button>
          <button type="button" className="quiet" onClick={onClose}>
            {t("jobs.ask.not")}
          </button>
        </p>
      </form>
    </Dialog>
  );
}
