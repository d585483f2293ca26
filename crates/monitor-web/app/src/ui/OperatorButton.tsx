import type { ComponentProps, MouseEvent } from "react";
import { type Right, useMay } from "../data/useMe.ts";
import { t } from "../i18n.ts";

/** Prints a link that lets a browser in as an administrator. */
const LINK = "monitor open --role admin";

type Props = ComponentProps<"button"> & { onClick: () => void };

/** A button that changes what is kept. Whoever may not do that sees it disabled, with the reason, and a click does nothing. */
export function OperatorButton(props: Props) {
  return <GuardedButton right="operate" {...props} />;
}

/** The same for changes that want the right `admin`, such as new tasks and tests of channels. */
export function AdminButton(props: Props) {
  return <GuardedButton right="admin" {...props} />;
}

function GuardedButton({ right, onClick, ...rest }: Props & { right: Right }) {
  const isRefused = useMay(right) === false;
  const act = (event: MouseEvent) => {
    if (!isRefused) return onClick();
    // A menu does not take it for a choice, and stays open.
    event.stopPropagation();
  };
  return <button type="button" {...rest} {...(isRefused && { "aria-disabled": true, title: t(`tasks.refused.${right}`) })} onClick={act} />;
}

/** Why the buttons beside it are disabled, for whom they are, and the way to the login. */
export function WhyRefused({ right = "operate" }: { right?: Right }) {
  if (useMay(right) !== false) return null;
  return (
    <span className="refused dim">
      {t(`tasks.refused.${right}`)}{" "}
      {right === "admin" && (
        <>
          {t("tasks.refused.remedy")} <code translate="no">{LINK}</code>{" "}
        </>
      )}
      <a className="link" href={`/login?next=${encodeURIComponent(location.pathname + location.search)}`}>
        {t("tasks.log-in")}
      </a>
    </span>
  );
}
