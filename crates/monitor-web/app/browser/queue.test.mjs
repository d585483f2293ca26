/** Tasks of queues: states, sorting, searching, changes, and their trees. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasText, onPage, useBrowser } from "./browser.mjs";
import { openChannel, useChannels } from "./channel.mjs";
import { newId, nowUs, queueTask, server, Tree, Worker } from "./events.mjs";
import { addUser, logIn, skipUsers as skip } from "./users.mjs";

useBrowser();
useChannels();

test("tasks of a queue are counted, searched and sorted, and change where they stand", async () => {
  const queue = `video-${newId()}`;
  const worker = await new Worker().online();
  const [cut, mix, render] = ["cut", "mix", "render"].map((name) => queueTask(name, queue));
  await worker.send(...cut.received(), ...cut.started(), ...cut.succeeded({ frames: 7 }), ...mix.received(), ...mix.started(), ...mix.failed("no disk at /a"), ...render.received({ size: "4k" }), ...render.started());
  await onPage(`${server}/tasks/queue?queue=${queue}`, async (page) => {
    const row = (task) => page.locator(`tr[data-task-id="${task.uuid}"]`);
    await row(render).waitFor();
    await hasText(page.getByRole("button", { name: /^Failed/i }), /1/);
    await hasText(row(mix), /no disk/);
    assert.equal(await row(render).getAttribute("data-state"), "running");

    // Displayed tasks are updated in place; new tasks wait until the reader requests them.
    const late = queueTask("late", queue);
    await worker.send(...render.succeeded(), ...late.received());
    await page.locator(`tr[data-task-id="${render.uuid}"][data-state="succeeded"]`).waitFor();
    const news = page.locator(".waiting button");
    await hasText(news, /1 new/);
    assert.equal(await row(late).count(), 0);
    await news.click();
    await row(late).waitFor();
    assert.equal(await page.locator("tbody tr").first().getAttribute("data-task-id"), late.uuid);

    await page.getByRole("button", { name: "Duration", exact: true }).click();
    await page.locator('th[aria-sort="descending"].runtime').waitFor();
    await page.getByRole("button", { name: /^Failed/i }).click();
    await row(cut).waitFor({ state: "detached" });
    await row(mix).waitFor();
    await page.getByRole("button", { name: /^Failed/i }).click();
    await page.getByLabel("Search tasks").fill("kwargs:size=4k");
    await row(mix).waitFor({ state: "detached" });
    await row(render).waitFor();
    await page.getByLabel("Search tasks").fill("(kwargs:size=4k");
    await hasText(page.locator("[role=alert], .problem, .notice").first(), /column 1: this bracket is not closed/);
    await page.getByLabel("Search tasks").fill(`id:${mix.uuid}`);
    await row(mix).getByRole("link").click();
    await hasText(page.locator(".one"), /no disk/);
  }, { expected: /status of 400/ });
});

test("the clusters of Celery are shown with the state of their brokers", async () => {
  const [bridge, cluster] = [await new Worker({ program: "monitor-celery", hostname: newId() }).online(), `orders-${newId()}`];
  const run = new Tree(`celery ${cluster}`, { fields: { "celery.cluster": cluster, "celery.broker": "redis://cache/0" } });
  const fields = (values) => ({ type: "process-updated", root_id: run.rootId, id: run.id, time_us: nowUs(), fields: values });
  await bridge.send(run.own);
  await onPage(`${server}/tasks/queue`, async (page) => {
    const shown = page.locator(`[data-cluster="${cluster}"]`);
    await hasText(shown, new RegExp(`^${cluster} connecting redis://cache/0$`));
    await bridge.send(fields({ "celery.state": "connected", "celery.since_us": nowUs() }));
    await hasText(shown, new RegExp(`^${cluster} connected .*redis://cache/0$`));
    await bridge.send(fields({ "celery.queues": { idle: { waiting: 0, consumers: null }, [`mail-${cluster}`]: { waiting: 1200, consumers: 0, priorities: { 9: 200, 0: 1000 }, oldest_us: nowUs() - 180e6, sent_per_minute: 1400, ended_per_minute: 0 } }, "celery.queues.recent": { [`mail-${cluster}`]: [3, null, 1200] } }));
    const mail = shown.locator(`[data-queue="mail-${cluster}"]`);
    await hasText(mail, new RegExp(`^ ?mail-${cluster} 1,200 wait for a worker that reads the queue, the oldest for 3 m`));
    await mail.getByRole("img", { name: "waiting tasks in the last hour: 3 – 1,200" }).waitFor();
    await mail.getByTitle("1,000 of priority 0, 200 of priority 9, last minute: 1,400 sent, 0 ended", { exact: true }).waitFor();
    await hasText(shown.locator('[data-queue="idle"]'), /^ ?idle 0 wait$/);
    await mail.getByRole("link").click();
    await page.waitForURL(new RegExp(`queue=mail-${cluster}`));
    await bridge.send(fields({ "celery.state": "away", "celery.since_us": nowUs() - 180e6, "celery.gaps": 2, "celery.unreadable": 1 }));
    await hasText(shown, /broker not reached 3m ago .* 2 gaps 1 message could not be read$/);
    // The last numbers are old.
    await mail.waitFor({ state: "detached" });
    await bridge.send(run.end(run.own, 61_000));
    await hasText(shown, /no longer recorded/);
    await shown.getByRole("link", { name: cluster, exact: true }).click();
    await hasText(page.locator(".root-header"), new RegExp(`celery ${cluster}`));
  });
});

test("a search that the server ends after a second goes on until it is stopped, and shows what it has found", async () => {
  const queue = `long-${newId()}`;
  const worker = await new Worker().online();
  const [one, two] = ["one", "two"].map((name) => queueTask(name, queue));
  await worker.send(...one.received(), ...two.received());
  await onPage("about:blank", async (page) => {
    // The server's real answer, split as if its time limit were reached: no task, then the first task, then repeatedly none.
    const asked = [];
    const more = page.locator(".body > .more");
    await page.route("**/api/v1/queue-tasks?*", async (route) => {
      const url = new URL(route.request().url());
      const cursor = url.searchParams.get("cursor") ?? "0";
      asked.push(cursor);
      url.searchParams.delete("cursor");
      const response = await route.fetch({ url: url.href });
      const { tasks, next_cursor: _, ...told } = await response.json();
      const found = { 1: tasks.slice(1), 8: tasks.slice(0, 1) }[cursor] ?? [];
      if (cursor === "5") {
        // Tasks are displayed while the search continues.
        await page.locator(`tr[data-task-id="${one.uuid}"]`).waitFor();
        await hasText(more, /^5,000 tasks examined/);
        await more.getByRole("button", { name: "Stop" }).click();
      }
      await route.fulfill({ response, json: { ...told, tasks: found, examined: 1000, ...(cursor !== "8" && { next_cursor: `${Number(cursor) + 1}` }) } });
    });
    await page.goto(`${server}/tasks/queue?queue=${queue}`);
    await hasText(more, /^6,000 tasks examined *More$/);
    assert.deepEqual(asked, ["0", "1", "2", "3", "4", "5"]);
    assert.equal(await page.locator(`tr[data-task-id="${two.uuid}"]`).count(), 0);
    await more.getByRole("button", { name: "More" }).click();
    await page.locator(`tr[data-task-id="${two.uuid}"]`).waitFor();
    await more.waitFor({ state: "detached" });
    assert.deepEqual(asked, ["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
  });
});

