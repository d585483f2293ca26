import type { Screen } from "../screen.ts";

export const screen: Screen = {
  path: "/tasks",
  sections: [
    { group: "observe", place: 1, isNear: true, title: "tasks.title", icon: "M3 4h10M3 8h7M3 12h9", badge: (status) => status?.failing_names ?? 0 },
    { group: "observe", place: 2, title: "names.title", icon: "M3.5 3h9q1 0 1 1v2q0 1-1 1h-9q-1 0-1-1v-2q0-1 1-1zM3.5 9h9q1 0 1 1v2q0 1-1 1h-9q-1 0-1-1v-2q0-1 1-1z", search: { by: "name" } },
  ],
  load: () => import("./Tasks.tsx"),
};
