import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from "@tanstack/react-router";
import { t } from "../i18n.ts";
import { connectionStore } from "../live/live.ts";
import { parseSearch, stringifySearch } from "../model/filters.ts";
import { screens } from "../screens/screen.ts";
import { Button } from "../ui/Button.tsx";
import { NotFound } from "../ui/NotFound.tsx";
import { Shell } from "./Shell.tsx";

const top = createRootRoute({ component: Shell, notFoundComponent: NotFound });

/** Other addresses of screens. */
const others = Object.entries({ "/": "/tasks", "/tasks/settings": "/tasks/about" }).map(([path, to]) =>
  createRoute({
    getParentRoute: () => top,
    path,
    beforeLoad: () => {
      throw redirect({ to, replace: true });
    },
  }),
);

export const router = createRouter({
  routeTree: top.addChildren([
    ...others,
    ...screens.map(({ path, load }) => createRoute({ getParentRoute: () => top, path, component: lazyRouteComponent(() => whenConnected(load)) })),
  ]),
  parseSearch,
  stringifySearch,
  defaultPreload: "intent",
  defaultErrorComponent: Crashed,
});

/**
 * Loads a screen. If that fails without a connection, reloads the page once the connection is back, because browsers don't retry a failed
 * module import. With a connection, the file was removed by an update, which the router handles.
 */
async function whenConnected<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    const isLive = () => connectionStore.get().state === "live";
    if (isLive()) throw error;
    await new Promise<void>((resolve) => {
      const stop = connectionStore.subscribe(() => {
        if (!isLive()) return;
        stop();
        resolve();
      });
    });
    // The link may only have been hovered.
    if (!router.state.isLoading) throw error;
    location.reload();
    return new Promise(() => undefined);
  }
}

function Crashed({ error }: { error: unknown }) {
  return (
    <div className="notice" role="alert">
      <h2>{t("app.crashed", { message: String(error) })}</h2>
      <Button className="outlined" onClick={() => location.reload()}>
        {t("app.reload")}
      </Button>
    </div>
  );
}
