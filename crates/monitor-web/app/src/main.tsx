import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { readAhead } from "./api/ahead.ts";
import { startLive } from "./data/live.ts";
import { queryClient, watchConnection } from "./data/query.ts";
import { me } from "./data/useMe.ts";
import { loadTexts, locale } from "./i18n.ts";
import { screens } from "./screens/screen.ts";
import { router } from "./shell/router.tsx";
import { applyTheme, chosenTheme } from "./shell/theme.ts";
import { idle } from "./ui/useIdle.ts";
import "./ui/tokens.css";
import "./ui/base.css";

/** Maximum time that the first paint waits for resources that would shift its content. */
const PATIENCE_MS = 2_000;

applyTheme(chosenTheme());
document.documentElement.lang = locale === "zh" ? "zh-Hans" : locale;
startLive();
watchConnection();
// Load the requested screen in parallel with the texts.
const asked = screens.find(({ path }) => path === location.pathname) ?? screens.find(({ path }) => path.endsWith("$root"));
// A font or an access error that arrives after the first paint would shift the content.
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

// Preload all screens, so that they are available without a connection. The requested one is loaded first; the others follow one after
// another, so that the page stays responsive.
await readAhead;
for (const { load } of screens) {
  await idle();
  await load().catch(() => undefined);
}
