import type { Screen } from "../screen.ts";
import { Tasks } from "./Tasks.tsx";

export const screen: Screen = { path: "/tasks", nav: "tasks.title", place: 1, component: Tasks };
