import { Link } from "@tanstack/react-router";
import { useEffect } from "react";
import { t } from "../../i18n.ts";
import { AlertDetails } from "./AlertDetails.tsx";
import { Heartbeats } from "./Heartbeats.tsx";
import { Hushes } from "./Hushes.tsx";
import { AlertList } from "./AlertList.tsx";
import { Rules } from "./Rules.tsx";
import { useAlertSearch } from "./useAlertSearch.ts";
import "../../ui/pane.css";
import "./alerts.css";

const TABS = ["firing", "history", "rules", "heartbeats", "hushes"] as const;

/** The alerts screen: active and past alerts, rules, and channels. */
export default function Alerts() {
  const { tab, alert, subject } = useAlertSearch();
  useEffect(() => {
    document.title = `${t("alerts.title")} · ${t("app.name")}`;
  }, []);
  if (alert !== undefined) return <AlertDetails id={alert} />;
  return (
    <div className="pane alerts">
      <h1 className="hidden">{t("alerts.title")}</h1>
      <nav className="tabs" aria-label={t("alerts.title")}>
        {TABS.map((name) => (
          <Link key={name} to="/tasks/alerts" search={name === "firing" ? {} : { tab: name }} activeOptions={{ exact: true }} className="outlined" aria-current={tab === name ? "page" : undefined}>
            {t(`alerts.tab.${name}`)}
          </Link>
        ))}
      </nav>
      {tab === "rules" ? <Rules /> : tab === "heartbeats" ? <Heartbeats /> : tab === "hushes" ? <Hushes /> : <AlertList key={tab + subject} isFiring={tab !== "history"} subject={subject} />}
    </div>
  );
}
