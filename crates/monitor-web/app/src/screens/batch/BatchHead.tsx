import type { ReactNode } from "react";
import { t } from "../../i18n.ts";
import { Head } from "../../ui/Head.tsx";
import { Tabs } from "../../ui/Tabs.tsx";
import { useBatchSearch } from "./useBatchSearch.ts";

const PARTS = [undefined, "runs", "day"] as const;

/** The head of the lists: tasks, runs, and a day. `states` limits the list. */
export function BatchHead({ states, children }: { states?: ReactNode; children?: ReactNode }) {
  const { tab } = useBatchSearch();
  const tabs = PARTS.map((name) => ({ text: t(`batch.${name ?? "tasks"}`), search: name === undefined ? {} : { tab: name }, isCurrent: tab === name }));
  return (
    <Head
      title={t("batch.title")}
      tabs={
        <>
          <Tabs label={t("batch.title")} to="/tasks/batch" tabs={tabs} />
          {states}
        </>
      }
    >
      {children}
    </Head>
  );
}
