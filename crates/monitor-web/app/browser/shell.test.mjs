/** The frame around the screens, the screens about the server, and the palette. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasAddress, hasText, onPage, useBrowser, useWorker } from "./browser.mjs";
import { batchTask, newId, server, Tree, Worker } from "./events.mjs";

useBrowser();
const unique = newId();
const worker = useWorker();

test("? lists the keys, Esc closes the list", () =>
  onPage(`${server}/tasks`, async (page) => {
    await hasText(page.locator(".connection"), "live");
    await page.keyboard.press("?");
    await hasText(page.locator(".help h2"), "Keyboard shortcuts");
    await page.keyboard.press("Escape");
    await page.locator(".help").waitFor({ state: "detached" });
    // In a field it is a letter like any other.
    await page.keyboard.press("/");
    await page.keyboard.type("?");
    await hasAddress(page, /q=%3F/);
    assert.equal(await page.locator(".help").count(), 0);
  }));

test("the palette's keys are named as they are on the reader's machine", async () => {
  for (const [platform, keys] of [["MacIntel", "⌘ K"], ["iPhone", "⌘ K"], ["Linux x86_64", "Ctrl K"]]) {
    await onPage("about:blank", async (page) => {
      await page.addInitScript((name) => Object.defineProperty(navigator, "platform", { get: () => name }), platform);
      await page.goto(`${server}/tasks`);
      await hasText(page.locator(".rail .find kbd"), keys);
      await page.keyboard.press(keys.startsWith("⌘") ? "Meta+k" : "Control+k");
      await page.locator(".palette").waitFor();
    });
  }
});

test("the palette finds tasks, numbers, screens and what is in this tree", async () => {
  const tree = new Tree(`palette ${unique}`);
  const child = tree.start("child", tree.id, 5);
  await worker.send(tree.own, child, tree.end(child, 5), tree.end(tree.own, 10));
  const { root } = await (await fetch(`${server}/api/v1/roots/${tree.rootId}/tree`)).json();
  await onPage(`${server}/tasks`, async (page) => {
    await hasText(page.locator(".connection"), "live");
    const ask = async (text) => {
      await page.keyboard.press("Control+k");
      await page.locator(".palette input").fill(text);
      // Its rows are those that were found for it.
      await page.locator('.palette [role="listbox"][aria-busy="false"]').waitFor();
    };
    await ask(`palette ${unique}`);
    await page.locator(".palette li").filter({ has: page.locator(".text", { hasText: `<${root.number}>` }) }).click();
    await hasAddress(page, new RegExp(`/tasks/${tree.rootId}`));
    await page.locator(`.node[data-process="${child.id}"]`).waitFor();

    await ask(child.id);
    await hasText(page.locator('.palette li[aria-selected="true"]'), /select this process$/);
    await page.keyboard.press("Enter");
    await hasText(page.locator(".panel h2"), "child");
    await ask("child");
    await page.getByRole("option", { name: /filter this run/ }).click();
    await hasText(page.locator(".toolbar .size"), "1 of 2 found");
    await ask("work");
    await page.getByRole("group", { name: "Go to" }).getByRole("option", { name: "Workers", exact: true }).click();
    await hasAddress(page, /\/tasks\/workers$/);
    await ask(String(root.number));
    await hasText(page.locator('.palette li[aria-selected="true"]'), /open this run$/);
    await page.keyboard.press("Enter");
    await hasText(page.locator(".root-header h1"), `palette ${unique} <${root.number}>`);
    await ask(`00-${tree.rootId}-${child.id}-01`);
    await page.keyboard.press("Enter");
    await hasText(page.locator(".panel h2"), "child");
    // By its id alone, from where no tree is open.
    await page.goto(`${server}/tasks/workers`);
    await hasText(page.locator(".connection"), "live");
    await ask(child.id);
    await hasText(page.locator('.palette li[aria-selected="true"]'), /^.*child.*process with this ID$/);
    await page.keyboard.press("Enter");
    await hasText(page.locator(".panel h2"), "child");
    await hasAddress(page, new RegExp(`/tasks/${tree.rootId}`));
    await ask(`palette ${unique}`);
    await page.getByRole("option", { name: /all runs of this name$/ }).click();
    await hasAddress(page, new RegExp(`/tasks\\?name=palette\\+${unique}$`));
    await page.goBack();
    await page.locator(".root-header").waitFor();
    await ask(`no such ${newId()}`);
    // Only the tree could be narrowed to it.
    await hasText(page.locator(".palette [role=listbox]"), /filter this run$/);
  });
});

test("the palette finds a process by its name from outside its tree", async () => {
  const name = `summing ${unique} up`;
  const tree = new Tree(`holder ${unique}`);
  const child = tree.start(name, tree.id, 5);
  await worker.send(tree.own, child, tree.end(child, 5), tree.end(tree.own, 10));
  await onPage(`${server}/tasks/workers`, async (page) => {
    await hasText(page.locator(".connection"), "live");
    await page.keyboard.press("Control+k");
    // A part of the name, written otherwise.
    await page.locator(".palette input").fill(`SUMMING ${unique}`);
    const found = page.locator(".palette li").filter({ has: page.locator(".text", { hasText: name }) });
    await found.first().waitFor();
    await hasText(found.locator(".dim"), "process: its statistics");
    await found.first().click();
    await hasAddress(page, new RegExp(`/tasks/statistics\\?name=summing\\+${unique}\\+up$`));
    await page.locator("main button.outlined", { hasText: name }).waitFor();
  });
});

test("the palette leads to batch tasks and workers, filters, and changes the theme", async () => {
  const task = `tidy-${unique}`;
  await worker.send(...batchTask(task, "ada"));
  const named = await new Worker({ program: `press-${unique}` }).online();
  await onPage(`${server}/tasks/workers`, async (page) => {
    await page.locator(`tr[data-worker="${named.id}"]`).waitFor();
    const ask = async (text, group) => {
      await page.keyboard.press("Control+k");
      await page.locator(".palette input").fill(text);
      await page.getByRole("group", { name: group }).getByRole("option").first().click();
    };
    await ask("dark theme", "Actions");
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
    await page.getByRole("button", { name: "Theme: dark" }).waitFor();
    await ask(`press-${unique}`, "Workers");
    await hasAddress(page, new RegExp(`/tasks/workers/${named.id}$`));
    await ask("only failed", "Actions");
    await hasAddress(page, /\/tasks\?state=failed$/);
    await ask(task, "Batch tasks");
    await hasAddress(page, new RegExp(`/tasks/batch\\?task=${task}$`));
    // A reader can't run it.
    await page.keyboard.press("Control+k");
    await page.locator(".palette input").fill(task);
    await page.getByRole("group", { name: "Batch tasks" }).getByRole("option", { name: task }).waitFor();
    assert.equal(await page.getByRole("option", { name: `Run ${task} now` }).count(), 0);
  });
});

test("whoever types and presses Enter at once gets what is found for it", async () => {
  const [wanted, other] = ["wanted", "other"].map((name) => new Tree(`${name} ${unique}`));
  // The palette shows the newest runs initially: this or any other run.
  await worker.send(wanted.own, wanted.end(wanted.own, 5), other.own, other.end(other.own, 5));
  await onPage(`${server}/tasks/workers`, async (page) => {
    await hasText(page.locator(".connection"), "live");
    await page.keyboard.press("Control+k");
    await page.locator(".palette li .state[data-state]").first().waitFor();
    await page.keyboard.type(`wanted ${unique}`);
    await page.keyboard.press("Enter");
    await hasAddress(page, new RegExp(`/tasks\\?name=wanted\\+${unique}$`));
  });
});

test("workers come, go overdue and are lost in sight, and lead to their tasks", async () => {
  await onPage(`${server}/tasks/workers`, async (page) => {
    await hasText(page.locator(".connection"), "live");
    await page.locator("tr[data-worker]").first().waitFor();
    const silent = await new Worker().online(300);
    const row = page.locator(`tr[data-worker="${silent.id}"]`);
    const tree = new Tree(`of a worker ${unique}`);
    await silent.send(tree.own);
    await hasText(row.locator(".state"), /lost$/);
    await hasText(row.locator(".heard"), /lost .*ago|lost now/);
    assert.match((await row.locator(".program").textContent()) ?? "", /browser-test.*4121 · 0\.1\.0/);
    await row.locator("a").click();
    await hasAddress(page, new RegExp(`/tasks/workers/${silent.id}$`));
    await page.locator("main").getByRole("link", { name: "Show runs" }).click();
    await hasAddress(page, new RegExp(`worker=${silent.id}`));
    await page.locator(`.root[data-root="${tree.rootId}"]`).waitFor();
    assert.equal(await page.locator(".root[data-root]").count(), 1);
    await page.getByRole("button", { name: /^Worker: browser-test 4121/ }).click();
    await hasAddress(page, /\/tasks$/);
  });
});

test("a worker that was never heard of says so, not a date in 1970", () =>
  onPage("about:blank", async (page) => {
    const name = `unheard ${unique}`;
    const known = await new Worker({ program: name }).online();
    await page.route("**/api/v1/workers?*", async (route) => {
      const answer = await (await route.fetch()).json();
      for (const each of answer.workers) if (each.id === known.id) each.last_seen_us = 0;
      await route.fulfill({ json: answer });
    });
    await page.goto(`${server}/tasks/workers`);
    const group = page.locator("main").filter({ hasText: name });
    await group.waitFor();
    await group.getByText("no heartbeat yet", { exact: false }).first().waitFor();
    assert.equal(/\d{2},\d{3} ?d/.test(await group.innerText()), false);
  }));

