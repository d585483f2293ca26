import { Link } from "@tanstack/react-router";
import { useEffect } from "react";
import { t } from "../i18n.ts";
import { visible } from "../model/text.ts";

/** The screen of an address that belongs to none. */
export function NotFound() {
  useEffect(() => {
    document.title = `${t("app.not-found")} · ${t("app.name")}`;
  }, []);
  return (
    <div className="notice">
      <h1>{t("app.not-found")}</h1>
      <p className="dim mono">{visible(location.pathname)}</p>
      <p>{t("app.not-found.hint")}</p>
      <p>
        <Link className="link" to="/tasks">
          {t("root.back")}
        </Link>
      </p>
    </div>
  );
}
