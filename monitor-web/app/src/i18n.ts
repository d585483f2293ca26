/**
 * The translation catalogue. A language is one file in `locales/`: its texts by id, in ICU
 * message format. English decides which ids there are; what another language lacks, TypeScript says.
 */
import { type Messages as Compiled, i18n } from "@lingui/core";
import { compileMessage } from "@lingui/message-utils/compileMessage";
import type { en } from "./locales/en.ts";

export type MessageId = keyof typeof en;
/** What every file in `locales/` exports by its language's name. */
export type Messages = Record<MessageId, string>;

const files = import.meta.glob<Record<string, Messages>>(["./locales/*.ts", "!./locales/*.test.ts"], { eager: true });
const catalogues = new Map<string, Messages>();
for (const file of Object.values(files)) {
  for (const [language, messages] of Object.entries(file)) catalogues.set(language, messages);
}

function preferred(languages: readonly string[]): string {
  for (const language of languages) {
    const short = language.split("-")[0] ?? "";
    if (catalogues.has(short)) return short;
  }
  return "en";
}

export const locale = preferred(navigator.languages);

const compiled: Compiled = {};
for (const [id, text] of Object.entries(catalogues.get(locale) ?? {})) compiled[id] = compileMessage(text);
i18n.loadAndActivate({ locale, messages: compiled });

/** A text of the page, in the reader's language. */
export function t(id: MessageId, values?: Record<string, string | number>): string {
  return i18n._(id, values);
}

/** Whether there is a text of this id. */
export function hasText(id: string): id is MessageId {
  return id in compiled;
}

const numbers = new Intl.NumberFormat(locale);

/** `12,040`, as the reader's language groups it. */
export function count(value: number): string {
  return numbers.format(value);
}
