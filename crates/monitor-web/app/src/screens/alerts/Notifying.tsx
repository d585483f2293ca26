import { useState } from "react";
import { isNotifying, setNotifying } from "../../data/notices.ts";
import { t } from "../../i18n.ts";
import { Button } from "../../ui/Button.tsx";

/** Switches system notifications of new alerts in this browser. Browsers only allow them for secure origins. */
export function Notifying() {
  const [isOn, setIsOn] = useState(isNotifying);
  if (!("Notification" in window) || !window.isSecureContext) return null;
  if (Notification.permission === "denied") return <span className="dim">{t("alerts.notify.denied")}</span>;
  const turn = (isWanted: boolean) => void setNotifying(isWanted).then(() => setIsOn(isNotifying()));
  return (
    <>
      {isOn && <span className="dim">{t("alerts.notify.on")}</span>}
      <Button className="quiet" onClick={() => turn(!isOn)}>
        {t(isOn ? "alerts.notify.off" : "alerts.notify")}
      </Button>
    </>
  );
}
