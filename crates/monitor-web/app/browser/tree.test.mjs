/** A root's page: its tree and the panel of a process. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { hasAddress, hasText, onPage, useBrowser, useWorker } from "./browser.mjs";
import { newId, server, Tree, Worker } from "./events.mjs";

useBrowser();
const worker = useWorker();

const node = (page, process) => page.locator(`.node[data-process="${process.id}"]`);
const selected = (page) => page.locator('.node[aria-selected="true"]');

test("the tree grows while the work runs", async () => {
  const tree = new Tree("growing");
  await worker.send(tree.own);
  await onPage(tree.address, async (page) => {
    await hasText(page.locator(".root-header .state").first(), /running/);
    await hasText(page.locator(".connection"), "live");
    const stage = tree.start("stage", tree.id, 100);
    const step = tree.start("step", stage.id, 200);
    // The child is known before its parent.
    await worker.send(step);
    await hasText(node(page, step).locator(".mark"), "parent unknown");
    await worker.send(stage);
    await hasText(node(page, stage).locator(".name"), "stage");
    await node(page, step).locator(".mark").waitFor({ state: "detached" });
    assert.equal(await node(page, step).getAttribute("aria-level"), "3");

    const ticking = node(page, step).locator(".duration");
    const before = (await ticking.textContent()).replaceAll("\u2009", " ");
    await hasText(ticking, new RegExp(`^(?!${before}$)`));
    await worker.send(tree.end(step, 50), tree.end(stage, 300), tree.end(tree.own, 500));
    await hasText(node(page, step).locator(".mark-only .hidden"), "succeeded");
    await hasText(ticking, "50.0ms");
    await hasText(page.locator(".root-header .state").first(), /succeeded/);
    await hasText(page.locator("p[role=status]"), /growing <\d+>: succeeded/);
  });
});

test("a long tree that goes on opens with what is over closed, and all else in sight", async () => {
  const tree = new Tree("a run of many stages");
  const stages = Array.from({ length: 8 }, (_, at) => {
    const stage = tree.start(`stage ${at}`, tree.id, at * 10);
    return { stage, steps: Array.from({ length: 8 }, (_, step) => tree.start(`step ${at}.${step}`, stage.id, at * 10 + step)) };
  });
  const over = stages.slice(0, 7).flatMap(({ stage, steps }) => [stage, ...steps].map((each) => tree.end(each, 5)));
  const { stage: last, steps } = stages[7];
  await worker.send(tree.own, ...stages.flatMap(({ stage, steps }) => [stage, ...steps]), ...over);
  await onPage(tree.address, async (page) => {
    await node(page, steps[7]).waitFor();
    assert.equal(await page.locator(".node").count(), 1 + 8 + 8);
    assert.equal(await node(page, stages[0].stage).getAttribute("aria-expanded"), "false");
    assert.equal(await node(page, last).getAttribute("aria-expanded"), "true");
    // Visible rows stay in place when processes end.
    await worker.send(...steps.map((step) => tree.end(step, 5)), tree.end(last, 20), tree.end(tree.own, 200));
    await hasText(page.locator(".root-header .state").first(), /succeeded/);
    assert.equal(await node(page, last).getAttribute("aria-expanded"), "true");
    await page.reload();
    await node(page, stages[0].steps[0]).waitFor();
    assert.equal(await node(page, stages[0].stage).getAttribute("aria-expanded"), "true");
  });
});

test("what is reported twice and differently says so in its row and in the panel", async () => {
  const tree = new Tree("contradicted");
  const step = tree.start("step", tree.id, 10);
  await worker.send(tree.own, step, tree.end(step, 5), tree.end(step, 50, { message: "no" }), tree.end(tree.own, 100));
  await onPage(`${tree.address}?process=${step.id}`, async (page) => {
    await hasText(node(page, step).locator(".mark"), "contradiction");
    await hasText(page.locator(".panel .oddity"), /^contradiction 1 report contradicts the others/);
  });
});

test("sources open in the editor that was chosen, all of them and from then on", async () => {
  const tree = new Tree("edited");
  const step = tree.start("step", tree.id, 10);
  await worker.send(tree.own, step, tree.end(step, 5, { message: "no", source: { file: "src/a b.rs", line: 88 } }), tree.end(tree.own, 100));
  await onPage(`${tree.address}?process=${step.id}`, async (page) => {
    const links = () => page.locator(".source a").evaluateAll((found) => found.map(({ href }) => href));
    await page.locator(".source .menu summary").first().click();
    assert.deepEqual(await links(), []);
    await page.locator(".source select").first().selectOption("VS Code");
    await page.locator(".source label input").nth(1).fill("/home/me/app");
    const expected = ["vscode://file/home/me/app/src/a%20b.rs:88", "vscode://file/home/me/app/src/main.rs:12"];
    await page.locator(".source a").nth(1).waitFor();
    assert.deepEqual(await links(), expected);
    await page.reload();
    await page.locator(".source a").nth(1).waitFor();
    assert.deepEqual(await links(), expected);
  });
});

test("a name that is cut is copied whole", async () => {
  const name = `long ${"name ".repeat(60)}end`;
  const tree = new Tree("names");
  const step = tree.start(name, tree.id, 10);
  await worker.send(tree.own, step, tree.end(step, 5), tree.end(tree.own, 100));
  await onPage(`${tree.address}?process=${step.id}`, async (page, context) => {
    await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: new URL(server).origin });
    const shown = node(page, step).locator(".name");
    await hasText(shown, name);
    assert.ok(await shown.evaluate((element) => element.scrollWidth > element.clientWidth), "there is no room for all of it");
    await page.locator(".panel").getByRole("button", { name: "Copy the name" }).click();
    await page.locator(".panel").getByRole("button", { name: "Copied" }).waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), name);
    await page.locator(".root-header").getByRole("button", { name: "Copy the name" }).click();
    await page.locator(".root-header").getByRole("button", { name: "Copied" }).waitFor();
    assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^names <\d+>$/);
  });
});

test("a link to the view is copied, also where browsers offer no clipboard", async () => {
  const tree = new Tree("linked");
  await worker.send(tree.own, tree.end(tree.own, 5));
  for (const isSecure of [true, false]) {
    await onPage("about:blank", async (page, context) => {
      await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: new URL(server).origin });
      if (!isSecure) await page.addInitScript(() => Object.defineProperty(navigator, "clipboard", { value: undefined }));
      await page.goto(`${tree.address}?tab=timeline`);
      await page.locator(".root-header .menu summary").click();
      await page.getByRole("button", { name: "Copy link" }).click();
      await hasText(page.locator("p[role=status]"), "Copied");
      await page.keyboard.press("Control+k");
      await page.keyboard.press("Control+v");
      assert.equal(await page.locator(".palette input").inputValue(), `${tree.address}?tab=timeline`);
    });
  }
});

test("what is missing of a tree is said above it", async () => {
  const tree = new Tree("crowded");
  const crowded = await new Worker().online();
  await crowded.send(tree.own);
  await onPage(tree.address, async (page) => {
    await page.locator(".root-header h1").waitFor();
    assert.equal(await page.locator(".missing").count(), 0);
    const a = newId();
    crowded.dropped = [
      { type: "process-started", reason: "memory", root_id: tree.rootId, count: 12_345 },
      { type: "process-seen", reason: "<b>whim</b>", root_id: tree.rootId, count: 1 },
      { type: "process-started", reason: "memory", root_id: null, count: 7 },
    ];
    const circle = tree.start("circle", a, 20);
    await crowded.send(circle, { ...tree.start("back", circle.id, 30), id: a }, tree.end(tree.own, 500));
    await hasText(page.locator(".missing li").first(), "1 × process-seen missing: <b>whim</b>");
    await hasText(page.locator(".missing li").nth(1), /^12,345 processes missing: the program’s buffer was full/);
    await hasText(page.locator(".missing li").nth(2), /1 parent is ignored/);
  });
});

function failingTree() {
  const tree = new Tree("导入订单");
  const fetch = tree.start("fetch", tree.id, 10);
  const parse = tree.start("parse", tree.id, 30);
  const rows = Array.from({ length: 60 }, (_, row) => tree.start(`load_row ${row}`, parse.id, 40 + row * 10, { fields: { row } }));
  const query = tree.start("query", rows[40].id, 445, { source: { file: "src/db.rs", line: 70 } });
  const late = tree.start("late failure", parse.id, 900);
  const error = {
    type: "app::Error",
    message: "rows not loaded",
    chain: ["query failed", "no such table: orders"],
    source: { file: "src/db.rs", line: 88 },
  };
  const events = [
    tree.own,
    fetch,
    tree.end(fetch, 15),
    parse,
    ...rows.flatMap((row, index) => [row, tree.end(row, 8, index === 40 ? { message: "row 40" } : undefined)]),
    query,
    tree.end(query, 2, error),
    late,
    tree.end(late, 5, { message: "too late" }),
    tree.end(parse, 900, { message: "1 row failed", chain: ["row 40"] }),
    tree.end(tree.own, 1000, { message: "import failed" }),
  ];
  return { tree, events, fetch, parse, rows, query, late };
}

test("the end of the failing path is opened by itself, with what is known of it", async () => {
  const { tree, events, query, late, rows } = failingTree();
  await worker.send(...events);
  await onPage(tree.address, async (page) => {
    await hasText(selected(page).locator(".name"), "query");
    await selected(page).waitFor({ state: "visible" });
    const panel = page.locator(".panel");
    await hasText(panel.locator("h2"), "query");
    await hasText(panel.locator(".message"), "rows not loaded");
    assert.deepEqual(await panel.locator(".chain li").allTextContents(), ["caused by: query failed", "caused by: no such table: orders"]);
    const text = (await panel.textContent()) ?? "";
    for (const known of ["app::Error", "src/db.rs:88", "src/db.rs:70", "browser-test", "4121", "main", query.id, tree.rootId, rows[40].id]) {
      assert.ok(text.includes(known), `the panel lacks ${known}`);
    }

    await page.keyboard.press("e");
    await hasText(selected(page).locator(".name"), "late failure");
    await hasAddress(page, new RegExp(`process=${late.id}`));
    await page.keyboard.press("E");
    await hasText(panel.locator("h2"), "query");
  });
});

test("an error below a process that succeeded is dim, and counted as handled", async () => {
  const tree = new Tree("answered for");
  const read = tree.start("read", tree.id, 1);
  const file = tree.start("file", read.id, 2);
  await worker.send(tree.own, read, file, tree.end(file, 1, { message: "no such file" }), tree.end(read, 5), tree.end(tree.own, 9));
  await onPage(`${server}/tasks?q=${tree.rootId}`, async (page) => {
    await hasText(page.locator(`.root[data-root="${tree.rootId}"] .why`), "1 handled error");
    await page.locator(`.root[data-root="${tree.rootId}"] .title`).click();
    const failed = page.locator(`.node[data-process="${file.id}"]`);
    await hasText(failed.locator(".why"), "handled: no such file");
    assert.equal(await failed.getAttribute("data-handled"), "true");
    await hasText(page.locator(".root-header .handled .hidden"), "1 handled error");
    const colour = (of) => of.evaluate((element) => getComputedStyle(element).color);
    assert.equal(await colour(failed.locator(".why")), await colour(page.locator(".tree-head.dim")));
  });
});

test("a selected process is a link", async () => {
  const { tree, events, rows } = failingTree();
  await worker.send(...events);
  await onPage(`${tree.address}?process=${rows[55].id}`, async (page) => {
    await hasText(page.locator(".panel h2"), "load_row 55");
    await selected(page).waitFor({ state: "visible" });
    await page.keyboard.press("Escape");
    await page.locator(".panel").waitFor({ state: "detached" });
    await hasAddress(page, new RegExp(`/tasks/${tree.rootId}$`));
    await node(page, rows[54]).click();
    await hasAddress(page, new RegExp(`process=${rows[54].id}`));
    await page.reload();
    await hasText(page.locator(".panel h2"), "load_row 54");
  });
});

test("arrows move, open and close", async () => {
  const { tree, events, fetch, parse, rows } = failingTree();
  await worker.send(...events);
  await onPage(`${tree.address}?process=${tree.id}`, async (page) => {
    await hasText(page.locator(".panel h2"), "导入订单");
    const press = (...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());
    await press("ArrowDown");
    await hasText(page.locator(".panel h2"), "fetch");
    await press("ArrowDown", "ArrowLeft");
    await node(page, rows[0]).waitFor({ state: "detached" });
    assert.equal(await node(page, parse).getAttribute("aria-expanded"), "false");
    await press("ArrowRight", "ArrowRight");
    await hasText(page.locator(".panel h2"), "load_row 0");
    await press("ArrowLeft", "ArrowUp");
    await hasText(page.locator(".panel h2"), "fetch");
    assert.equal(await selected(page).getAttribute("data-process"), fetch.id);
    await press("End");
    await hasText(page.locator(".panel h2"), "late failure");
    await press("Home");
    await hasText(page.locator(".panel h2"), "导入订单");
  });
});

test("what came in is shown as data", async () => {
  const tree = new Tree('"quoted" & <b>bold</b>');
  const odd = tree.start("<img src=x onerror=alert(1)>\u0000end", tree.id, 5, {
    attachment: "inferred",
    thread: "tokio\u0000worker",
    fields: { "<i>": "a\u0000b", nested: { deep: [1, null] } },
  });
  const unattached = tree.start("nobody's", tree.id, 6, { attachment: "unattached" });
  await worker.send(tree.own, odd, unattached, tree.end(odd, 1, { message: "<script>alert(2)</script>\u0007" }));
  await onPage(`${tree.address}?process=${odd.id}`, async (page) => {
    await hasText(page.locator(".root-header h1"), /^"quoted" & <b>bold<\/b> <\d+>$/);
    await hasText(node(page, odd).locator(".name"), "<img src=x onerror=alert(1)>‹U+0000›end");
    await hasText(node(page, odd).locator(".mark"), "parent inferred");
    await hasText(node(page, unattached).locator(".mark"), "unattached");
    await hasText(page.locator(".panel .message"), "<script>alert(2)</script>‹U+0007›");
    const text = (await page.locator(".panel").textContent()) ?? "";
    for (const known of ["tokio‹U+0000›worker", "<i>", "a‹U+0000›b", '{"deep":[1,null]}', "the only run in progress"]) {
      assert.ok(text.includes(known), `the panel lacks ${known}`);
    }
    assert.equal(await page.locator("main img, main b, main script").count(), 0);
  });
});

test("a root or a process that is not there says so", async () => {
  await onPage(
    `${server}/tasks/${"f".repeat(32)}`,
    async (page) => {
      await hasText(page.locator(".notice h2"), `Run ${"f".repeat(32)} was not found.`);
      const [first, last] = await Promise.all([".notice h2", ".notice .link"].map((part) => page.locator(part).boundingBox()));
      assert.ok(last.y + last.height - first.y < 200, `its lines stand together: ${first.y}, ${last.y}`);
    },
    { expected: /status of 404/ },
  );
  const tree = new Tree("lonely");
  await worker.send(tree.own, tree.end(tree.own, 1));
  const absent = newId();
  await onPage(`${tree.address}?process=${absent}`, (page) => hasText(page.locator(".panel h2"), `This run has no process ${absent}.`));
});

test("a root is found by its short number too", async () => {
  const tree = new Tree("numbered");
  await worker.send(tree.own, tree.end(tree.own, 1));
  const { root } = await (await fetch(`${server}/api/v1/roots/${tree.rootId}/tree`)).json();
  await onPage(`${server}/tasks/${root.number}`, (page) => hasText(page.locator(".root-header h1"), `numbered <${root.number}>`));
});

test("on a phone the failure and its message are in sight", async () => {
  const { tree, events } = failingTree();
  await worker.send(...events);
  await onPage(
    tree.address,
    async (page) => {
      await hasText(page.locator(".panel .message"), "rows not loaded");
      const box = await page.locator(".panel .message").boundingBox();
      assert.ok(box && box.x >= 0 && box.x + box.width <= 360 && box.y + box.height <= 740, JSON.stringify(box));
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
    },
    { viewport: { width: 360, height: 740 } },
  );
});

test("what is being read stays where it is while rows come above it", async () => {
  const tree = new Tree("anchored");
  const early = tree.start("early", tree.id, 10);
  const late = tree.start("late", tree.id, 500);
  const below = Array.from({ length: 60 }, (_, index) => tree.start(`below ${index}`, late.id, 510 + index));
  await worker.send(tree.own, early, late, ...below);
  await onPage(`${tree.address}?process=${below[50].id}`, async (page) => {
    await hasText(page.locator(".connection"), "live");
    await selected(page).waitFor();
    const top = async () => (await selected(page).boundingBox())?.y;
    const before = await top();
    const above = Array.from({ length: 300 }, (_, index) => tree.start(`above ${index}`, early.id, 20 + index));
    await worker.send(...above);
    await hasText(page.locator(".toolbar .dim"), "363 processes");
    await selected(page).waitFor();
    assert.equal(await top(), before);
  });
});

test("what is lost with its worker shows so, since when, and is corrected when the worker returns", async () => {
  const silent = await new Worker().online(300);
  const tree = new Tree("silent");
  // More processes than the stream reports individually.
  const many = Array.from({ length: 1500 }, (_, index) => tree.start(`step ${index}`, tree.id, index));
  await onPage(`${server}/tasks?name=silent`, async (page) => {
    await hasText(page.locator(".connection"), "live");
    await silent.sendAll([tree.own, ...many]);
    const row = page.locator(`.root[data-root="${tree.rootId}"]`);
    await hasText(row.locator(".why"), /^no heartbeat since .* · worker browser-test$/);
    await row.click();
    await hasText(page.locator(".root-header .error"), /^no heartbeat since .* · worker browser-test$/);
    await hasText(page.locator(".root-header .counts .hidden"), "1,501 lost");
    await hasText(page.locator(".node .mark-only .hidden").nth(2), "lost");

    await silent.sendAll([...many.map((step) => tree.end(step, 5)), tree.end(tree.own, 2000)]);
    await hasText(page.locator(".root-header .counts .hidden"), "1,501 succeeded");
    await page.getByRole("button", { name: "Expand all" }).click();
    await hasText(page.locator(".node .mark-only .hidden").nth(2), "succeeded");
  });
});

test("what is lost although its worker is online has its own reason", async () => {
  const online = await new Worker().online();
  const tree = new Tree("forgotten");
  const why = "its worker no longer holds the task";
  await online.send(tree.own, { ...tree.end(tree.own, 5, { message: why }), outcome: "lost" });
  await onPage(tree.address, async (page) => {
    await hasText(page.locator(".one .failure .message"), why);
    await page.locator(".panel h2").waitFor();
    assert.doesNotMatch(await page.locator("body").innerText(), /no heartbeat|has been lost since/);
  });
});

test("a root is saved as one file that opens without a server", async () => {
  const { tree, events } = failingTree();
  await worker.send(...events, tree.log(tree.id, 20, "warn", "<b>about to</b> fail"));
  await onPage(tree.address, async (page, context) => {
    await page.locator(".root-header .menu summary").click();
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: "Save as HTML" }).click();
    const file = await (await download).path();
    const alone = await context.newPage();
    const asked = [];
    alone.on("request", (request) => asked.push(request.url()));
    await alone.setContent(await readFile(file, "utf8"));
    await hasText(alone.locator("pre b"), "rows not loaded");
    await hasText(alone.locator("details summary .name").first(), /导入订单/);
    assert.equal(await alone.locator("svg rect").count(), events.filter(({ type }) => type === "process-started").length);
    await hasText(alone.locator("table tr td").last(), "<b>about to</b> fail");
    assert.deepEqual(asked.filter((url) => !url.startsWith("about:")), []);
  });
});
