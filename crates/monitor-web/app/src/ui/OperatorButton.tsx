import type { ComponentProps, MouseEvent } from "react";
import { type Right, useMay } from "../data/useMe.ts";
import { t } from "../i18n.ts";
import { CopyButton } from "./CopyButton.tsx";

/** Command that prints a link with which a browser logs in as an administrator. */
const LINK = "monitor open --role admin";

type Props = ComponentProps<"button"> & { onClick: () => void };

/**
 * A button that changes stored data. For readers without the right it is disabled with the reason as its title, and a click does nothing.
 */
export function OperatorButton(props: Props) {
  return <GuardedButton right="operate" {...props} />;
}

/** A button for changes that require the right `admin`, such as new tasks and tests of channels. */
export function AdminButton(props: Props) {
  return <GuardedButton right="admin" {...props} />;
}

/** A button that starts or changes jobs on hosts. The server also checks that the reader's grant covers the job. */
export function JobButton(props: Props) {
  return <GuardedButton right="jobs" {...props} />;
}

function GuardedButton({ right, onClick, ...rest }: Props & { right: Right }) {
  const isRefused = useMay(right) === false;
  const act = (event: MouseEvent) => {
    if (!isRefused) return onClick();
    // Otherwise a menu would treat it as a choice and close.
    event.stopPropagation();
  };
  return <button type="button" {...rest} {...(isRefused && { "aria-disabled": true, title: t(`tasks.refused.${right}`) })} onClick={act} />;
}

/** The reason why nearby buttons are disabled, the required right, and a link to the login. */
export function WhyRefused({ right = "operate" }: { right?: Right }) {
  if (useMay(right) !== false) return null;
  return (
    <span className="refused dim">
      {t(`tasks.refused.${right}`)}{" "}
      {right !== "operate" && (
        <>
          {t("tasks.refused.remedy")} <code translate="no">{LINK}</code> <CopyButton text={LINK} />{" "}
        </>
      )}
      <a className="link" href={`/login?next=${encodeURIComponent(location.pathname + location.search)}`}>
        {t("tasks.log-in")}
      </a>
    </span>
  );
}
