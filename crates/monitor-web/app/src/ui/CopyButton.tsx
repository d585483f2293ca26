import { useEffect, useState } from "react";
import { t } from "../i18n.ts";
import { copyText } from "./copy.ts";
import { Icon, ICONS } from "./Icon.tsx";

/** Copies the original `text`, not its displayed form. With a `label` the button has a text; otherwise `what` is its accessible name. */
export function CopyButton({ text, label, what = t("copy") }: { text: string | (() => string); label?: string; what?: string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 1500);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = () => void copyText(typeof text === "string" ? text : text()).then(() => setCopied(true));
  if (label !== undefined) {
    return (
      <button type="button" className="outlined" onClick={copy}>
        {copied ? t("copied") : label}
      </button>
    );
  }
  return (
    <button type="button" className="copy" title={what} aria-label={copied ? t("copied") : what} onClick={copy}>
      <Icon d={copied ? ICONS.check : ICONS.copy} />
    </button>
  );
}
