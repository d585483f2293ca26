/** A run as a file: opened from disk, without a server. */
import assert from "node:assert/strict";
import { readFile, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { hasText, onPage, useBrowser, useWorker } from "./browser.mjs";
import { newId, Tree } from "./events.mjs";
import { nightlyImport, useReports } from "./report.mjs";

useBrowser();
const worker = useWorker();
const saved = useReports();
let axe;
let bad;
let running;

/** Text that would be executed if it were treated as markup. */
const HOSTILE = `</script><script>globalThis.pwned = 1</script><img src=x onerror="globalThis.pwned = 1">\u2028\u202Eevil`;

function run(name, atMs, fails) {
  const tree = new Tree(name);
  tree.startUs += atMs * 1000;
  tree.own = { ...tree.own, time_us: tree.startUs };
  const fetch = tree.start("fetch", tree.id, 10);
  const parse = tree.start("parse", tree.id, 200, { fields: { path: HOSTILE } });
  const row = tree.start(`row ${HOSTILE}`, parse.id, 210);
  const events = [tree.own, fetch, tree.end(fetch, fails ? 150 : 50), parse, row, tree.log(row.id, 215, "info", `read row ${atMs}`), tree.log(row.id, 216, "warn", HOSTILE)];
  if (fails) events.push(tree.log(row.id, 218, "error", "no such table"), tree.end(row, 9, { message: `no such table ${HOSTILE}` }), tree.end(parse, 20, { message: "row failed" }));
  else events.push(tree.log(row.id, 219, "info", "stored"), tree.end(row, 10), tree.end(parse, 20));
  events.push(tree.end(tree.own, 400, fails ? { message: "failed" } : undefined));
  return { tree, events, row };
}

before(async () => {
  axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  bad = run(`report ${newId()}`, 1000, true);
  const tree = new Tree(`still ${newId()}`);
  running = tree;
  await worker.send(...bad.events, tree.own);
});

/** Opens a file. Fails if the page sends a request, or if recorded text was executed. */
function onFile(address, act, options = {}) {
  return onPage(
    "about:blank",
    async (page, context) => {
      const asked = [];
      page.on("request", (request) => asked.push(request.url()));
      await page.goto(address);
      await page.locator(".root-header h1").waitFor();
      await act(page, context);
      assert.equal(await page.evaluate(() => globalThis.pwned), undefined);
      const file = address.split("#")[0];
      assert.deepEqual(asked.filter((url) => url.split("#")[0] !== file && !url.startsWith("data:")), [], "it asks for nothing");
    },
    options,
  );
}

/** A missing text would be shown as its id. */
async function showsNoIds(page) {
  const text = await page.evaluate(() => document.body.innerText);
  assert.doesNotMatch(text, /\b(?:report|root|panel|logs|compare|tree|keys|state|app|copy|timeline|filter|lanes)\.[a-z][a-z.-]+\b/);
}

for (const locale of ["en-US", "zh-CN"]) {
  for (const colorScheme of ["light", "dark"]) {
    test(`all tabs, the panel and the help are there, ${locale}, ${colorScheme}`, async () => {
      await onFile(
        await saved(bad.tree.rootId),
        async (page) => {
          const isSound = async (what) => {
            await showsNoIds(page);
            // The page's content security policy also blocks injected scripts, so axe is run through the debugging protocol.
            const session = await page.context().newCDPSession(page);
            await session.send("Runtime.evaluate", { expression: axe });
            await session.detach();
            const { violations } = await page.evaluate(() => globalThis.axe.run({ resultTypes: ["violations"], rules: { "target-size": { enabled: true } } }));
            const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
            assert.deepEqual(serious.map(({ id, nodes }) => `${what}: ${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join("\n")}`), []);
          };
          const tabs = page.locator(".tabs button");
          assert.equal(await tabs.count(), 3, "one run is compared with nothing");
          await hasText(page.locator(".panel h2"), /^row/);
          await page.locator(".panel .log").first().waitFor();
          await isSound("tree");
          await tabs.nth(1).click();
          await page.locator(".timeline canvas").first().waitFor();
          await isSound("timeline");
          await tabs.nth(2).click();
          await page.locator(".log-lines .log").nth(2).waitFor();
          await isSound("logs");
          await page.keyboard.press("?");
          await page.locator("dialog.help").waitFor();
          await isSound("help");
        },
        { locale, colorScheme },
      );
    });
  }
}

test("it states what it is, and whether the run had ended", async () => {
  await onFile(await saved(bad.tree.rootId), async (page) => {
    await hasText(page.locator(".about-file"), /^Process Monitor 0\.1\.0Written \d{4}-\d\d-\d\d \d\d:\d\d:\d\d .+ · had already ended/);
    assert.equal(await page.locator(".about-file .left-out").count(), 0);
  });
  await onFile(await saved(running.rootId), async (page) => {
    await hasText(page.locator(".about-file"), /was still running/);
    // Its clock is fixed.
    const took = page.locator(".root-header .facts .number").first();
    const before = await took.textContent();
    await page.waitForFunction((from) => performance.now() > from + 1500, await page.evaluate(() => performance.now()));
    assert.equal(await took.textContent(), before);
  });
});

test("the menu of a run saves it", async () => {
  await onPage(bad.tree.address, async (page) => {
    await page.locator(".root-header .menu summary").first().click();
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "HTML file" }).click()]);
    assert.match(download.suggestedFilename(), /\.html$/);
    const html = await readFile(await download.path(), "utf8");
    assert.match(html, /^<!doctype html>[^]*id="tree-0"[^]*<\/html>\s*$/);
  });
});

