import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { removeHost } from "../../api/jobs.ts";
import type { ManagedHost } from "../../api/types.ts";
import { count, t } from "../../i18n.ts";
import { tagsText } from "../../model/job-draft.ts";
import { visible, visibleLines } from "../../model/text.ts";
import { DataList } from "../../ui/DataList.tsx";
import { DeedSaid, useDeed } from "../../ui/Deed.tsx";
import { AdminButton, WhyRefused } from "../../ui/OperatorButton.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { StateMark } from "../../ui/StateMark.tsx";
import { Ago } from "../../ui/Time.tsx";
import { useParts } from "../../ui/useParts.ts";
import { RemoveDialog } from "./FieldsDialog.tsx";
import { HostDialog } from "./HostDialog.tsx";
import { CommandLine } from "../../ui/CommandLine.tsx";
import { FilterField } from "../../ui/FilterField.tsx";
import { Head } from "../../ui/Head.tsx";
import { FromFile, JobTabs } from "./parts.tsx";
import { SavedTargets } from "./SavedTargets.tsx";
import { useHosts } from "./useJobs.ts";
import { useJobSearch } from "./useJobSearch.ts";

/** Command that makes the machine that it is run on a host. */
const JOIN = "monitor agent join";
const COLUMNS = ["host", "contact", "address", "tags", "groups", "deeds"] as const;

/** The hosts that jobs can run on. */
export function Hosts() {
  const { q, set } = useJobSearch();
  const query = useHosts();
  const [said, act] = useDeed(() => void query.refetch());
  const [editing, setEditing] = useState<ManagedHost | "new">();
  const [removing, setRemoving] = useState<ManagedHost>();
  const all = query.data?.hosts ?? [];
  const hosts = all.filter((host) => shows(host, q ?? ""));
  const { most, end } = useParts(hosts.length);
  return (
    <div className="pane jobs hosts-list">
      <Head title={t("jobs.title")} tabs={<JobTabs tab="hosts" />}>
        <span className="dim count-line">{query.data && t("jobs.hosts.count", { count: count(all.length), online: count(all.filter(({ is_online }) => is_online).length) })}</span>
        <FilterField value={q} label={t("jobs.filter.managed")} onChange={(text) => set({ q: text })} />
        <AdminButton className="primary" onClick={() => setEditing("new")}>
          {t("jobs.hosts.add")}
        </AdminButton>
      </Head>
      <div className="body">
        <WhyRefused right="admin" />
        <DeedSaid said={said} />
        {query.data?.file_problem != null && (
          <p className="notice bad lines" role="alert">
            {visibleLines(query.data.file_problem)}
          </p>
        )}
        {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
        {query.isPending && !query.error && <p className="notice dim">{t("loading")}</p>}
        {query.data && hosts.length === 0 && (q ? <p className="notice dim">{t("jobs.no-hosts-so")}</p> : <Empty />)}
        {hosts.length > 0 && (
          <DataList columns={COLUMNS.map((key) => ({ key, text: t(`jobs.column.${key}`) }))}>
            {hosts.slice(0, most).map((host) => (
              <Row key={host.id} host={host} onEdit={() => setEditing(host)} onRemove={() => setRemoving(host)} />
            ))}
          </DataList>
        )}
        {hosts.length > most && (
          <p ref={end} className="more dim">
            {t("tasks.more")}
          </p>
        )}
        {query.data && <SavedTargets />}
      </div>
      {editing !== undefined && <HostDialog host={editing === "new" ? undefined : editing} names={all.map(({ name }) => name)} onDone={() => void query.refetch()} onClose={() => setEditing(undefined)} />}
      {removing && <RemoveDialog title={t("jobs.hosts.remove.ask", { host: visible(removing.name) })} why={t("jobs.hosts.remove.why")} onRemove={() => act(() => removeHost(removing.id))} onClose={() => setRemoving(undefined)} />}
    </div>
  );
}

/** Returns true if a name, address, tag or group of a host contains the text. */
function shows({ name, ip, ipv6, tags, groups = [] }: ManagedHost, text: string): boolean {
  const wanted = text.trim().toLowerCase();
  return [name, ip ?? "", ipv6 ?? "", tagsText(tags), ...groups].some((part) => part.toLowerCase().includes(wanted));
}

function Row({ host, onEdit, onRemove }: { host: ManagedHost; onEdit: () => void; onRemove: () => void }) {
  const state = host.is_online ? "succeeded" : host.has_agent ? "lost" : "pending";
  return (
    <tr data-managed={host.name} data-state={state}>
      <th scope="row" className="host" translate="no">
        {visible(host.name)} <span className="number dim">{host.id}</span> {host.is_from_file && <FromFile />}
      </th>
      <td className="contact">
        <span className="state" data-state={state}>
          <StateMark state={state} /> {t(host.is_online ? "jobs.online" : host.has_agent ? "jobs.offline" : "jobs.never")}
        </span>{" "}
        <span className="dim">{!host.is_online && host.last_contact_us !== null && <Ago timeUs={host.last_contact_us} />}</span>
      </td>
      <td className="address" translate="no">
        {[host.ip, host.ipv6].filter((address) => address != null).map(visible).join(", ")}
        {(host.cloud_id ?? 0) !== 0 && <span className="dim"> {t("jobs.network", { network: host.cloud_id ?? 0 })}</span>}
      </td>
      <td className="tags">
        {Object.entries(host.tags ?? {}).map(([name, value]) => (
          <span key={name} className="chip" translate="no">
            {visible(value === "" ? name : `${name}=${value}`)}
          </span>
        ))}
      </td>
      <td className="groups dim" translate="no">
        {(host.groups ?? []).map(visible).join(", ")}
      </td>
      <td className="deeds">
        <Link to="/tasks/jobs" search={{ tab: "new", host: host.name }} className="quiet" aria-label={t("jobs.hosts.run.of", { host: visible(host.name) })}>
          {t("jobs.hosts.run")}
        </Link>
        {!host.is_from_file && (
          <>
            <AdminButton className="quiet" aria-label={t("jobs.hosts.edit.of", { host: visible(host.name) })} onClick={onEdit}>
              {t("jobs.hosts.edit")}
            </AdminButton>
            <AdminButton className="quiet" aria-label={t("jobs.hosts.remove.of", { host: visible(host.name) })} onClick={onRemove}>
              {t("jobs.hosts.remove")}
            </AdminButton>
          </>
        )}
      </td>
    </tr>
  );
}

/** Explains how a machine becomes a host. */
function Empty() {
  return (
    <div className="notice">
      <h2>{t("jobs.hosts.none")}</h2>
      <p className="dim">{t("jobs.hosts.none.how")}</p>
      <CommandLine text={`${JOIN} ${location.origin} < token`} />
    </div>
  );
}
