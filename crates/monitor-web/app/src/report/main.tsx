/** The page of a report file with one or more runs. It sends no request. */
import "./storage.ts";
import { QueryClientProvider } from "@tanstack/react-query";
import { createHashHistory, createRootRoute, createRoute, createRouter, redirect, RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { startLive } from "../data/live.ts";
import { queryClient } from "../data/query.ts";
import { loadPart, loadTexts, locale } from "../i18n.ts";
import { parseSearch, stringifySearch } from "../model/filters.ts";
import RootPage from "../screens/root/RootPage.tsx";
import { applyTheme, chosenTheme } from "../shell/theme.ts";
import { file } from "./file.ts";
import { otherThan, Shell } from "./Shell.tsx";
import "../ui/tokens.css";
import "../ui/base.css";

const top = createRootRoute({ component: Shell, notFoundComponent: ToFirst });
const run = createRoute({ getParentRoute: () => top, path: "/tasks/$root", component: RootPage });
const first = createRoute({ getParentRoute: () => top, path: "/", beforeLoad: ToFirst });

/** Opens the first run, or its comparison with the second one. */
function ToFirst(): never {
  const root = file.runs[0]?.root_id ?? "";
  const search = file.is_comparison ? { tab: "compare" as const, with: otherThan(root) } : {};
  throw redirect({ to: "/tasks/$root", params: { root }, search, replace: true });
}

const router = createRouter({ routeTree: top.addChildren([first, run]), history: createHashHistory(), parseSearch, stringifySearch });

applyTheme(chosenTheme());
document.documentElement.lang = locale === "zh" ? "zh-Hans" : locale;
startLive();
await Promise.all([loadTexts(), loadPart("report")]);

createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <QueryClientProvider client={queryClient}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
);
