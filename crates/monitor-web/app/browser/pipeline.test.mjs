/** A real program at work: the example `pipeline`, viewed while it runs. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, before, test } from "node:test";
import { hasText, onPage, useBrowser } from "./browser.mjs";
import { server } from "./events.mjs";

const FILES = 4000;
const program = process.env.MONITOR_TEST_PIPELINE;

// Only runs if the examples are built.
if (program) {
  useBrowser();
  let folder;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "watched-"));
    await mkdir(join(folder, "sources"));
    for (let file = 0; file < FILES; file += 1) {
      await writeFile(join(folder, "sources", `file-${file}.txt`), `line one of ${file}\nline two\n`.repeat(20));
    }
    await writeFile(join(folder, "sources", "broken.txt"), Buffer.from([0x66, 0xff, 0xfe, 0x00, 0x80]));
  });
  after(() => rm(folder, { recursive: true }));

  test("its tree grows while it runs, and why it failed opens, not what it handled", () =>
    onPage(`${server}/tasks?batch=${basename(folder)}`, async (page) => {
      await hasText(page.locator(".notice h2"), "Nothing matches this filter.");
      await hasText(page.locator(".connection"), "live");
      const report = join(folder, "nowhere", "report.json");
      const run = spawn(program, [join(folder), "--report", report], {
        env: { ...process.env, MONITOR_ENABLED: "1", MONITOR_SERVER_URL: server },
        stdio: "ignore",
      });
      const exited = once(run, "exit");
      // The program is stopped until the page shows it, so that it does not end before.
      await page.locator(".root[data-root]").waitFor();
      run.kill("SIGSTOP");
      await page.locator(".root[data-root] .title").click();
      await page.locator(".node").first().waitFor();
      await hasText(page.locator(".toolbar .dim"), /^[\d,]+ /);
      const first = Number((await page.locator(".toolbar .dim").first().textContent()).split(" ")[0].replace(",", ""));
      run.kill("SIGCONT");

      // Records the displayed data of each frame until the root has ended.
      const sizes = await page.evaluate(async (first) => {
        const seen = new Set([first]);
        const size = () => Number(document.querySelector(".toolbar .dim")?.textContent?.split(" ")[0]?.replace(",", ""));
        const state = () => document.querySelector(".root-header")?.getAttribute("data-state");
        do {
          seen.add(size());
          await new Promise(requestAnimationFrame);
        } while (state() === "running");
        seen.add(size());
        return [...seen];
      }, first);
      assert.ok(sizes.length > 1, `the tree was seen in this size only: ${sizes}`);
      assert.deepEqual(sizes, sizes.toSorted((a, b) => a - b));

      await exited;
      await hasText(page.locator(".root-header .counts .hidden").last(), /^[\d,]+ succeeded$/);
      await hasText(page.locator('.node[aria-selected="true"] .mark-only .hidden'), "failed");
      await hasText(page.locator(".panel h2"), "publish");
      await hasText(page.locator(".panel .failure"), /No such file or directory/);
      // The pipeline's last steps arrive last.
      await page.keyboard.press("e");
      await hasText(page.locator(".panel .failure"), /broken\.txt/);
    }));
}
