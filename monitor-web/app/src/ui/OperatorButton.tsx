import type { ComponentProps, MouseEvent } from "react";
import { useMayOperate } from "../data/useMe.ts";
import { t } from "../i18n.ts";

/** A button that changes what is kept. Whoever may not do that sees it disabled, with the reason, and a click does nothing. */
export function OperatorButton({ onClick, ...rest }: ComponentProps<"button"> & { onClick: () => void }) {
  const isRefused = useMayOperate() === false;
  const act = (event: MouseEvent) => {
    if (!isRefused) return onClick();
    // A menu does not take it for a choice, and stays open.
    event.stopPropagation();
  };
  return <button type="button" {...rest} {...(isRefused && { "aria-disabled": true, title: t("tasks.refused") })} onClick={act} />;
}

/** Why the buttons beside it are disabled, for whom they are, and the way to the login. */
export function WhyRefused() {
  if (useMayOperate() !== false) return null;
  return (
    <span className="refused dim">
      {t("tasks.refused")}{" "}
      <a className="link" href={`/login?next=${encodeURIComponent(location.pathname + location.search)}`}>
        {t("tasks.log-in")}
      </a>
    </span>
  );
}
