import { type ReactNode, useSyncExternalStore } from "react";
import { t } from "../../i18n.ts";
import { alertsStore } from "../../live/live.ts";
import { Head } from "../../ui/Head.tsx";
import { Tabs } from "../../ui/Tabs.tsx";
import { useAlertSearch } from "./useAlertSearch.ts";

const TABS = ["firing", "history", "rules", "channels", "heartbeats", "hushes"] as const;

/** The head of each part of the screen, with its actions. */
export function AlertsHead({ children }: { children?: ReactNode }) {
  const { tab } = useAlertSearch();
  const alerts = useSyncExternalStore(alertsStore.subscribe, alertsStore.get);
  const tabs = TABS.map((name) => ({
    text: t(`alerts.tab.${name}`),
    search: name === "firing" ? {} : { tab: name },
    isCurrent: tab === name,
    bad: name === "firing" ? (alerts?.firing ?? 0) : 0,
  }));
  return (
    <Head title={t("alerts.title")} tabs={<Tabs label={t("alerts.title")} to="/tasks/alerts" tabs={tabs} />}>
      {children}
    </Head>
  );
}