test("a task that was tried again shows its attempts in its tree", async () => {
  const queue = `mail-${newId()}`;
  const task = queueTask("send", queue);
  await (await new Worker().online()).send(...task.received(), ...task.started(), ...task.retried("no net"), ...task.received({}, 2), ...task.started(2), ...task.succeeded("sent", 2));
  await onPage(`${server}/tasks/queue?queue=${queue}`, async (page) => {
    const row = page.locator(`tr[data-task-id="${task.uuid}"]`);
    await hasText(row, /attempt 2/);
    await row.getByRole("link").click();
    await hasText(page.locator(".one"), /Attempts/);
  });
});

test("tasks are revoked together after they were counted, those that have ended are left alone", { skip }, async () => {
  const queue = `print-${newId()}`;
  const worker = await new Worker().online();
  const [waits, runs, done] = ["waits", "runs", "done"].map((name) => queueTask(name, queue));
  await worker.send(...waits.sent(), ...runs.received(), ...runs.started(), ...done.received(), ...done.started(), ...done.succeeded(1));
  const told = [];
  const close = await openChannel(worker, { revoke: (given) => (told.push(given), { status: "ok", value: {} }) });
  await onPage("about:blank", async (page) => {
    await logIn(page, addUser("operator"), `${server}/tasks/queue?queue=${queue}`);
    await page.locator(`tr[data-task-id="${waits.uuid}"]`).waitFor();
    const top = (await page.locator("table").boundingBox()).y;
    await page.getByRole("checkbox", { name: "Select all shown" }).check();
    await hasText(page.locator(".chosen-bar strong"), "3 selected");
    assert.equal((await page.locator("table").boundingBox()).y, top);
    await page.getByRole("checkbox", { name: /^Select done/ }).uncheck();
    await hasText(page.locator(".chosen-bar strong"), "2 selected");
    await page.getByRole("checkbox", { name: /^Select done/ }).check();
    await page.getByRole("button", { name: "Revoke" }).click();
    const dialog = page.getByRole("dialog");
    await hasText(dialog, /^Revoke 2 tasks\?1 of the selected tasks has already ended\./);
    await dialog.getByRole("checkbox", { name: "Also stop 1 running task" }).check();
    await dialog.getByRole("button", { name: "Revoke 2 tasks" }).click();
    await hasText(dialog.getByRole("status"), /^1 worker has accepted the revocation\./);
    await page.keyboard.press("Escape");
    await page.locator(".chosen-bar").waitFor({ state: "detached" });
  });
  assert.deepEqual(told.map(({ ids, terminate }) => [ids.toSorted(), terminate]), [[[waits.uuid, runs.uuid].toSorted(), true]]);
  close();
});

