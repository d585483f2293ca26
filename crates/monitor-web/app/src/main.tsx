import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { readAhead } from "./api/ahead.ts";
import { startLive } from "./data/live.ts";
import { queryClient } from "./data/query.ts";
import { me } from "./data/useMe.ts";
import { loadTexts, locale } from "./i18n.ts";
import { screens } from "./screens/screen.ts";
import { router } from "./shell/router.tsx";
import { applyTheme, chosenTheme } from "./shell/theme.ts";
import { idle } from "./ui/useIdle.ts";
import "./ui/tokens.css";
import "./ui/base.css";

/** Longest time that the first paint waits for what would push it. */
const PATIENCE_MS = 2_000;

applyTheme(chosenTheme());
document.documentElement.lang = locale === "zh" ? "zh-Hans" : locale;
startLive();
// The screen that is asked for is read beside the texts, not after them.
const asked = screens.find(({ path }) => path === location.pathname) ?? screens.find(({ path }) => path.endsWith("$root"));
// A font or a refusal that arrives after the first paint would push what is being read.
const pushing = Promise.allSettled([document.fonts.load("1em Inter"), queryClient.prefetchQuery(me)]);
const patience = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
await Promise.all([loadTexts(), asked?.load().catch(() => undefined), Promise.race([pushing, patience])]);

createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <QueryClientProvider client={queryClient}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
);

// All screens are there when they are gone to, even if the connection is not; what is asked for goes first, and one after the other
// none of them keeps the page from answering.
await readAhead;
for (const { load } of screens) {
  await idle();
  await load().catch(() => undefined);
}
