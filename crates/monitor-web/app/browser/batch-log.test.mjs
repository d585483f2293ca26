/** The log of a run: from a real agent, followed, searched, downloaded, and the reasons for a missing log. */
import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { skip, until, withAgent } from "./agent.mjs";
import { hasText, onPage, useBrowser } from "./browser.mjs";
import { Worker, batchTask, newId, server } from "./events.mjs";

useBrowser();

const runOf = (task, isSo = () => true) => until(`batch-tasks/runs?task=${task}`, ({ runs }) => runs.find(isSo));
const lines = (page) => page.locator(".log-line");

test("the log of a run is followed while it runs, searched and downloaded, and what failed has its first lines", { skip }, async () => {
  const [live, bad, long] = ["live", "bad", "long"].map((name) => `${name}-${newId()}`);
  const tasks = {
    [live]: `shell = "echo begin; while [ -d $MONITOR_PUBLISH_DIR ] && [ ! -e $MONITOR_PUBLISH_DIR/go ]; do sleep 0.1; done; echo 终点; printf '\\\\033[31mred\\\\033[0m\\\\n'"\nrules = ["@every 1s"]`,
    [bad]: `shell = "echo fine; echo 'no prices: gold, silver' >&2; echo 'see the log' >&2; exit 3"\nrules = ["@every 5s"]`,
    [long]: `shell = "seq 1 200000"\nrules = ["@every 5s"]`,
  };
  await withAgent(tasks, async (agent) => {
    const run = await runOf(live);
    await onPage(`${server}/tasks/batch?tab=runs&task=${live}`, async (page) => {
      await page.locator(`tr[data-run="${run.run}"]`).getByRole("link", { name: `Log of ${run.run}` }).click();
      const panel = page.getByRole("complementary", { name: run.run });
      await hasText(lines(page), "begin");
      await hasText(panel.getByRole("status"), "updated while it runs");
      await writeFile(join(agent.folder, "data", "task", live, "publish", "go"), "");
      await hasText(lines(page).nth(1), "终点");
      await hasText(lines(page).nth(2), "red");
      await hasText(panel.getByRole("status"), "complete");
      await panel.getByRole("searchbox", { name: "Search the log" }).fill("BEG");
      await hasText(panel.getByRole("status"), "1 lines");
      assert.equal(await lines(page).count(), 1);
      await panel.getByRole("searchbox", { name: "Search the log" }).fill("nothing of this");
      await hasText(panel, /No line contains this text\./);
      const [file] = await Promise.all([page.waitForEvent("download"), panel.getByRole("button", { name: "Download" }).click()]);
      assert.equal(file.suggestedFilename(), `${run.run}.log`);
      assert.equal(await readFile(await file.path(), "utf8"), "begin\n终点\n\u001b[31mred\u001b[0m\n");
      await page.keyboard.press("Escape");
      await panel.waitFor({ state: "detached" });
      await page.waitForURL((url) => !url.search.includes("run="));
    });

    const failed = await runOf(bad, ({ outcome }) => outcome === "failed");
    await onPage(`${server}/tasks/batch?task=${bad}&run=${encodeURIComponent(failed.run)}`, async (page) => {
      await hasText(page.locator(".error-lines"), /no prices: gold, silver\nsee the log/);
      // Simultaneous output to stdout and stderr may be in either order.
      await lines(page).filter({ hasText: /^fine$/ }).waitFor();
      await hasText(page.locator(".run-panel .state-line"), /退出码 3/);
    }, { locale: "zh-CN" });

    const whole = await runOf(long, ({ outcome }) => outcome === "succeeded");
    await onPage(`${server}/tasks/batch?tab=runs&run=${encodeURIComponent(whole.run)}`, async (page) => {
      await hasText(lines(page).last(), "200000");
      await page.getByRole("button", { name: "From the beginning" }).click();
      await hasText(page.locator(".run-log"), /150,000 earlier lines are not shown/);
      await page.locator(".log-text").evaluate((element) => (element.scrollTop = 0));
      await hasText(lines(page).first(), "150001");
      await page.getByRole("button", { name: "Follow" }).click();
      await hasText(lines(page).last(), "200000");
    }, { viewport: { width: 360, height: 740 } });

    await rm(join(agent.folder, "data", "runs", failed.run), { recursive: true });
    await onPage(`${server}/tasks/batch?tab=runs&run=${encodeURIComponent(failed.run)}`, async (page) => {
      await hasText(page.locator(".why-not"), /The log has been deleted/);
    }, { expected: /status of 404/ });

    await agent.stop();
    await onPage(`${server}/tasks/batch?tab=runs&run=${encodeURIComponent(run.run)}`, async (page) => {
      await hasText(page.locator(".why-not"), new RegExp(`agent ${agent.name}, which is offline`));
      agent.startAgain();
      await until(`workers?limit=200`, ({ workers }) => workers.find((worker) => worker.hostname === agent.name && worker.state === "online"));
      await hasText(lines(page).first(), "begin");
    }, { expected: /status of (404|50[34])/ });
  });
});

test("of a run whose agent never called, and of what is no run, the page says so", async () => {
  const task = `silent-${newId()}`;
  await (await new Worker().online()).send(...batchTask(task, "ada"));
  const run = await runOf(task);
  await onPage(`${server}/tasks/batch?tab=runs&run=${encodeURIComponent(run.run)}`, async (page) => {
    await hasText(page.locator(".why-not"), /agent browser-test, which is offline/);
  }, { expected: /status of 503/ });
  for (const wrong of ["nothing@20260101T000000Z.1", "%3Cb%3E", "../../etc"]) {
    await onPage(`${server}/tasks/batch?tab=runs&run=${wrong}`, async (page) => {
      await hasText(page.locator(".why-not"), /does not know this run/);
    }, { expected: /status of 40[04]/ });
  }
});
