import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { endHush, fetchHushes, hush } from "../../api/alerts.ts";
import { useAgain, useAgainAt } from "../../data/useAgain.ts";
import { t, wordText } from "../../i18n.ts";
import { visible } from "../../model/text.ts";
import { DataList } from "../../ui/DataList.tsx";
import { DeedSaid, useDeed } from "../../ui/Deed.tsx";
import { Input } from "../../ui/Input.tsx";
import { OperatorButton, WhyRefused } from "../../ui/OperatorButton.tsx";
import { ProblemNotice } from "../../ui/Problem.tsx";
import { At } from "../../ui/Time.tsx";
import { AlertsHead } from "./AlertsHead.tsx";

const AGAIN_MS = 1000;
const EXAMPLE = { scope: "task:import-*", length: "2h" };

/** Periods during which some alerts are muted. */
export function Hushes() {
  const query = useQuery({ queryKey: ["hushes"], queryFn: ({ signal }) => fetchHushes(signal), staleTime: 0 });
  useAgain(["alerts"], query, AGAIN_MS);
  useAgainAt((query.data?.hushes ?? []).map(({ until_us }) => until_us), query);
  const [said, act] = useDeed(() => void query.refetch());
  const [wanted, setWanted] = useState({ scope: "", length: EXAMPLE.length, why: "" });
  const field = (key: keyof typeof wanted, placeholder?: string) => (
    <Input value={wanted[key]} placeholder={placeholder} aria-label={t(`alerts.hush.${key}`)} title={t(`alerts.hush.${key}`)} onChange={(event) => setWanted({ ...wanted, [key]: event.target.value })} />
  );
  const hushes = query.data?.hushes ?? [];
  const columns = ["scope", "kind", "until", "by", "why", "deeds"] as const;
  return (
    <>
      <AlertsHead>
        <WhyRefused />
      </AlertsHead>
      <div className="body">
        <div className="filters">
          {field("scope", EXAMPLE.scope)}
          {field("length", EXAMPLE.length)}
          {field("why", t("alerts.hush.why"))}
          <OperatorButton className="outlined" onClick={() => act(() => hush(wanted.scope, wanted.length, wanted.why, true).then(() => setWanted({ ...wanted, scope: "", why: "" })))}>
            {t("alerts.hush.add")}
          </OperatorButton>
        </div>
        <DeedSaid said={said} />
        {query.error && <ProblemNotice error={query.error} onRetry={() => void query.refetch()} />}
        {hushes.length === 0 && !query.error && <p className="notice dim">{t(query.isPending ? "loading" : "alerts.hush.none")}</p>}
        {hushes.length > 0 && (
          <DataList columns={columns.map((key) => ({ key: key === "by" || key === "kind" ? `aside ${key}` : key, text: t(`alerts.column.${key}`) }))}>
            {hushes.map((one) => (
              <tr key={one.id} data-hush={one.id}>
                <th scope="row" translate="no">
                  {visible(one.scope)}
                </th>
                <td className="aside dim">{wordText("alerts.hush", one.kind)}</td>
                <td>
                  <At timeUs={one.until_us} />
                </td>
                <td className="aside dim">{visible(one.who)}</td>
                <td className="why">{visible(one.why ?? "")}</td>
                <td className="deeds">
                  <OperatorButton className="outlined" onClick={() => act(() => endHush(one.id))}>
                    {t("alerts.hush.end")}
                  </OperatorButton>
                </td>
              </tr>
            ))}
          </DataList>
        )}
      </div>
    </>
  );
}
