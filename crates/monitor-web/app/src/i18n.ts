/**
 * The translation catalogue. A language is one file in `locales/`: its texts by id, in ICU message format. The English file defines the
 * ids; TypeScript reports missing ids in other languages. Texts for one part of the page are in `locales/parts/`, and are loaded with that
 * part.
 */
import { type Messages as Compiled, i18n } from "@lingui/core";
import { compileMessage } from "@lingui/message-utils/compileMessage";
import type { en } from "./locales/en.ts";
import type { en as alerts } from "./locales/parts/alerts.en.ts";
import type { en as batch } from "./locales/parts/batch.en.ts";
import type { en as cancel } from "./locales/parts/cancel.en.ts";
import type { en as jobs } from "./locales/parts/jobs.en.ts";
import type { en as queue } from "./locales/parts/queue.en.ts";
import type { en as report } from "./locales/parts/report.en.ts";
import type { en as worker } from "./locales/parts/worker.en.ts";
import { visible } from "./model/text.ts";

export type MessageId = keyof typeof en | keyof typeof alerts | keyof typeof batch | keyof typeof cancel | keyof typeof jobs | keyof typeof queue | keyof typeof report | keyof typeof worker;
/** The texts that every file in `locales/` exports under its language code. */
export type Messages = Record<keyof typeof en, string>;

const files = import.meta.glob<Record<string, Messages>>(["./locales/*.ts", "!./locales/*.test.ts"]);
const parts = import.meta.glob<Record<string, Partial<Record<MessageId, string>>>>("./locales/parts/*.ts");
const codes = Object.keys(files).map((file) => file.slice("./locales/".length, -".ts".length));

const KEY = "monitor-language";

/** Returns the language selected on this page, otherwise the first available language of the browser's preferences. */
function preferred(): string {
  const wanted = [localStorage.getItem(KEY) ?? "", ...navigator.languages].map((language) => language.split("-")[0] ?? "");
  return wanted.find((language) => codes.includes(language)) ?? "en";
}

export const locale = preferred();

/** All languages, each by its own name. */
export const languages = codes.map((code) => {
  const name = new Intl.DisplayNames(code, { type: "language" }).of(code) ?? code;
  // A short form where space is limited: 中, EN.
  return { code, name, short: /\p{Script=Latin}/u.test(name) ? code.toUpperCase() : name.slice(0, 1) };
});

/** Reloads the page in another language, because every text is read only once. */
export function chooseLanguage(code: string): void {
  localStorage.setItem(KEY, code);
  location.reload();
}

const texts: Partial<Record<MessageId, string>> = {};
const compiled: Compiled = {};

/** Loads the texts of the reader's language. The page is drawn afterwards. */
export async function loadTexts(): Promise<void> {
  const file = await files[`./locales/${locale}.ts`]?.();
  Object.assign(texts, file?.[locale]);
  i18n.loadAndActivate({ locale, messages: compiled });
}

/** Loads the texts for a part of the page before that part is drawn. */
export async function loadPart(part: string): Promise<void> {
  const file = await parts[`./locales/parts/${part}.${locale}.ts`]?.();
  Object.assign(texts, file?.[locale]);
}

/** A text of the page, in the reader's language. */
export function t(id: MessageId, values?: Record<string, string | number>): string {
  const text = texts[id] ?? id;
  compiled[id] ??= __TEXTS_ARE_COMPILED__ ? text : compileMessage(text);
  return i18n._(id, values);
}

function hasText(id: string): id is MessageId {
  return id in texts;
}

/** Returns the text `family.word` for a received word. If there is none, returns `unknown`, by default the word itself. */
export function wordText(family: string, word: string, values?: Record<string, string | number>, unknown = visible(word)): string {
  const id = `${family}.${word}`;
  return hasText(id) ? t(id, values) : unknown;
}

/** Returns the number of lost events of a type: `1,212 processes`. */
export function lostText(type: string, lost: number): string {
  return wordText("missing.type", type, { count: lost }, `${count(lost)} × ${visible(type)}`);
}

const numbers = new Intl.NumberFormat(locale);

/** `12,040`, as the reader's language groups it. */
export function count(value: number): string {
  return numbers.format(value);
}

/** `12.3 kB`, `4 MB`. */
export function bytes(value: number): string {
  const [unit, of] = value < 1e6 ? (["kilobyte", 1e3] as const) : value < 1e9 ? (["megabyte", 1e6] as const) : (["gigabyte", 1e9] as const);
  return new Intl.NumberFormat(locale, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: 1 }).format(value / of);
}
