import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { removeTargets, saveTargets } from "../../api/jobs.ts";
import type { SavedTargets as Saved } from "../../api/types.ts";
import { t } from "../../i18n.ts";
import { otherIps, targetsOf, targetsText } from "../../model/job-draft.ts";
import { visible } from "../../model/text.ts";
import { DataList } from "../../ui/DataList.tsx";
import { DeedSaid, useDeed } from "../../ui/Deed.tsx";
import { AdminButton } from "../../ui/OperatorButton.tsx";
import { FieldsDialog, RemoveDialog } from "./FieldsDialog.tsx";
import { FromFile } from "./parts.tsx";
import { useSavedTargets } from "./useJobs.ts";

const FIELDS = ["name", "hosts", "groups", "tags"] as const;
const PLACEHOLDERS = { name: "web-prod", hosts: "web-* 10.0.0.7", groups: "eu-west", tags: "env=prod,!canary" };
const COLUMNS = ["saved", "selects", "chosen", "deeds"] as const;

/** Selections of hosts with a name. */
export function SavedTargets() {
  const query = useSavedTargets();
  const [said, act] = useDeed(() => void query.refetch());
  const [editing, setEditing] = useState<Saved | "new">();
  const [removing, setRemoving] = useState<Saved>();
  const all = query.data?.targets ?? [];
  return (
    <section className="saved-targets">
      <header>
        <h2>{t("jobs.saved")}</h2>
        <span className="dim">{t("jobs.saved.what")}</span>
        <AdminButton className="outlined" onClick={() => setEditing("new")}>
          {t("jobs.saved.add")}
        </AdminButton>
      </header>
      <DeedSaid said={said} />
      {all.length > 0 && (
        <DataList columns={COLUMNS.map((key) => ({ key, text: t(`jobs.column.${key}`) }))}>
          {all.map((saved) => (
            <Row key={saved.name} saved={saved} onEdit={() => setEditing(saved)} onRemove={() => setRemoving(saved)} />
          ))}
        </DataList>
      )}
      {editing !== undefined && <TargetsDialog saved={editing === "new" ? undefined : editing} names={all.map(({ name }) => name)} onDone={() => void query.refetch()} onClose={() => setEditing(undefined)} />}
      {removing && <RemoveDialog title={t("jobs.saved.remove.ask", { name: visible(removing.name) })} why={t("jobs.saved.remove.why")} onRemove={() => act(() => removeTargets(removing.name))} onClose={() => setRemoving(undefined)} />}
    </section>
  );
}

function Row({ saved: { name, targets, selected, problem, is_from_file }, onEdit, onRemove }: { saved: Saved; onEdit: () => void; onRemove: () => void }) {
  return (
    <tr data-saved={name}>
      <th scope="row" className="saved" translate="no">
        {visible(name)} {is_from_file && <FromFile />}
      </th>
      <td className="selects" translate="no">
        {visible(targetsText(targets))}
      </td>
      <td className="chosen">{problem === null ? t("jobs.saved.count", { count: selected }) : <span className="bad">{visible(problem)}</span>}</td>
      <td className="deeds">
        <Link to="/tasks/jobs" search={{ tab: "new", saved: name }} className="quiet" aria-label={t("jobs.hosts.run.of", { host: visible(name) })}>
          {t("jobs.hosts.run")}
        </Link>
        {!is_from_file && (
          <>
            <AdminButton className="quiet" aria-label={t("jobs.hosts.edit.of", { host: visible(name) })} onClick={onEdit}>
              {t("jobs.hosts.edit")}
            </AdminButton>
            <AdminButton className="quiet" aria-label={t("jobs.hosts.remove.of", { host: visible(name) })} onClick={onRemove}>
              {t("jobs.hosts.remove")}
            </AdminButton>
          </>
        )}
      </td>
    </tr>
  );
}

/** A form that saves targets. `names` are those of all saved targets. */
function TargetsDialog({ saved, names, onDone, onClose }: { saved: Saved | undefined; names: readonly string[]; onDone: () => void; onClose: () => void }) {
  const isKnown = saved !== undefined;
  const fields = FIELDS.map((name) => ({ name, label: t(`jobs.field.${name}`), placeholder: PLACEHOLDERS[name], isRequired: name === "name", isFixed: name === "name" && isKnown }));
  const { hosts = [], ips = [], groups = [], tags } = saved?.targets ?? {};
  // The form has no field for the network of an address.
  const others = otherIps(saved?.targets);
  const texts = { name: saved?.name ?? "", hosts: [...hosts, ...ips.filter(({ cloud_id }) => !cloud_id).map(({ ip }) => ip)].join(" "), groups: groups.join(", "), tags: tags ?? "" };
  const save = async ({ name, ...of }: typeof texts) => {
    if (!isKnown && names.includes(name.trim())) return t("jobs.saved.exists", { name: visible(name.trim()) });
    const targets = targetsOf({ ...of, saved: "" });
    await saveTargets(name.trim(), others.length > 0 ? { ...targets, ips: [...(targets.ips ?? []), ...others] } : targets);
    onDone();
    return undefined;
  };
  return <FieldsDialog title={isKnown ? t("jobs.hosts.edit.of", { host: visible(saved.name) }) : t("jobs.saved.add")} fields={fields} texts={texts} save={save} onClose={onClose} />;
}
