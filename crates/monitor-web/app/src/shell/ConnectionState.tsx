import { useEffect, useSyncExternalStore } from "react";
import { t } from "../i18n.ts";
import { connectionStore } from "../live/live.ts";
import type { Connection } from "../live/messages.ts";
import { announce } from "../ui/announce.ts";
import { useNow } from "../ui/now.ts";

/** Whether what is seen is what is: always in sight. */
export function ConnectionState() {
  const connection = useSyncExternalStore(connectionStore.subscribe, connectionStore.get);
  const nowUs = useNow(connection.state === "broken" ? "slow" : "never");
  // How old the last data are is there to be read, not said each second.
  useEffect(() => {
    if (connection.state !== "connecting") announce("connection", words(connection, Date.now() * 1000));
  }, [connection.state]);
  return (
    <span className="connection" data-connection={connection.state}>
      <span className="dot" aria-hidden="true" />
      <span>{words(connection, nowUs)}</span>
    </span>
  );
}

function words({ state, lastDataMs }: Connection, nowUs: number): string {
  if (state !== "broken") return t(`connection.${state}`);
  if (lastDataMs === null) return t("connection.never");
  return t("connection.broken", { seconds: Math.max(0, Math.round(nowUs / 1e6 - lastDataMs / 1000)) });
}
