/** The page in Chinese, by the browser's language or by choice: all texts are translated. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { hasText, onPage, useBrowser } from "./browser.mjs";
import { server, Tree, Worker } from "./events.mjs";
import { screens } from "./screens.mjs";

useBrowser();
const chinese = { locale: "zh-CN", timezoneId: "Asia/Shanghai" };

/** Texts that are not translated: units, time zones, keys, and names in test data. */
const GIVEN =
  /Process Monitor|kind:span|state:failed|\b[a-z]+-[0-9a-f]{16}\b|Europe\/Berlin|browser-test|src\/\w+\.rs|main|UTC|GMT|TOML|(?:Asia\/)?Shanghai|app::Error|process-seen|<b>whim<\/b>|[0-9a-f]{16,}|[\d.]+\s?(?:ns|μs|ms|kB|MB|GB)|\b(?:Esc|Ctrl|Home|End|PgUp|PgDn|Enter|Tab|Shift|traceparent|Markdown|p50|p95|p99|P50|P95|P99|PID|ID|panic|English|ms)\b|(?:name|batch|state|worker|id|args|kwargs|result|error):|\b(?:and|or|not)\b|\b(?:Shell|Python|Perl|PowerShell|cmd|IP|IPv4|IPv6)\b|MONITOR_\w+|HTML|JSON|JUnit|Perfetto|OpenTelemetry|\{path\}|\{line\}|localhost|127\.0\.0\.1|\/etc\/tasks\/task\.toml|no prices|alerts\.toml|\bgold\b|node index\.js|\["node", "index\.js"\]|@daily|@every 90s|db-1, db-2|ada@example\.org|\[retry\]\s*times = 3|\b(?:shell|cron|retry)\b|task:import-\*/g;

/** Returns all texts that are visible or read aloud, except names and texts for copying. */
function texts(page) {
  return page.evaluate(() => {
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const node = walker.currentNode;
      if (node.nodeType === Node.TEXT_NODE) {
        if (!node.parentElement.closest("pre, script, style, .name, [translate=no]")) found.push(node.data);
      } else {
        for (const name of ["title", "placeholder", "aria-label", "aria-description", "alt"]) if (node.hasAttribute(name) && !node.matches(".name, [translate=no]")) found.push(node.getAttribute(name));
      }
    }
    return found;
  });
}

let all;
before(async () => {
  // The list of runs also contains runs of other tests.
  all = (await screens()).filter(({ name }) => name !== "runs");
});

test("nothing is left in English on any screen", async (context) => {
  for (const { name, address, ready, act } of all) {
    await context.test(name, () =>
      onPage(
        address,
        async (page) => {
          await page.locator(ready).first().waitFor();
          await act?.(page);
          const left = (await texts(page)).filter((text) => /[A-Za-z]{2}/.test(text.replaceAll(GIVEN, "")));
          assert.deepEqual(left, []);
          assert.equal(await page.evaluate(() => document.documentElement.lang), "zh-Hans");
        },
        chinese,
      ),
    );
  }
});

test("a language that was chosen is kept", async () => {
  const tree = new Tree("选择");
  await (await new Worker().online()).send(tree.own, tree.end(tree.own, 41_200));
  await onPage(`${server}/tasks?name=${encodeURIComponent("选择")}`, async (page) => {
    await page.locator(`.root[data-root="${tree.rootId}"]`).waitFor();
    await page.getByRole("button", { name: "中文" }).click();
    await hasText(page.locator(`.root[data-root="${tree.rootId}"] .mark-cell`), /成功/);
    await hasText(page.locator(`.root[data-root="${tree.rootId}"] .duration`), "41.2s");
    await page.reload();
    await hasText(page.locator(".rail .entry .label"), "运行");
    await page.getByRole("button", { name: "English" }).click();
    await hasText(page.locator(".rail .entry .label"), "Runs");
  });
});
