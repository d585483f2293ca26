/** What parts of the page must not know: the shell has a table of sections, and a screen is known to that table alone. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, posix } from "node:path";
import ts from "typescript";
import { expect, test } from "vitest";

const TABLE = "screens/screen.ts";

/** What a source imports: files, seen from `src`. */
function imports(file: string, text: string): string[] {
  const { importedFiles } = ts.preProcessFile(text, true, true);
  return importedFiles.map(({ fileName }) => (fileName.startsWith(".") ? posix.join(dirname(file), fileName) : fileName));
}

const files = readdirSync(new URL(".", import.meta.url), { recursive: true, encoding: "utf8" })
  .filter((file) => /\.tsx?$/.test(file))
  .map((file) => ({ file, imported: imports(file, readFileSync(new URL(file, import.meta.url), "utf8")) }));

/** The folder of a screen that a file is in. */
const screenOf = (file: string) => /^screens\/(\w+)\//.exec(file)?.[1];

test("imports are found however they are written", () => {
  const text = 'import a from "./a.ts"; import type { B } from "../b.ts"; export * from "../../c.ts"; const d = () => import("../d/e.tsx"); import "./f.css";';
  expect(imports("shell/deep/x.tsx", text)).toEqual(["shell/deep/a.ts", "shell/b.ts", "c.ts", "shell/d/e.tsx", "shell/deep/f.css"]);
});

test("the shell knows of all screens their table, and nothing else", () => {
  const known = files.filter(({ file }) => file.startsWith("shell/")).flatMap(({ imported }) => imported.filter((path) => path.startsWith("screens/")));
  expect([...new Set(known)]).toEqual([TABLE]);
});

test("what a screen consists of is known to that screen alone", () => {
  const strangers = files.flatMap(({ file, imported }) => imported.filter((path) => screenOf(path) !== undefined && screenOf(path) !== screenOf(file)).map((path) => `${file}: ${path}`));
  expect(strangers).toEqual([]);
});

test("the table finds every folder of screens by itself", () => {
  const folders = new Set(files.map(({ file }) => screenOf(file)).filter((name) => name !== undefined));
  expect(folders.size).toBeGreaterThan(4);
  for (const folder of folders) expect(files.map(({ file }) => file), folder).toContain(`screens/${folder}/screen.ts`);
  const table = readFileSync(new URL(TABLE, import.meta.url), "utf8");
  expect(table).toContain('import.meta.glob<{ screen: Screen }>("./*/screen.ts"');
});
