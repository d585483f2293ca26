import { loadPart } from "../../i18n.ts";
import type { Screen } from "../screen.ts";

export const screen: Screen = {
  path: "/tasks/jobs",
  sections: [{ group: "operate", place: 2, title: "jobs.title", icon: "M2.5 3.5h11v3.5h-11zM2.5 9h11v3.5h-11zM5 5.2h.01M5 10.7h.01" }],
  load: async () => {
    const [screen] = await Promise.all([import("./Jobs.tsx"), loadPart("jobs")]);
    return screen;
  },
};