test("the server tells its own figures", () =>
  onPage(`${server}/tasks/about`, async (page) => {
    const status = await (await fetch(`${server}/api/v1/status`)).json();
    await hasText(page.locator(".about dd").first(), status.version);
    await hasText(page.locator(".about section").last().locator("dd").first(), /^[\d,]+$/);
    assert.equal(await page.locator(".server-notice").count(), 0);
    await page.route("**/api/v1/status", (route) => route.fulfill({ json: { ...status, version: "99.0.0" } }));
    await page.reload();
    await hasText(page.locator(".server-notice"), /^This page is version .*, but the server is version 99\.0\.0\./);
  }));

test("what is kept is told rule by rule, in the reader's language", () =>
  onPage(
    "about:blank",
    async (page) => {
      const status = await (await fetch(`${server}/api/v1/status`)).json();
      const told = { ...status, retention: "in English" };
      const kept = page.locator(".about section").first().locator("dt:text-is('保留') + dd > div");
      const shows = async (keeps, keeps_bytes, expected) => {
        await page.unroute("**/api/v1/status");
        await page.route("**/api/v1/status", (route) => route.fulfill({ json: { ...told, keeps, keeps_bytes } }));
        await page.goto(`${server}/tasks/about`);
        await kept.first().waitFor();
        assert.deepEqual((await kept.allTextContents()).map((text) => text.replaceAll("\u2009", " ").trim()), expected);
      };
      await shows([], undefined, ["所有运行: 永久"]);
      const night = { name: "nightly*", states: ["failed", "lost"], age_s: 7_776_000, count: 5 };
      await shows([night], 3 * 10 ** 9, ["nightly* 失败 · 失联: 每个名称最新的 5 个, 保留 90 d 00 h", "其余全部: 永久", "其中不超过 3 GB 的最新部分"]);
      await shows([night, { name: "*", states: [], age_s: 86_400 }], undefined, ["nightly* 失败 · 失联: 每个名称最新的 5 个, 保留 90 d 00 h", "其余全部: 保留 1 d 00 h"]);
    },
    { locale: "zh-CN" },
  ));

