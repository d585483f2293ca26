/** Publications and files left by runs: listed, viewed, compared and published again, by a real agent. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { skip, until, withAgent } from "./agent.mjs";
import { hasText, onPage, useBrowser } from "./browser.mjs";
import { newId, server } from "./events.mjs";

useBrowser();

const { MONITOR_TEST_MONITOR: monitor, MONITOR_TEST_DATA: data } = process.env;

test("publications are listed, viewed, compared with the one before, and restored by whoever may", { skip }, async () => {
  const [user, password, task, target] = [`ada-${newId()}`, "correct horse battery", `gold-${newId()}`, `prod-${newId()}`];
  const added = spawnSync(monitor, ["user", "add", user, "--role", "operator", "--data", data], { input: `${password}\n` });
  assert.equal(added.status, 0, added.stderr.toString());
  // The first run publishes `old`, the second publishes `new` and leaves a file; further runs do nothing.
  const shell = `n=$(cat $MONITOR_LOG_DIR/n 2>/dev/null || echo 0); n=$((n+1)); echo $n > $MONITOR_LOG_DIR/n; cd $MONITOR_PUBLISH_DIR; case $n in 1) echo old > price; echo x > gone;; 2) echo new > price;; *) exit 0;; esac; ${monitor} publish ${target}`;
  const folder = `/tmp/${target}`;
  await withAgent({ [task]: `shell = '''${shell}'''\nrules = ["@every 2s"]\npublish.${target} = { folder = "${folder}/site" }` }, async (agent) => {
    await until(`batch-tasks/runs?task=${task}&outcome=succeeded`, ({ runs }) => runs.length >= 3);
    const pane = async (page) => {
      await page.locator("input[name=name], input[name=user], input[type=text]").first().fill(user);
      await page.locator("input[type=password]").fill(password);
      await page.locator("form button").first().click();
      const rows = page.locator("tr[data-publication]");
      await hasText(page.locator('tr[data-publication="2"]'), new RegExp(`${target} current.*published`));
      assert.equal(await rows.count(), 2);
      await page.locator('tr[data-publication="1"]').getByRole("button", { name: "Files" }).click();
      await page.getByRole("region", { name: "Files of 1" }).getByRole("button", { name: "price" }).click();
      await hasText(page.locator(".published pre"), "old");
      await page.locator('tr[data-publication="2"]').getByRole("button", { name: "Compare with the previous one" }).click();
      const differs = page.getByRole("region", { name: "Changes in 2 since 1" });
      await hasText(differs.locator("li").first(), /^removed gone/);
      await hasText(differs.locator("li").nth(1), /^changed price/);
      assert.equal(await readFile(join(folder, "site", "price"), "utf8"), "new\n");
      await page.locator('tr[data-publication="1"]').getByRole("button", { name: "Restore" }).click();
      await hasText(page.locator('tr[data-publication="3"]'), /republishes 1/);
      assert.equal(await readFile(join(folder, "site", "price"), "utf8"), "old\n");
      await page.locator("tr[data-left]").first().getByRole("button", { name: `Publish to ${target}` }).waitFor();
    };
    await onPage(`${server}/login?next=${encodeURIComponent(`/tasks/batch?task=${task}&view=publications`)}`, pane);
    await agent.stop();
    await onPage(`${server}/tasks/batch?task=${task}&view=publications`, async (page) => {
      await hasText(page.locator(".pane"), new RegExp(`代理 ${agent.name} 没有应答`));
    }, { locale: "zh-CN", viewport: { width: 360, height: 740 }, expected: /status of (404|503)/ });
    spawnSync("rm", ["-rf", folder]);
  });
});
