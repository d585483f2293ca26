import { useSyncExternalStore } from "react";
import { announcements } from "../ui/announce.ts";

/** Announces changes to screen readers. */
export function Announcer() {
  const said = useSyncExternalStore(announcements.subscribe, announcements.get);
  return (
    <p className="hidden" role="status">
      {said}
    </p>
  );
}
