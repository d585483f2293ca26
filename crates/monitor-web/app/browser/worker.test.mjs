/** The page of one worker: its identity, its work, and commands to it. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { before, test } from "node:test";
import { hasAddress, hasText, onPage, useBrowser } from "./browser.mjs";
import { openChannel, useChannels } from "./channel.mjs";
import { newId, nowUs, queueTask, server, Tree, Worker } from "./events.mjs";
import { addUser, logIn, skipUsers as skip } from "./users.mjs";

useBrowser();
useChannels();
let user;
before(() => {
  user = skip || addUser("operator");
});

const pageOf = (worker) => `${server}/tasks/workers/${worker.id}`;
const menu = (page, name) => page.locator(".tools .menu", { has: page.locator("summary", { hasText: name }) });

/** Opens a menu, and takes a choice. */
async function choose(page, of, choice) {
  await menu(page, of).locator("summary").click();
  await menu(page, of).getByRole("button", { name: choice, exact: true }).click();
}

/** A worker of a queue that grows and shrinks its pool on command. */
async function queueWorker() {
  const worker = await new Worker({ program: "render", hostname: newId() }).online();
  const told = [];
  const pool = { size: 8, busy: 3, min: 2, max: 16, paused: false };
  const answer = (method, value) => [method, (given) => (told.push([method, given]), { status: "ok", value: typeof value === "function" ? value(given) : value })];
  const close = await openChannel(worker, {
    ping: { status: "ok", value: "pong\u001b" },
    stats: () => ({ status: "ok", value: { pool: { ...pool }, limits: [{ name: "video.cut", rate: "10/m", soft_ms: null, hard_ms: 300_000, until_us: null }], queues: ["video", "mail"], threads: 7, memory_bytes: 12_300_000 } }),
    active: { status: "error", error: "the program ends" },
    cancel: { status: "ok", value: {} },
    ...Object.fromEntries([
      answer("pool-grow", ({ n }) => ({ size: (pool.size += n) })),
      answer("pause", () => ({ paused: (pool.paused = true) })),
      answer("revoke", { revoked: 2 }),
      answer("cache-clear", { cleared: "prices" }),
    ]),
    shutdown: { status: "refused", error: "MONITOR_COMMANDS=read" },
  });
  return { worker, told, close };
}

test("nested metrics are parts, and the configuration and the queues are asked for when they are opened", async () => {
  const worker = await new Worker({ program: "w1", hostname: newId() }).online();
  const asked = [];
  const close = await openChannel(worker, {
    stats: { status: "ok", value: { pool: { "max-concurrency": 4, processes: [7, 8] }, broker: { transport: "redis", userid: null }, total: { "shop.add": 12 }, clock: "9" } },
    conf: () => (asked.push("conf"), { status: "ok", value: { task_queues: null, broker_url: "redis://***@cache/0" } }),
    "active-queues": { status: "error", error: "the worker ends" },
  });
  await onPage(pageOf(worker), async (page) => {
    const part = (name) => page.locator(`.parts [data-part="${name}"]`);
    await hasText(page.locator(".figures"), /clock9$/);
    await part("pool").locator("summary").click();
    await hasText(part("pool"), /^Poolmax-concurrency4processes7, 8$/);
    await part("broker").locator("summary").click();
    await hasText(part("broker"), /^Brokertransportredis$/);
    assert.deepEqual(asked, []);
    await part("conf").locator("summary").click();
    await hasText(part("conf"), /^Configurationbroker_urlredis:\/\/\*\*\*@cache\/0$/);
    await part("active-queues").locator("summary").click();
    await hasText(part("active-queues"), /failed the worker ends/);
    assert.deepEqual(asked, ["conf"]);
  });
  close();
});

