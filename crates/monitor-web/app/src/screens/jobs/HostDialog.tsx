import type { ManagedHost } from "../../api/types.ts";
import { putHost } from "../../api/jobs.ts";
import { t } from "../../i18n.ts";
import { readNames, readTags, tagsText } from "../../model/job-draft.ts";
import { visible } from "../../model/text.ts";
import { FieldsDialog } from "./FieldsDialog.tsx";

const FIELDS = ["name", "ip", "ipv6", "cloud_id", "tags", "groups", "accounts"] as const;
const PLACEHOLDERS = { name: "web-1", ip: "10.0.0.7", ipv6: "fd00::7", cloud_id: "0", tags: "env=prod, canary", groups: "eu-west, web", accounts: "app, postgres" };

/** A form that adds a host, or changes one. `names` are those of the other hosts. */
export function HostDialog({ host, names, onDone, onClose }: { host: ManagedHost | undefined; names: readonly string[]; onDone: () => void; onClose: () => void }) {
  const isKnown = host !== undefined;
  const fields = FIELDS.map((name) => ({ name, label: t(`jobs.hosts.field.${name}`), placeholder: PLACEHOLDERS[name], isRequired: name === "name", isFixed: name === "name" && isKnown, isNumber: name === "cloud_id" }));
  const texts = { name: host?.name ?? "", ip: host?.ip ?? "", ipv6: host?.ipv6 ?? "", cloud_id: String(host?.cloud_id ?? 0), tags: tagsText(host?.tags), groups: (host?.groups ?? []).join(", "), accounts: (host?.accounts ?? []).join(", ") };
  const save = async ({ name, ip, ipv6, cloud_id, tags, groups, accounts }: typeof texts) => {
    // The server would replace the settings of the other host.
    if (!isKnown && names.includes(name.trim())) return t("jobs.hosts.exists", { host: visible(name.trim()) });
    await putHost({ name: name.trim(), ...(ip.trim() && { ip: ip.trim() }), ...(ipv6.trim() && { ipv6: ipv6.trim() }), cloud_id: Number(cloud_id), tags: readTags(tags), groups: readNames(groups), accounts: readNames(accounts) });
    onDone();
    return undefined;
  };
  return <FieldsDialog title={isKnown ? t("jobs.hosts.edit.of", { host: visible(host.name) }) : t("jobs.hosts.add")} fields={fields} texts={texts} save={save} onClose={onClose} />;
}
