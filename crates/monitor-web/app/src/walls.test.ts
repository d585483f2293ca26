/** Checks the imports between parts of the page: the shell has a table of sections, and only that table imports the screens. */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, posix } from "node:path";
import ts from "typescript";
import { expect, test } from "vitest";

const TABLE = "screens/screen.ts";

/** Returns the imported files of a source, relative to `src`. */
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

test("what a screen consists of is known to that screen alone, and that of a run to the page of a run in a file", () => {
  const strangers = files.flatMap(({ file, imported }) => imported.filter((path) => screenOf(path) !== undefined && screenOf(path) !== screenOf(file)).map((path) => `${file}: ${path}`));
  expect(strangers.sort()).toEqual(["report/instead/around.tsx: screens/root/around.tsx", "report/main.tsx: screens/root/RootPage.tsx"]);
});

test("the page knows nothing of the page in a file", () => {
  const known = files.filter(({ file }) => !file.startsWith("report/")).flatMap(({ file, imported }) => imported.filter((path) => path.startsWith("report/")).map((path) => `${file}: ${path}`));
  expect(known).toEqual([]);
});

test("the table finds every folder of screens by itself", () => {
  const folders = new Set(files.map(({ file }) => screenOf(file)).filter((name) => name !== undefined));
  expect(folders.size).toBeGreaterThan(4);
  for (const folder of folders) expect(files.map(({ file }) => file), folder).toContain(`screens/${folder}/screen.ts`);
  const table = readFileSync(new URL(TABLE, import.meta.url), "utf8");
  expect(table).toContain('import.meta.glob<{ screen: Screen }>("./*/screen.ts"');
});

/** Data that is read at intervals, because no event reports its changes. */
const AT_INTERVALS = {
  "screens/about/About.tsx": "the status, and when tokens were used",
  "screens/jobs/useJobs.ts": "jobs, and the hosts that they run on",
  "screens/queue/Queue.tsx": "how many tasks wait in brokers",
  "screens/roots/FilterBar.tsx": "counts of states",
  "screens/stats/Statistics.tsx": "figures up to now",
  "screens/worker/Worker.tsx": "orders to a worker",
  "shell/Rail.tsx": "the status",
  "ui/now.ts": "nothing: it is the clock",
};

test("nothing else is read at intervals: the stream tells what changed", () => {
  const sources = files.map(({ file }) => file).filter((file) => !file.endsWith(".test.ts"));
  const found = sources.filter((file) => /refetchInterval|setInterval\(/.test(readFileSync(new URL(file, import.meta.url), "utf8")));
  expect(found.sort()).toEqual(Object.keys(AT_INTERVALS).sort());
});

/** The longest function, in lines. */
const MOST_LINES = 100;

test("no function has more lines than fit on two screens", () => {
  const long: string[] = [];
  for (const { file } of files.filter(({ file }) => !file.endsWith(".test.ts") && file !== "api/schema.ts")) {
    const source = ts.createSourceFile(file, readFileSync(new URL(file, import.meta.url), "utf8"), ts.ScriptTarget.Latest, true);
    const lineAt = (place: number) => source.getLineAndCharacterOfPosition(place).line;
    const visit = (node: ts.Node): void => {
      const lines = lineAt(node.end) - lineAt(node.getStart()) + 1;
      if (ts.isFunctionLike(node) && lines > MOST_LINES) long.push(`${file}:${lineAt(node.getStart()) + 1}: ${lines}`);
      ts.forEachChild(node, visit);
    };
    visit(source);
  }
  expect(long).toEqual([]);
});

/** Screens with a head of their own; all others use that of `ui/Head.tsx`. */
const OWN_HEADS = ["screens/root/", "screens/roots/Tasks.tsx"];

test("each section and item has the same head", () => {
  const sources = files.filter(({ file }) => file.startsWith("screens/") && file.endsWith(".tsx") && !OWN_HEADS.some((own) => file.startsWith(own)));
  const own = sources.filter(({ file }) => /<h1/.test(readFileSync(new URL(file, import.meta.url), "utf8"))).map(({ file }) => file);
  expect(own).toEqual([]);
});

test("screens use the buttons, fields and tables of the page, and no bare ones", () => {
  const sources = files.filter(({ file }) => /^(screens|shell|report)\/.*\.tsx$/.test(file));
  const bare = sources.filter(({ file }) => /<(button|input|table)\b/.test(readFileSync(new URL(file, import.meta.url), "utf8"))).map(({ file }) => file);
  expect(bare).toEqual([]);
});