test("a worker's page tells its pool, limits and queues, what runs and its tasks, and answers questions", async () => {
  const { worker, close } = await queueWorker();
  const tree = new Tree("rendering");
  const task = queueTask("video.cut", "video");
  await worker.send(tree.own, ...task.received(), ...task.started());
  await onPage(`${server}/tasks/workers`, async (page) => {
    await page.locator(`tr[data-worker="${worker.id}"]`).getByRole("link").click();
    await hasAddress(page, new RegExp(`/tasks/workers/${worker.id}$`));
    await hasText(page.locator(".rail .entry[aria-current]"), "Workers");
    const figures = page.locator(".figures");
    await hasText(figures, /Pool3 of 8 busy between 2 and 16Queuesvideo, mailLimitvideo\.cut 10\/m · stopped after 5 m 00 s/);
    await hasText(figures, /Memory12\.3 MB.*Threads7/);
    await page.locator("section", { has: page.locator("#worker-work") }).getByRole("link", { name: "rendering" }).waitFor();
    await hasText(page.locator(`[data-task-id="${task.uuid}"]`), /^running.*video\.cut/);

    const dialog = page.getByRole("dialog");
    await choose(page, "Query", "Ping");
    await hasText(dialog.getByRole("status"), /^answered in .*pong‹U\+001B›$/);
    await page.keyboard.press("Escape");
    await choose(page, "Query", "Running now");
    await hasText(dialog.getByRole("status"), /^failed the program ends$/);
    await page.keyboard.press("Escape");

    // Readers without the right see the reason, and no dialog is opened.
    await menu(page, "Control").locator("summary").click();
    await hasText(menu(page, "Control").locator(".refused"), /^Only operators may do this\. Log in$/);
    const pause = menu(page, "Control").getByRole("button", { name: "Pause" });
    assert.equal(await pause.getAttribute("aria-disabled"), "true");
    await pause.click({ force: true });
    assert.equal(await dialog.count(), 0);
    await page.locator(".work").getByRole("link", { name: "rendering" }).click();
    await page.locator(".panel").getByRole("link", { name: "render", exact: true }).click();
    await hasAddress(page, new RegExp(`/tasks/workers/${worker.id}$`));
  });
  close();
});

test("a worker is told what to do after its effect was counted, and only what it offers", { skip }, async () => {
  const { worker, told, close } = await queueWorker();
  await onPage("about:blank", async (page) => {
    await logIn(page, user, pageOf(worker));
    const dialog = page.getByRole("dialog");
    const control = menu(page, "Control");
    await control.locator("summary").click();
    assert.deepEqual(await control.getByRole("button").allTextContents(), ["Pause", "Grow the pool", "Revoke tasks", "Shut down", "cache-clear"]);
    await control.locator("summary").click();

    await choose(page, "Control", "Grow the pool");
    await page.keyboard.type("two");
    await page.keyboard.press("Enter");
    await hasText(dialog.locator(".hint.bad"), "a number");
    assert.deepEqual(told, []);
    await dialog.getByLabel("Number").fill("2");
    await hasText(dialog.locator(".effect"), /Its pool would change from 8 to 10\.$/);
    await page.keyboard.press("Enter");
    await hasText(dialog.getByRole("status"), /^answered in [^]*"size": 10/);
    await dialog.getByRole("button", { name: "Close" }).click();
    await hasText(page.locator(".figures"), /3 of 10 busy/);

    await choose(page, "Control", "Pause");
    await hasText(dialog.locator(".effect"), /0 processes are running in it now\.$/);
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await dialog.waitFor({ state: "detached" });
    await choose(page, "Control", "Pause");
    await dialog.getByLabel("Duration").fill("10m");
    await dialog.getByRole("button", { name: "Pause" }).click();
    await dialog.getByRole("status").waitFor();
    await page.keyboard.press("Escape");
    await hasText(page.locator(".figures"), /paused/);

    await choose(page, "Control", "Revoke tasks");
    await dialog.getByLabel("Task IDs").fill("a1, b2");
    await hasText(dialog.locator(".effect"), /2 tasks are affected\.$/);
    await dialog.getByRole("checkbox").check();
    await dialog.getByRole("button", { name: "Revoke tasks" }).click();
    await dialog.getByRole("status").waitFor();
    await page.keyboard.press("Escape");

    await choose(page, "Control", "cache-clear");
    await dialog.getByLabel("Arguments").fill('{"name": "prices"}');
    await dialog.getByRole("button", { name: "cache-clear" }).click();
    await hasText(dialog.getByRole("status"), /"cleared": "prices"/);
    await page.keyboard.press("Escape");

    await choose(page, "Control", "Shut down");
    await dialog.getByRole("button", { name: "Shut down" }).click();
    await hasText(dialog.getByRole("status"), "refused MONITOR_COMMANDS=read");
    await page.keyboard.press("Escape");

    // The page lists all commands, newest first, with their senders; commands that only read are shown on request.
    const commands = page.locator(".commands li");
    await hasText(commands.first(), new RegExp(`^refused ?Shut down.*${user}`));
    assert.equal(await commands.count(), 5);
    await commands.nth(1).locator("summary").click();
    await hasText(commands.nth(1), /cache-clear[^]*"name": "prices"[^]*"cleared": "prices"/);
    await page.locator(".commands").getByRole("button", { name: "Include queries" }).click();
    await commands.filter({ hasText: "Metrics" }).first().waitFor();
    await hasText(page.locator(".events"), /worker-online/);
  });
  assert.deepEqual(told, [
    ["pool-grow", { n: 2 }],
    ["pause", { for_ms: 600_000 }],
    ["revoke", { ids: ["a1", "b2"], terminate: true }],
    ["cache-clear", { name: "prices" }],
  ]);
  close();
});

