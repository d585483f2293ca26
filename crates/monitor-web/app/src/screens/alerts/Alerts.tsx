import { useEffect } from "react";
import { t } from "../../i18n.ts";
import { AlertDetails } from "./AlertDetails.tsx";
import { AlertList } from "./AlertList.tsx";
import { Channels } from "./Channels.tsx";
import { Heartbeats } from "./Heartbeats.tsx";
import { Hushes } from "./Hushes.tsx";
import { Rules } from "./Rules.tsx";
import { useAlertSearch } from "./useAlertSearch.ts";
import "../../ui/pane.css";
import "./alerts.css";

/** The alerts screen: active and past alerts, rules, channels, heartbeats and silences. */
export default function Alerts() {
  const { alert } = useAlertSearch();
  useEffect(() => {
    document.title = `${t("alerts.title")} · ${t("app.name")}`;
  }, []);
  if (alert !== undefined) return <AlertDetails id={alert} />;
  return (
    <div className="pane alerts">
      <Part />
    </div>
  );
}

function Part() {
  const { tab, subject } = useAlertSearch();
  switch (tab) {
    case "rules":
      return <Rules />;
    case "channels":
      return <Channels />;
    case "heartbeats":
      return <Heartbeats />;
    case "hushes":
      return <Hushes />;
    default:
      return <AlertList key={tab + subject} isFiring={tab !== "history"} subject={subject} />;
  }
}
