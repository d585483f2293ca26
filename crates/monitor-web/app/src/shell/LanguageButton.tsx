import { chooseLanguage, languages, locale } from "../i18n.ts";

/** The next language, by its own name: so that whoever reads only that one finds it. */
export function LanguageButton() {
  const next = languages[(languages.findIndex(({ code }) => code === locale) + 1) % languages.length];
  if (!next || next.code === locale) return null;
  return (
    <button type="button" className="language" translate="no" lang={next.code} title={next.name} aria-label={`${next.short} ${next.name}`} onClick={() => chooseLanguage(next.code)}>
      {next.short}
    </button>
  );
}
