import { useSyncExternalStore } from "react";
import { announcements } from "../ui/announce.ts";

/** What happens, for screen readers. */
export function Announcer() {
  const said = useSyncExternalStore(announcements.subscribe, announcements.get);
  return (
    <p className="hidden" role="status">
      {said}
    </p>
  );
}
