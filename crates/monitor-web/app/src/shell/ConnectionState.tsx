import { useEffect, useSyncExternalStore } from "react";
import { t } from "../i18n.ts";
import { connectionStore } from "../live/live.ts";
import type { Connection } from "../live/messages.ts";
import { announce } from "../ui/announce.ts";
import { useNow } from "../ui/now.ts";

/** Shows if the page's data is current; always visible. */
export function ConnectionState() {
  const connection = useSyncExternalStore(connectionStore.subscribe, connectionStore.get);
  const nowUs = useNow(connection.state === "broken" ? "slow" : "never");
  // The age of the data is available as text, but not announced every second.
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
