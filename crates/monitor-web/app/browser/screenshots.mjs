/**
 * Pictures of every screen: `npm run screenshots -- FOLDER` makes one for each language, theme and width.
 * `npm run screenshots -- --docs FOLDER` makes those of the docs, in English and Chinese; those of a real run want MONITOR_TEST_PIPELINE,
 * the path of the pipeline example.
 * `npm run screenshots -- ADDRESS FILE` makes one of an address, as large as those in the docs.
 */
import { spawnSync } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { launch } from "./browser.mjs";
import { server } from "./events.mjs";
import { inEnglish, screens } from "./screens.mjs";

const [what = "screenshots", file] = process.argv.slice(2);
const looks = [
  { look: "wide-light-en", viewport: { width: 1440, height: 820 }, colorScheme: "light", locale: "en-US" },
  { look: "wide-dark-zh", viewport: { width: 1440, height: 820 }, colorScheme: "dark", locale: "zh-CN" },
  { look: "phone-light-zh", viewport: { width: 360, height: 740 }, colorScheme: "light", locale: "zh-CN" },
  { look: "phone-dark-en", viewport: { width: 360, height: 740 }, colorScheme: "dark", locale: "en-US" },
];

const browser = await launch();

/** `around` is there once the frame around the screen is ready. */
async function picture(path, address, options, ready, act, around = '.connection[data-connection="live"]') {
  const context = await browser.newContext({ ...options, reducedMotion: "reduce", timezoneId: "Europe/Berlin" });
  const page = await context.newPage();
  await page.goto(address);
  await page.locator(around).waitFor();
  await page.locator(ready).first().waitFor();
  await page.locator(".split .notice").waitFor({ state: "detached" });
  await act?.(page);
  // The part that is read last is also complete.
  await page.waitForFunction(() => !/Loading …|正在加载/.test(document.body.innerText));
  await page.screenshot({ path });
  await context.close();
}

/** Runs the pipeline example on the page's own sources and a binary file; returns the address of its tree. */
async function pipeline() {
  const program = process.env.MONITOR_TEST_PIPELINE;
  if (!program) return undefined;
  const folder = await mkdtemp(join(tmpdir(), "pipeline-"));
  const sources = join(folder, "monitor-web");
  // A tree of all source files would have too many rows to be expanded.
  await cp(new URL("../src", import.meta.url), sources, { recursive: true, filter: (path) => !path.endsWith("/screens") });
  await writeFile(join(sources, "shell", "logo.png"), Buffer.from([0x89, 0x50, 0x4e, 0x47]));
  spawnSync(program, [sources, "--report", join(folder, "report.json")], { env: { ...process.env, MONITOR_ENABLED: "1", MONITOR_SERVER_URL: server } });
  await rm(folder, { recursive: true });
  const { roots } = await (await fetch(`${server}/api/v1/roots?name=count+sources&limit=1`)).json();
  return `${server}/tasks/${roots[0].root_id}`;
}

/** Selects the failed process. Handled failures are expanded on request, after the whole tree is loaded. */
async function onFailed(page) {
  await page.locator('.node[data-state="failed"]').waitFor();
  await page.keyboard.press("e");
  await page.locator(".panel .message").waitFor();
}

/** Saves a run as a file. Returns the file's address. */
async function saved(folder, run) {
  const path = join(folder, "run.html");
  const answer = await fetch(`${server}/api/v1/roots/${run.split("/").at(-1)}/export?format=html`);
  await writeFile(path, await answer.text());
  return pathToFileURL(path).href;
}

if (what === "--docs") {
  const inDocs = ["runs", "names", "tree", "tree by thread", "timeline by thread", "compare", "statistics", "logs", "batch day", "batch tasks", "a batch task", "an alert"];
  await mkdir(file, { recursive: true });
  const run = await pipeline();
  const folder = await mkdtemp(join(tmpdir(), "report-"));
  const report = run && (await saved(folder, run));
  for (const { language, locale, say } of [
    { language: "en", locale: "en-US", say: inEnglish },
    { language: "zh", locale: "zh-CN", say: undefined },
  ]) {
    const options = { viewport: { width: 1280, height: 640 }, colorScheme: "light", locale };
    if (run) {
      await picture(join(file, `run-${language}.png`), `${run}?group=1`, options, ".node", onFailed);
      await picture(join(file, `report-${language}.png`), `${report}#/tasks/${run.split("/").at(-1)}?group=1`, options, ".node", onFailed, ".about-file");
      await picture(join(file, `run-timeline-${language}.png`), `${run}?tab=timeline&lanes=thread`, options, ".stage canvas[data-window]");
    }
    for (const { name, address, ready, act } of await screens(say)) {
      if (!inDocs.includes(name)) continue;
      await picture(join(file, `${name.replaceAll(" ", "-")}-${language}.png`), address, options, ready, act);
    }
  }
  await rm(folder, { recursive: true });
} else if (file !== undefined) {
  await picture(file, what, { viewport: { width: 1280, height: 720 }, colorScheme: "light", locale: "en-US" }, ".panel h2, .root[data-root], .about dl");
} else {
  await mkdir(what, { recursive: true });
  for (const { name, address, ready, act } of await screens()) {
    for (const { look, ...options } of looks) {
      await picture(join(what, `${name.replaceAll(" ", "-")}-${look}.png`), address, options, ready, act);
    }
  }
}
await browser.close();
