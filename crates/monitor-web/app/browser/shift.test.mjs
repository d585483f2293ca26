/** The layout stays stable while a screen is read, even if fonts and rights arrive late. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { onPage, useBrowser } from "./browser.mjs";
import { screens } from "./screens.mjs";

const MOST = 0.05;
const LATE_MS = 300;
useBrowser();
let all;
before(async () => {
  all = await screens();
});

for (const [look, viewport] of Object.entries({ wide: { width: 1440, height: 820 }, phone: { width: 390, height: 844 } })) {
  test(`no screen moves while it is read, ${look}`, async (context) => {
    for (const { name, address, ready, act } of all) {
      await context.test(name, () =>
        onPage(
          "about:blank",
          async (page) => {
            await page.route(/\.woff2$|\/api\/v1\/me$/, async (route) => {
              await new Promise((resolve) => setTimeout(resolve, LATE_MS));
              await route.continue();
            });
            await page.addInitScript(() => {
              globalThis.shifts = [];
              new PerformanceObserver((list) => {
                for (const { value, sources, hadRecentInput } of list.getEntries()) {
                  if (hadRecentInput) continue;
                  globalThis.shifts.push({ value, what: sources.map(({ node }) => `${node?.nodeName}.${node?.className ?? node?.parentNode?.className}`) });
                }
              }).observe({ type: "layout-shift", buffered: true });
            });
            await page.goto(address);
            await page.locator(ready).first().waitFor();
            await act?.(page);
            await page.locator('.connection[data-connection="live"]').waitFor();
            await page.waitForFunction(() => document.fonts.status === "loaded" && !/Loading …/.test(document.body.innerText));
            await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
            const shifts = await page.evaluate(() => globalThis.shifts);
            const sum = shifts.reduce((total, { value }) => total + value, 0);
            assert.ok(sum <= MOST, `${sum.toFixed(3)}: ${JSON.stringify(shifts)}`);
          },
          { viewport },
        ),
      );
    }
  });
}
