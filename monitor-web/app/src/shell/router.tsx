import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from "@tanstack/react-router";
import { t } from "../i18n.ts";
import { parseSearch, stringifySearch } from "../model/filters.ts";
import { screens } from "../screens/screen.ts";
import { Shell } from "./Shell.tsx";

const top = createRootRoute({ component: Shell, notFoundComponent: NotFound });

const home = createRoute({
  getParentRoute: () => top,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/tasks" });
  },
});

export const router = createRouter({
  routeTree: top.addChildren([
    home,
    ...screens.map(({ path, load }) => createRoute({ getParentRoute: () => top, path, component: lazyRouteComponent(load) })),
  ]),
  parseSearch,
  stringifySearch,
  defaultPreload: "intent",
  defaultErrorComponent: Crashed,
});

function NotFound() {
  return (
    <div className="notice">
      <h2>{t("app.not-found")}</h2>
      <p>
        <a className="link" href="/tasks">
          {t("root.back")}
        </a>
      </p>
    </div>
  );
}

function Crashed({ error }: { error: unknown }) {
  return (
    <div className="notice" role="alert">
      <h2>{t("app.crashed", { message: String(error) })}</h2>
      <button type="button" className="outlined" onClick={() => location.reload()}>
        {t("app.reload")}
      </button>
    </div>
  );
}