test("a worker tells what runs there and, when it is lost, what it took down", async () => {
  const silent = await new Worker().online(300);
  const tree = new Tree("taken down");
  const step = tree.start("deep step", tree.id, 10);
  await onPage(`${server}/tasks/workers`, async (page) => {
    await hasText(page.locator(".connection"), "live");
    await silent.send(tree.own, step);
    const row = page.locator(`tr[data-worker="${silent.id}"]`);
    await row.locator(".beats i").first().waitFor();
    await row.getByRole("link").click();
    const work = page.locator("section", { has: page.locator("#worker-work") });
    await hasText(work.locator("h2"), /^(Running now|Lost with this worker)$/);
    await hasText(work.locator("h2"), "Lost with this worker");
    await work.getByRole("link", { name: "deep step" }).click();
    await hasAddress(page, new RegExp(`process=${step.id}`));
    await hasText(page.locator(".panel .oddity"), /^lost Worker browser-test has been lost since/);
  });
});

test("without a login the way leads there, and back", () =>
  onPage(
    "about:blank",
    async (page) => {
      await page.route("**/api/v1/roots?*", (route) => route.fulfill({ status: 401, contentType: "application/problem+json", json: { detail: "log in" } }));
      await page.route("**/login?*", (route) => route.fulfill({ contentType: "text/html", body: "<h1>log in</h1>" }));
      await page.goto(`${server}/tasks?q=x&state=failed`);
      await page.waitForURL(/\/login\?next=%2Ftasks%3Fq%3Dx%26state%3Dfailed$/);
    },
    { expected: /status of 401/ },
  ));

