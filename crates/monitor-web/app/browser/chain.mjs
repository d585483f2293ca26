/** The tree of a run is a chain of processes with the names in the arguments. Run by the tests of Celery. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { onPage, useBrowser } from "./browser.mjs";

useBrowser();

test("each process is below the one before", () =>
  onPage(`${process.env.MONITOR_TEST_URL}/tasks/${process.env.MONITOR_TEST_ROOT}`, async (page) => {
    const names = process.argv.slice(2);
    await page.locator(".node").nth(names.length - 1).waitFor();
    const rows = await page.locator(".node").evaluateAll((nodes) =>
      nodes.map((node) => [node.querySelector(".name").textContent, Number(node.getAttribute("aria-level"))]),
    );
    assert.deepEqual(rows, names.map((name, level) => [name, level + 1]));
  }));