test("names whose logs were left out are named", async () => {
  await onFile(await saved(bad.tree.rootId, { redact: "secret*" }), async (page) => hasText(page.locator(".about-file .left-out"), "Logs and arguments were removed for these names: secret*"));
});

test("search, keys and logs work as on the page", async () => {
  await onFile(await saved(bad.tree.rootId), async (page) => {
    await page.locator(".panel").waitFor();
    await page.keyboard.press("Escape");
    await page.locator(".panel").waitFor({ state: "detached" });
    await page.keyboard.press("e");
    await hasText(page.locator(".panel h2"), /^row/);
    await page.keyboard.press("p");
    await hasText(page.locator(".panel h2"), "parse");
    await page.keyboard.press("/");
    await page.keyboard.type("fetch");
    await page.waitForFunction(() => document.querySelectorAll("[role=row]").length < 4);
    await page.locator(".tabs button").nth(2).click();
    await page.locator(".logs-bar input").fill("no such");
    await page.waitForFunction(() => document.querySelectorAll(".split > .logs .log").length === 1);
    await page.locator(".logs-bar input").fill("");
    await page.locator(".logs-bar select").selectOption("warn");
    await page.waitForFunction(() => document.querySelectorAll(".split > .logs .log").length === 2);
    // The current view is in the address, and restored by a reload.
    assert.match(page.url(), /#\/tasks\/[0-9a-f]{32}\?.*tab=logs/);
    await page.reload();
    await page.waitForFunction(() => document.querySelectorAll(".split > .logs .log").length === 2);
  });
});

test("nothing that needs a server is there", async () => {
  await onFile(await saved(running.rootId), async (page) => {
    await page.getByRole("button", { name: "Details" }).click();
    await page.locator(".panel h2").waitFor();
    for (const absent of [".root-header .menu", ".back", ".history", ".doctor", ".rail", ".danger"]) assert.equal(await page.locator(absent).count(), 0, absent);
    const links = await page.locator("a[href]").evaluateAll((all) => all.map((each) => each.getAttribute("href")));
    assert.deepEqual(links.filter((href) => !href.includes("#/tasks/")), []);
  });
});

test("two runs in one file are compared, and each can be looked at", async () => {
  const good = run(bad.tree.name, 0, false);
  await worker.send(...good.events);
  await onFile(await saved(bad.tree.rootId, { compare: good.tree.rootId }), async (page) => {
    await page.locator(".difference").first().waitFor();
    const listed = await page.locator(".difference").evaluateAll((rows) => rows.map((row) => row.dataset.change));
    assert.deepEqual([...new Set(listed)], ["failing", "slower"]);
    await hasText(page.locator(".first-line .after"), /no such table/);
    await hasText(page.locator(".first-line .before"), /stored/);
    assert.equal(await page.locator(".compare-bar form").count(), 0, "there is no other run to be named");
    await page.locator(".about-file nav a").nth(1).click();
    await page.locator(".root-header[data-state=succeeded]").waitFor();
    await page.locator(".tabs button").nth(3).click();
    await page.locator(".difference").first().waitFor();
  });
});

test("what was recorded is text, and the policy lets nothing else run", async () => {
  await onFile(
    await saved(bad.tree.rootId),
    async (page) => {
      await hasText(page.locator(".panel h2"), /<\/script><script>globalThis\.pwned = 1<\/script><img src=x onerror=/);
      await page.locator(".tabs button").nth(2).click();
      await page.locator(".log .message", { hasText: "onerror=" }).waitFor();
      // Markup that was injected in another way would not be executed either.
      await page.evaluate(() => {
        const script = document.createElement("script");
        script.textContent = "globalThis.pwned = 2";
        document.body.append(script);
        const image = document.createElement("div");
        image.innerHTML = `<img src="data:," onerror="globalThis.pwned = 3">`;
        document.body.append(image);
      });
      const refused = await page.evaluate(() => fetch("https://host.invalid/").then(() => false, () => true));
      assert.ok(refused);
      await page.waitForFunction(() => new Promise(requestAnimationFrame).then(() => true));
    },
    { expected: /Content Security Policy/ },
  );
});

for (const [count, most] of [
  [10_000, 1.5e6],
  [100_000, 6e6],
]) {
  test(`${count} processes with logs, fields and errors fit, open and scroll`, async (context) => {
    const { tree, events, logged } = nightlyImport(count);
    await worker.sendAll(events);
    const address = await saved(tree.rootId);
    const { size } = await stat(fileURLToPath(address));
    assert.ok(size <= most, `${size} bytes`);
    await onFile(address, async (page) => {
      await hasText(page.locator(".toolbar"), new RegExp(`^${count.toLocaleString("en")} processes`));
      context.diagnostic(`${count} processes, ${logged} lines: ${(size / 1e6).toFixed(2)} MB, ${Math.round(await page.evaluate(() => performance.now()))} ms until all processes are there`);
      assert.equal(await page.locator(".about-file .left-out").count(), 0, "all lines are there");
      await page.getByRole("button", { name: "Expand all" }).click();
      await page.waitForFunction((rows) => Number(document.querySelector("[role=treegrid]").getAttribute("aria-rowcount")) === rows, count);
      await page.locator(".tree .scroller").press("End");
      await page.locator(".panel h2").waitFor();
      await page.locator(".scroller").first().hover();
      await page.mouse.wheel(0, -200_000);
      await page.waitForFunction(() => document.querySelectorAll("[role=row]").length > 10);
    });
  });
}