test("a clock that is off is said, corrected on the timeline, and left as it is if that is wanted", async () => {
  const far = new Worker();
  await far.online();
  const tree = new Tree("two clocks");
  const call = tree.start("call", tree.id, 1000);
  // The other machine is an hour behind.
  const answer = tree.start("answer", call.id, 1010 - 3_600_000, { thread: "far" });
  await worker.send(tree.own, call, tree.end(call, 100), tree.end(tree.own, 2000));
  await far.send(answer, tree.end(answer, 50));
  await onPage(`${tree.address}?process=${answer.id}`, async (page) => {
    await hasText(page.locator(".missing li"), /^The clock of browser-test appears to be off by −59.*m 59.s|^The clock of browser-test appears to be off by −1.*h/);
    await hasText(page.locator(".panel .oddity"), /^clock It started before its parent/);
    await page.getByRole("button", { name: "Timeline" }).click();
    const toggle = page.getByRole("button", { name: "Correct clocks" });
    await toggle.waitFor();
    assert.equal(await toggle.getAttribute("aria-pressed"), "true");
    await toggle.click();
    await hasAddress(page, /clocks=raw/);
    assert.equal(await toggle.getAttribute("aria-pressed"), "false");
  });
});

test("the panel belongs to the tab that it was opened on", async () => {
  const tree = new Tree(`tabs ${unique}`);
  const step = tree.start("step", tree.id, 10);
  await worker.send(tree.own, step, tree.end(step, 5, { message: "broken" }), tree.end(tree.own, 100, { message: "broken" }));
  await onPage(tree.address, async (page) => {
    const [panel, tab] = [page.locator(".panel"), (name) => page.locator(".tabs").getByRole("button", { name }).click()];
    await hasText(panel.locator("h2"), "step");
    await tab("Timeline");
    await page.locator(".stage canvas[data-window]").waitFor();
    await panel.waitFor({ state: "detached" });
    await tab("Tree");
    await hasText(panel.locator("h2"), "step");
    // A process selected on another tab is shown there and selected here, too.
    await tab("Timeline");
    await page.locator(".stage canvas[data-window]").waitFor();
    await page.keyboard.press("e");
    await hasText(panel.locator("h2"), "step");
    await tab("Tree");
    await hasText(page.locator('.node[aria-selected="true"] .name'), "step");
    await panel.waitFor({ state: "detached" });
    // The address is the whole view.
    await page.reload();
    await hasText(panel.locator("h2"), "step");
  });
});

test("the panel leads to parent and children, and is copied as Markdown", async () => {
  const tree = new Tree("relatives");
  const parent = tree.start("parent", tree.id, 100);
  const children = Array.from({ length: 12 }, (_, index) => tree.start(`child ${index}`, parent.id, 110 + index * 10, { fields: { "`odd`": index } }));
  const events = children.flatMap((child, index) => [child, tree.end(child, 10, index === 11 ? { message: "no ``` here", chain: ["deeper"] } : undefined)]);
  await worker.send(tree.own, parent, ...events, tree.end(parent, 200), tree.end(tree.own, 500));
  await onPage(
    `${tree.address}?process=${parent.id}`,
    async (page, context) => {
      await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: new URL(server).origin });
      const panel = page.locator(".panel");
      await hasText(panel.locator("h2"), "parent");
      await hasText(panel.locator("dt:text-is('Self') + dd"), "80.0ms");
      await hasText(panel.locator(".relatives h3").nth(1), "Children (12)");
      await panel.getByRole("button", { name: "4 more" }).click();
      await panel.getByRole("button", { name: /child 11/ }).click();
      await hasText(panel.locator("h2"), "child 11");
      await panel.getByRole("button", { name: "Copy as Markdown" }).click();
      await hasText(panel.locator(".actions button").first(), "Copied");
      const copied = await page.evaluate(() => navigator.clipboard.readText());
      assert.ok(copied.startsWith(`## child 11\n\n${server}/tasks/${tree.rootId}?process=${children[11].id}\n`), copied);
      assert.match(copied, /^- State: failed$/m);
      assert.match(copied, /^````\nno ``` here\ncaused by: deeper\n````$/m);
      await panel.getByRole("button", { name: "Copy traceparent" }).click();
      await hasText(panel.locator(".actions button").nth(1), "Copied");
      assert.equal(await page.evaluate(() => navigator.clipboard.readText()), `00-${tree.rootId}-${children[11].id}-01`);
      await panel.locator(".relatives button").first().click();
      await hasText(panel.locator("h2"), "parent");
    },
  );
});