test("on a phone, in Chinese, menus and dialogs are whole, can be touched, and leave nothing in English", { skip }, async () => {
  const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
  const { worker, close } = await queueWorker();
  await onPage(
    "about:blank",
    async (page) => {
      await logIn(page, user, pageOf(worker));
      for (const [of, choice] of [["查询", "连通测试"], ["控制", "撤销任务"]]) {
        await menu(page, of).locator("summary").click();
        const { x, width } = await menu(page, of).locator(".choices").boundingBox();
        assert.ok(x >= 0 && x + width <= 320, `${x} ${width}`);
        const button = menu(page, of).getByRole("button", { name: choice, exact: true });
        assert.ok((await button.boundingBox()).height >= 44);
        await button.click();
        const dialog = page.getByRole("dialog");
        await dialog.locator(".effect, [role=status]").first().waitFor();
        const said = await dialog.evaluate((element) => {
          const copy = element.cloneNode(true);
          for (const given of copy.querySelectorAll("[translate=no]")) given.remove();
          return copy.textContent;
        });
        assert.doesNotMatch(said.replaceAll(/\bID\b|[\d.]+\s?(?:μs|ms|s)\b/g, ""), /[A-Za-z]{2}/);
        for (const each of await dialog.locator("button, textarea, label.flag").all()) assert.ok((await each.boundingBox()).height >= 44);
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
        assert.deepEqual(violations.filter(({ impact }) => impact === "serious" || impact === "critical").map(({ id, nodes }) => `${id} ${nodes[0].html}`), []);
        await page.keyboard.press("Escape");
        await dialog.waitFor({ state: "detached" });
      }
    },
    { locale: "zh-CN", colorScheme: "dark", viewport: { width: 320, height: 640 } },
  );
  close();
});

test("a worker without a channel says that it takes no commands, and one that is not known that it is not", async () => {
  // It has announced nothing, and no interval.
  const mute = new Worker();
  const tree = new Tree("mute");
  await mute.send(tree.own);
  await onPage(pageOf(mute), async (page) => {
    await hasText(page.locator(".facts dl").first(), /Not accepted: no command channel is open\./);
    assert.equal(await page.locator(".tools .menu").count(), 0);
    await page.getByText("· sends no heartbeats").first().waitFor();
    for (const id of ["0".repeat(31) + "1", "nonsense"]) {
      await page.goto(`${server}/tasks/workers/${id}`);
      await hasText(page.locator(".notice h2"), `Worker ${id} was not found.`);
    }
  }, { expected: /status of 40[04]/ });
});

test("the list of workers and the page of one count tasks by how they ended, and count on when a task ends", async () => {
  const worker = await new Worker({ program: "render", hostname: newId() }).online();
  const [first, second, third] = Array.from({ length: 3 }, () => queueTask("video.cut", "video"));
  await worker.send(...first.received(), ...first.started(), ...first.succeeded(1));
  await onPage(`${server}/tasks/workers`, async (page) => {
    const row = page.locator(`tr[data-worker="${worker.id}"]`);
    const counts = async (...expected) => {
      for (const [at, column] of ["succeeded", "failed", "retried"].entries()) await hasText(row.locator(`.${column}`), expected[at]);
    };
    await counts("1", "0", "0");
    // No event is about the worker itself, such as a heartbeat.
    await worker.send(...second.received(), ...second.started(), ...second.retried("no net"));
    await counts("1", "0", "1");
    await worker.send(...second.started(2), ...second.failed("no disk", 2));
    await counts("1", "1", "1");

    await row.getByRole("link").click();
    const succeeded = page.locator(".events dl > div", { hasText: "task-succeeded" });
    await hasText(succeeded, "task-succeeded1");
    await worker.send(...third.received(), ...third.started(), ...third.succeeded(1));
    await hasText(succeeded, "task-succeeded2");
  });
});