test("tasks that have ended are run again together, where a worker offers that", { skip }, async () => {
  const queue = `print-${newId()}`;
  const worker = await new Worker().online();
  const [waits, failed, done] = ["waits", "failed", "done"].map((name) => queueTask(name, queue));
  await worker.send(...waits.sent(), ...failed.received(), ...failed.started(), ...failed.failed("no ink"), ...done.received(), ...done.started(), ...done.succeeded(1));
  const told = [];
  const retry = ({ ids }) => {
    told.push(...ids);
    return { status: "ok", value: { tasks: ids.map((id) => (id === done.uuid ? { id, error: "it has succeeded" } : { id, uuid: `${id}-again` })) } };
  };
  const close = await openChannel(worker, { retry });
  await onPage("about:blank", async (page) => {
    await logIn(page, addUser("operator"), `${server}/tasks/queue?queue=${queue}`);
    await page.locator(`tr[data-task-id="${waits.uuid}"]`).waitFor();
    await page.getByRole("checkbox", { name: "Select all shown" }).check();
    await page.getByRole("button", { name: "Retry" }).click();
    const dialog = page.getByRole("dialog");
    await hasText(dialog, /^Run 2 tasks again\?1 of the selected tasks has not ended yet\.1 of them has already succeeded\./);
    await dialog.getByRole("button", { name: "Run 2 tasks again" }).click();
    await hasText(dialog.getByRole("status"), /^1 task is back in the queue\..*it has succeeded/);
    await page.keyboard.press("Escape");
    await page.locator(".chosen-bar").waitFor({ state: "detached" });
  });
  assert.deepEqual(told.toSorted(), [failed.uuid, done.uuid].toSorted());
  close();
});
