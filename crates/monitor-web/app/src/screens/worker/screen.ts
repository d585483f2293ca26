import { loadPart } from "../../i18n.ts";
import type { Screen } from "../screen.ts";

export const screen: Screen = {
  path: "/tasks/workers/$id",
  load: async () => {
    const [screen] = await Promise.all([import("./Worker.tsx"), loadPart("worker"), loadPart("queue")]);
    return screen;
  },
};
