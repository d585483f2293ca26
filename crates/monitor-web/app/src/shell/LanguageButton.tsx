import { chooseLanguage, languages, locale } from "../i18n.ts";
import { Button } from "../ui/Button.tsx";

/** Switches to the next language. The label is that language's own name, so that its readers recognise it. */
export function LanguageButton() {
  const next = languages[(languages.findIndex(({ code }) => code === locale) + 1) % languages.length];
  if (!next || next.code === locale) return null;
  return (
    <Button className="language" translate="no" lang={next.code} title={next.name} aria-label={`${next.short} ${next.name}`} onClick={() => chooseLanguage(next.code)}>
      {next.short}
    </Button>
  );
}
