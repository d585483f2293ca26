/** Checks that all texts of the page are in the catalogues, in every language, and that the catalogues contain no unused texts. */
import { readdirSync, readFileSync } from "node:fs";
import ts from "typescript";
import { expect, test } from "vitest";
import { en as shell } from "./locales/en.ts";
import { en as alerts } from "./locales/parts/alerts.en.ts";
import { zh as alertsZh } from "./locales/parts/alerts.zh.ts";
import { en as batch } from "./locales/parts/batch.en.ts";
import { zh as batchZh } from "./locales/parts/batch.zh.ts";
import { en as cancel } from "./locales/parts/cancel.en.ts";
import { zh as cancelZh } from "./locales/parts/cancel.zh.ts";
import { en as jobs } from "./locales/parts/jobs.en.ts";
import { zh as jobsZh } from "./locales/parts/jobs.zh.ts";
import { en as queue } from "./locales/parts/queue.en.ts";
import { zh as queueZh } from "./locales/parts/queue.zh.ts";
import { en as report } from "./locales/parts/report.en.ts";
import { zh as reportZh } from "./locales/parts/report.zh.ts";
import { en as worker } from "./locales/parts/worker.en.ts";
import { zh as workerZh } from "./locales/parts/worker.zh.ts";
import { zh as shellZh } from "./locales/zh.ts";

const en = { ...shell, ...alerts, ...batch, ...cancel, ...jobs, ...queue, ...report, ...worker };
const zh = { ...shellZh, ...alertsZh, ...batchZh, ...cancelZh, ...jobsZh, ...queueZh, ...reportZh, ...workerZh };

const files = readdirSync(new URL(".", import.meta.url), { recursive: true, encoding: "utf8" })
  .filter((file) => /\.tsx?$/.test(file) && !file.startsWith("locales"))
  .map((file) => ({ file, text: readFileSync(new URL(file, import.meta.url), "utf8") }));

test("every text is used", () => {
  const sources = files.map(({ text }) => text).join("\n");
  const families = [...sources.matchAll(/wordText\("([a-z.]+)"/g)].map(([, family = ""]) => `${family}.`);
  const composed = [...sources.matchAll(/`([a-z.-]+\.)\$\{/g)].map(([, prefix = ""]) => prefix).concat(families);
  const unused = Object.keys(en).filter((id) => !sources.includes(`"${id}"`) && !composed.some((prefix) => id.startsWith(prefix)));
  expect(unused).toEqual([]);
});

/** Attributes that are shown or read aloud. */
const READ = new Set(["title", "placeholder", "alt", "aria-label", "aria-description", "aria-roledescription", "aria-valuetext"]);

/** Returns displayed literals of a source file that should be catalogue texts. */
function literals(file: string, text: string): string[] {
  const found: string[] = [];
  const note = (literal: string) => /\p{L}{2}/u.test(literal) && found.push(`${file}: ${literal.trim()}`);
  const visit = (node: ts.Node): void => {
    if (ts.isJsxText(node)) note(node.text);
    if (ts.isJsxExpression(node) && !ts.isJsxAttribute(node.parent) && node.expression && ts.isStringLiteral(node.expression)) note(node.expression.text);
    if (ts.isJsxAttribute(node) && READ.has(node.name.getText()) && node.initializer && ts.isStringLiteral(node.initializer)) note(node.initializer.text);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true, ts.ScriptKind.TSX));
  return found;
}

test("no text stands in the sources themselves", () => {
  expect(literals("x.tsx", '<a title="Open it">{"Save"} all <b>{x}</b></a>')).toEqual(["x.tsx: Open it", "x.tsx: Save", "x.tsx: all"]);
  expect(files.filter(({ file }) => file.endsWith(".tsx")).flatMap(({ file, text }) => literals(file, text))).toEqual([]);
});

/** Texts that are equal in both languages: names, and texts that only consist of placeholders. */
const SHARED = new Set(["app.name", "fold.times", "fold.p95", "stats.rate", "stats.column.p50", "stats.column.p95", "stats.column.p99", "panel.ids", "panel.pid", "worker.stat.pid", "error.panic", "kind.span"]);

test("every text is there in Chinese", () => {
  expect(Object.keys(zh).sort()).toEqual(Object.keys(en).sort());
  const left = Object.entries(zh).filter(([id, text]) => !SHARED.has(id) && !/\p{Script=Han}/u.test(text));
  expect(left).toEqual([]);
});

test("every text has the same places to be filled in Chinese", () => {
  const places = (text: string) => [...text.matchAll(/\{(\w+)[,}]/g)].map(([, name]) => name).sort();
  for (const [id, text] of Object.entries(en)) expect(places(zh[id as keyof typeof en]), id).toEqual(places(text));
});

test("in Chinese a process of the page is a 过程: 进程, one of an operating system, is only in 工作进程", () => {
  const others = Object.entries(zh).filter(([, text]) => text.replaceAll("工作进程", "").includes("进程"));
  expect(others).toEqual([]);
  // The expected translations exist; otherwise the test would also pass for an empty catalogue.
  expect(Object.values(zh).filter((text) => text.includes("过程")).length).toBeGreaterThan(10);
  expect(Object.values(zh).some((text) => text.includes("工作进程"))).toBe(true);
});
