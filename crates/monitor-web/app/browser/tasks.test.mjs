/** The list of roots. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasAddress, hasText, onPage, row, useBrowser, useWorker } from "./browser.mjs";
import { history, newId, server, Tree, Worker } from "./events.mjs";

useBrowser();
const unique = newId();
const worker = useWorker();

test("/ leads to /tasks", () =>
  onPage(`${server}/`, async (page) => {
    await hasAddress(page, /\/tasks$/);
    await hasText(page.locator(".connection"), "live");
    assert.match(await page.title(), /^Runs/);
  }));

test("a root shows up, runs and fails without a reload", () =>
  onPage(`${server}/tasks`, async (page) => {
    await hasText(page.locator(".connection"), "live");
    const tree = new Tree(`导入 <script>alert(1)</script> ${unique}`, { batch: "b<1>" });
    await worker.send(tree.own);
    await hasText(row(page, tree).locator(".mark-cell"), /running/);
    await hasText(row(page, tree).locator(".title"), new RegExp(`^导入 <script>alert\\(1\\)</script> ${unique} <b<1>:\\d+>$`));
    await hasText(row(page, tree).locator(".worker"), "browser-test");
    const started = row(page, tree).locator(".started span");
    await started.hover();
    assert.match((await started.getAttribute("title")) ?? "", /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6} \S+/);
    const first = await row(page, tree).locator(".duration").textContent();
    await hasText(row(page, tree).locator(".duration"), new RegExp(`^(?!${first.replaceAll("\u2009", " ")}$)`));

    await worker.send(tree.end(tree.own, 41_200, { message: "no such table: orders" }));
    await hasText(row(page, tree).locator(".mark-cell"), /failed/);
    await hasText(row(page, tree).locator(".why"), "no such table: orders");
    await hasText(row(page, tree).locator(".duration"), "41.2s");
  }));

test("filters narrow the list, stand in the address and survive a reload", async () => {
  const good = new Tree(`good ${unique}`, { batch: `batch ${unique}` });
  const bad = new Tree(`bad ${unique}`, { batch: `batch ${unique}` });
  await worker.send(good.own, good.end(good.own, 5), bad.own, bad.end(bad.own, 5, { message: "broken pipe" }));
  await onPage(`${server}/tasks?q=${unique}`, async (page) => {
    await row(page, good).waitFor();
    await page.locator(`.filters button[data-state="failed"]`).click();
    await row(page, good).waitFor({ state: "detached" });
    await row(page, bad).waitFor();
    await hasAddress(page, new RegExp(`q=${unique}&state=failed|state=failed&q=${unique}`));

    await page.reload();
    await row(page, bad).waitFor();
    assert.equal(await row(page, good).count(), 0);

    await row(page, bad).locator(".title").click();
    await page.getByRole("link", { name: "All runs", exact: true }).click();
    await hasAddress(page, /state=failed/);
    await row(page, bad).waitFor();
    assert.equal(await row(page, good).count(), 0);

    await page.getByRole("button", { name: "Clear", exact: true }).click();
    await hasAddress(page, /\/tasks$/);
    const line = page.getByRole("searchbox");
    await line.fill(`batch:"batch ${unique}"`);
    await line.fill(`batch:"batch ${unique}" name:"good ${unique}"`);
    await hasAddress(page, new RegExp(`batch=batch\\+${unique}&name=good|name=good\\+${unique}&batch=batch`));
    await row(page, bad).waitFor({ state: "detached" });
    await row(page, good).waitFor();

    // A navigation before the typed filter takes effect discards it. Both happen in one task, because a busy machine would otherwise be too
    // slow.
    const typeAndLeave = ([field, link]) => {
      field.focus();
      field.select();
      document.execCommand("insertText", false, "name:typed");
      link.click();
    };
    await page.evaluate(typeAndLeave, [await line.elementHandle(), await page.getByRole("link", { name: "Workers" }).elementHandle()]);
    await hasAddress(page, /\/tasks\/workers$/);
    await page.waitForTimeout(400);
    await hasAddress(page, /\/tasks\/workers$/);
    await page.goBack();
    await row(page, good).waitFor();

    await page.keyboard.press("Escape");
    await line.fill("name:none");
    await hasText(page.locator(".notice h2"), "Nothing matches this filter.");
  });
});

test("what is typed while the filters typed before arrive is kept", () =>
  onPage(`${server}/tasks`, async (page) => {
    const line = page.getByRole("searchbox");
    await line.focus();
    await page.evaluate(() => {
      const push = history.pushState.bind(history);
      const replace = history.replaceState.bind(history);
      const typing = (go) => (...of) => {
        history.pushState = push;
        history.replaceState = replace;
        document.execCommand("insertText", false, "two");
        go(...of);
      };
      history.pushState = typing(push);
      history.replaceState = typing(replace);
    });
    // In one piece: letter by letter, a busy machine would take effect between two of them.
    await page.keyboard.insertText("name:one");
    await hasAddress(page, /name=onetwo/);
    assert.equal(await line.inputValue(), "name:onetwo");
  }));

test("a new root that does not pass the filters stays away", () =>
  onPage(`${server}/tasks?name=wanted+${unique}`, async (page) => {
    await hasText(page.locator(".notice h2"), "Nothing matches this filter.");
    await hasText(page.locator(".connection"), "live");
    const wanted = new Tree(`wanted ${unique}`);
    const other = new Tree(`other ${unique}`);
    await worker.send(other.own, wanted.own);
    await row(page, wanted).waitFor();
    assert.equal(await row(page, other).count(), 0);
    await worker.send(wanted.end(wanted.own, 1), other.end(other.own, 1));
  }));

test("a row is a link, and Back returns to the same list", async () => {
  const tree = new Tree(`linked ${unique}`);
  await worker.send(tree.own, tree.end(tree.own, 5));
  await onPage(`${server}/tasks?q=linked+${unique}`, async (page) => {
    await row(page, tree).locator(".started").click();
    await hasAddress(page, new RegExp(`/tasks/${tree.rootId}$`));
    await page.goBack();
    await row(page, tree).click();
    await hasAddress(page, new RegExp(`/tasks/${tree.rootId}$`));
    await hasText(page.locator(".root-header h1 .name"), `linked ${unique}`);
    await page.goBack();
    await row(page, tree).waitFor();
    await hasAddress(page, /q=linked/);
  });
});

test("while older rows are read, new ones wait and are counted", async () => {
  const many = Array.from({ length: 80 }, (_, index) => new Tree(`scrolled ${unique} ${index}`));
  await worker.send(...many.flatMap((tree) => [tree.own, tree.end(tree.own, 1)]));
  await onPage(`${server}/tasks?q=scrolled+${unique}`, async (page) => {
    await row(page, many[79]).waitFor();
    await hasText(page.locator(".connection"), "live");
    await page.locator(".list .scroller").evaluate((element) => element.scrollTo(0, 600));
    const late = new Tree(`scrolled ${unique} late`);
    await worker.send(late.own, late.end(late.own, 1));
    // The change is announced to screen readers.
    await hasText(page.locator("p[role=status]"), /1 new/);
    await page.getByRole("button", { name: "1 new" }).click();
    await row(page, late).waitFor();
  });
});

test("all pages of a long list come as one scrolls", async () => {
  const many = Array.from({ length: 250 }, (_, index) => new Tree(`paged ${unique} ${index}`));
  await worker.send(...many.flatMap((tree) => [tree.own, tree.end(tree.own, 1)]));
  await onPage(`${server}/tasks?q=paged+${unique}`, async (page) => {
    await row(page, many[249]).waitFor();
    const told = () => page.locator(".list [role=table]").getAttribute("aria-rowcount");
    assert.equal(await told(), "-1", "nobody knows yet how many there are");
    const end = row(page, many[0]);
    await page.waitForFunction((rootId) => {
      const scroller = document.querySelector(".list .scroller");
      scroller.scrollTo(0, scroller.scrollHeight);
      return document.querySelector(`[data-root="${rootId}"]`) !== null;
    }, many[0].rootId);
    await end.waitFor();
    assert.equal(await told(), "251");
  });
});

test("roots stand by name, with how the last ones ended", async () => {
  const name = `named ${unique}`;
  const trees = Array.from({ length: 4 }, () => new Tree(name));
  for (const [index, tree] of trees.entries()) await worker.send(tree.own, tree.end(tree.own, 10 + index, index === 2 ? { message: "no" } : undefined));
  await onPage(`${server}/tasks?q=${unique}`, async (page) => {
    await page.getByRole("link", { name: "Names" }).click();
    await hasAddress(page, /by=name/);
    const named = page.locator(".named").filter({ hasText: name });
    await named.waitFor();
    const states = await named.locator(".strip a").evaluateAll((links) => links.map((link) => link.dataset.state));
    assert.deepEqual(states, ["succeeded", "succeeded", "failed", "succeeded"]);
    await named.locator(".sparkline").waitFor();
    await page.getByRole("columnheader", { name: "Runs by state" }).waitFor();
    await hasText(page.locator(".connection"), "live");
    const more = new Tree(name);
    await worker.send(more.own);
    await named.locator('.strip a[data-state="running"]').waitFor();
    await worker.send(more.end(more.own, 5));
    await named.locator('.strip a[data-state="failed"]').click();
    await hasAddress(page, new RegExp(`/tasks/${trees[2].rootId}`));
  });
});

test("while names are read further down, new ones wait and nothing moves", async () => {
  const name = (index) => `steady ${unique} ${index}`;
  const many = Array.from({ length: 60 }, (_, index) => new Tree(name(index)));
  for (const tree of many) await worker.send(tree.own, tree.end(tree.own, 1));
  await onPage(`${server}/tasks?by=name&q=steady+${unique}`, async (page) => {
    const named = (index) => page.locator(".named[data-state]").filter({ has: page.locator(`.name[title="${name(index)}"]`) });
    await named(59).waitFor();
    await hasText(page.locator(".connection"), "live");
    await page.waitForFunction(() => {
      const bottom = (element) => element.getBoundingClientRect().bottom;
      return bottom([...document.querySelectorAll(".named[data-state]")].at(-1)) >= bottom(document.querySelector(".names.scroller"));
    });
    await page.locator(".names.scroller").evaluate((element) => element.scrollTo(0, 600));
    await named(40).waitFor();
    const place = async () => (await named(40).boundingBox())?.y;
    const before = await place();
    // The one that is looked at runs again, which puts it in front; and there is a new one.
    const again = new Tree(name(40));
    const late = new Tree(name(60));
    await worker.send(again.own, late.own, late.end(late.own, 1));
    await named(40).locator('.strip a[data-state="running"]').waitFor();
    assert.equal(await place(), before);
    await page.getByRole("button", { name: "1 new" }).click();
    await named(60).waitFor();
    assert.equal(await page.locator(".named[data-state] .name").first().getAttribute("title"), name(60));
    await worker.send(again.end(again.own, 1));
  });
});

test("names have a filter of their own, and an address with another filter leads to the runs", async () => {
  const tree = new Tree(`grouped ${unique}`);
  await worker.send(tree.own, tree.end(tree.own, 5, { message: "no" }));
  await onPage(`${server}/tasks?q=grouped+${unique}&state=failed`, async (page) => {
    await row(page, tree).waitFor();
    await page.getByRole("link", { name: "Names" }).click();
    await hasAddress(page, /^(?!.*state=).*by=name/);
    await hasText(page.locator(".head-bar h1"), "Names");
    await page.locator(".head-bar input").fill(`grouped ${unique}`);
    await hasAddress(page, /by=name.*q=|q=.*by=name/);
    const named = page.locator(".named[data-state]");
    await hasText(named.locator(".name"), `grouped ${unique}`);
    assert.equal(await named.count(), 1);
    await page.goto(`${server}/tasks?by=name&state=failed&q=grouped+${unique}`);
    await row(page, tree).waitFor();
  });
});

test("names are read again even while roots change all the time", async () => {
  const name = `busy name ${unique}`;
  const busy = new Tree(`busy ${unique}`);
  const busyWorker = await new Worker().online();
  await busyWorker.send(busy.own);
  await onPage(`${server}/tasks?by=name&q=${unique}`, async (page) => {
    await page.locator(".named").filter({ hasText: `busy ${unique}` }).waitFor();
    await hasText(page.locator(".connection"), "live");
    let isOver = false;
    const sending = (async () => {
      for (let step = 0; !isOver; step += 1) {
        await busyWorker.send(busy.start("step", busy.id, step));
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    })();
    const tree = new Tree(name);
    await worker.send(tree.own, tree.end(tree.own, 5));
    try {
      await page.locator(".named").filter({ hasText: name }).waitFor();
    } finally {
      isOver = true;
      await sending;
    }
    await busyWorker.send(busy.end(busy.own, 5));
  });
});

test("what is chosen is in sight: neither filters nor its end leave it behind", async () => {
  const [one, other] = [new Tree(`chosen ${unique} one`), new Tree(`chosen ${unique} other`)];
  await worker.send(one.own, other.own, other.end(other.own, 5));
  await onPage(`${server}/tasks?q=chosen+${unique}`, async (page) => {
    await row(page, one).getByRole("checkbox").check();
    await row(page, other).getByRole("checkbox").check();
    await hasText(page.locator(".checked-bar strong"), "2 selected");
    await page.locator(`.filters button[data-state="running"]`).click();
    await page.locator(".checked-bar").waitFor({ state: "detached" });
    await row(page, one).getByRole("checkbox").check();
    await hasText(page.locator(".checked-bar strong"), "1 selected");
    await worker.send(one.end(one.own, 5));
    await row(page, one).waitFor({ state: "detached" });
    await page.locator(".checked-bar").waitFor({ state: "detached" });
  });
});

test("an export that fails says why, whatever answered", async () => {
  const tree = new Tree(`taken ${unique}`);
  await worker.send(tree.own, tree.end(tree.own, 10));
  await onPage(
    `${server}/tasks?q=taken+${unique}`,
    async (page) => {
      await page.route("**/export?*", (route) => route.fulfill({ status: 502, contentType: "text/html", body: "<h1>nobody there</h1>" }));
      await row(page, tree).getByRole("checkbox").check();
      await page.locator(".checked-bar .menu summary").click();
      await page.locator(".checked-bar .choices button").first().click();
      await hasText(page.locator(".checked-bar .problem"), "0 of 1 done, then stopped: Bad Gateway");
    },
    { expected: /status of 502/ },
  );
});

test("a root that runs for longer than it may is marked as it happens", async () => {
  const tree = new Tree(`overdue ${unique}`, { timeout_ms: 61_000 });
  await worker.send(tree.own);
  await onPage(`${server}/tasks?q=overdue+${unique}`, async (page) => {
    await row(page, tree).locator(".mark.overdue").waitFor();
    await page.goto(tree.address);
    await page.locator(".root-header .mark.overdue").waitFor();
    await worker.send(tree.end(tree.own, 5));
    await page.locator(".root-header .mark.overdue").waitFor({ state: "detached" });
  });
});

test("what is refused for one of several says how far it came", async () => {
  const tree = new Tree(`refused ${unique}`);
  await worker.send(tree.own, tree.end(tree.own, 10));
  await onPage(
    `${server}/tasks?q=refused+${unique}`,
    async (page) => {
      await page.route("**/api/v1/me", (route) => route.fulfill({ json: { user: "ada", role: "operator", scopes: ["read", "operate"], how: "session" } }));
      await page.reload();
      await page.route("**/pin", (route) => route.fulfill({ status: 403, contentType: "application/problem+json", json: { detail: "your token may only read" } }));
      await row(page, tree).getByRole("checkbox").check();
      await page.getByRole("button", { name: "Pin", exact: true }).click();
      await hasText(page.locator(".checked-bar .problem"), "0 of 1 done, then stopped: your token may only read");
    },
    { expected: /status of 403/ },
  );
});

test("filters are kept under a name, and how long ago is one of them", async () => {
  const tree = new Tree(`kept ${unique}`);
  await worker.send(tree.own, tree.end(tree.own, 10));
  await onPage(`${server}/tasks?q=kept+${unique}`, async (page) => {
    await page.locator(".since").selectOption("1h");
    await hasAddress(page, /since=1h/);
    await row(page, tree).waitFor();
    await page.locator(".menu summary", { hasText: "Saved" }).click();
    await page.getByRole("textbox", { name: "Name of this filter" }).fill("mine");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.goto(`${server}/tasks`);
    await page.locator(".menu summary", { hasText: "Saved" }).click();
    await page.getByRole("button", { name: "mine", exact: true }).click();
    await hasAddress(page, new RegExp(`q=kept\\+${unique}&since=1h|since=1h&q=kept\\+${unique}`));
    await row(page, tree).waitFor();
  });
});

test("a running root shows how far it is, by its history", () =>
  onPage("about:blank", async (page) => {
    const tree = new Tree(`expected ${unique}`);
    await worker.send(tree.own);
    await page.route("**/api/v1/roots?*", async (route) => {
      const answer = await (await route.fetch()).json();
      for (const root of answer.roots) Object.assign(root, { expected_ns: 600e9, expected_p95_ns: 900e9 });
      await route.fulfill({ json: answer });
    });
    await page.goto(`${server}/tasks?name=expected+${unique}`);
    await hasText(row(page, tree).locator(".expected .number"), /^about 8\sm 5\d\ss left$/);
    await worker.send(tree.end(tree.own, 5));
    await row(page, tree).locator(".expected").waitFor({ state: "detached" });
  }));

test("without any root the page says how to get one here", () =>
  onPage("about:blank", async (page) => {
    // The stream begins at the true `as_of`. From 0, it would add the runs of the other tests.
    await page.route("**/api/v1/roots?*", async (route) => {
      const { as_of } = await (await route.fetch()).json();
      await route.fulfill({ json: { roots: [], next_cursor: null, as_of } });
    });
    await page.goto(`${server}/tasks`);
    await hasText(page.locator(".empty h2"), "No runs yet");
    await hasText(page.locator(".empty pre").first(), `MONITOR_SERVER_URL=${server} monitor run -- sleep 3`);
    await hasText(page.locator(".empty pre").last(), `MONITOR_ENABLED=1 MONITOR_SERVER_URL=${server} cargo run`);
    await page.setViewportSize({ width: 320, height: 640 });
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 320);
  }));

test("what the server refuses is said, and can be tried again", () =>
  onPage(
    "about:blank",
    async (page) => {
      const problem = { type: "about:blank", title: "Bad Request", status: 400, detail: "parameter `q`: too long" };
      await page.route("**/api/v1/roots?*", (route) =>
        route.fulfill({ status: 400, contentType: "application/problem+json", json: problem }),
      );
      await page.goto(`${server}/tasks`);
      await hasText(page.locator(".notice .detail"), "parameter `q`: too long");
      const again = page.waitForRequest("**/api/v1/roots?*");
      await page.getByRole("button", { name: "Try again" }).click();
      await again;
      await page.unroute("**/api/v1/roots?*");
      // The page tries again by itself as well, and may be faster than a click.
      await page.getByRole("button", { name: "Try again" }).click({ timeout: 1_000 }).catch(() => undefined);
      await page.locator(".root[data-root]").first().waitFor();
    },
    { expected: /status of 400/ },
  ));

test("the theme follows the system until one is chosen, which is kept", () =>
  onPage(
    `${server}/tasks`,
    async (page) => {
      const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const dark = await ground();
      await page.getByRole("button", { name: "Theme: system" }).click();
      await page.getByRole("button", { name: "Theme: light" }).waitFor();
      assert.notEqual(await ground(), dark);
      await page.reload();
      await page.getByRole("button", { name: "Theme: light" }).click();
      assert.equal(await ground(), dark);
    },
    { colorScheme: "dark" },
  ));

test("on a phone nothing is cut off at the side", () =>
  onPage(
    `${server}/tasks`,
    async (page) => {
      await page.locator(".root[data-root]").first().waitFor();
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
      const box = await page.locator(".root[data-root] .duration").first().boundingBox();
      assert.ok(box && box.x + box.width <= 360, `the duration ends at ${box?.x}`);
    },
    { viewport: { width: 360, height: 740 } },
  ));

const focused = (page) => page.evaluate(() => document.activeElement.closest(".root, .named")?.dataset.root);

/** Waits until the row with the focus is of this tree. */
const hasFocus = (page, tree) => page.waitForFunction((id) => document.activeElement.closest("[data-root]")?.dataset.root === id, tree.rootId).catch(async () => assert.equal(await focused(page), tree.rootId));

test("arrows go through the rows, Enter opens one, Space and Shift choose, and Back finds the list as it was", async () => {
  const trees = await history(worker, `keys ${unique}`, 150);
  const newest = trees.toReversed();
  await onPage(`${server}/tasks?name=keys+${unique}`, async (page) => {
    await row(page, newest[0]).waitFor();
    const press = async (...keys) => {
      for (const key of keys) await page.keyboard.press(key);
    };
    await press("ArrowDown");
    await hasFocus(page, newest[0]);
    await press("ArrowDown", "ArrowDown", "ArrowUp");
    await hasFocus(page, newest[1]);
    await press(" ", "ArrowDown");
    await hasText(page.locator(".checked-bar strong"), "1 selected");
    await press("Shift+ArrowDown", "Shift+ArrowDown");
    await hasText(page.locator(".checked-bar strong"), "4 selected");
    await hasFocus(page, newest[4]);
    await press(" ");
    await hasText(page.locator(".checked-bar strong"), "3 selected");
    await press("PageDown");
    await hasFocus(page, newest[4 + (await page.evaluate(() => Math.floor(document.querySelector(".list .scroller").clientHeight / 32) - 1))]);
    await press("Home");
    await row(page, newest[10]).getByRole("checkbox").click();
    await row(page, newest[15]).getByRole("checkbox").click({ modifiers: ["Shift"] });
    await hasText(page.locator(".checked-bar strong"), "9 selected");
    await row(page, newest[12]).getByRole("checkbox").click({ modifiers: ["Shift"] });
    await hasText(page.locator(".checked-bar strong"), "5 selected");
    // The last one that was read; then more of them come.
    await press("End");
    await hasFocus(page, newest[99]);
    await row(page, newest[101]).waitFor();
    await press("End");
    await hasFocus(page, newest[149]);
    await press("Home");
    await hasFocus(page, newest[0]);
    await press("ArrowDown", "Enter");
    await hasAddress(page, new RegExp(`/tasks/${newest[1].rootId}`));
    await page.goBack();
    await row(page, newest[0]).waitFor();
    // Keys typed into a field have no other effect.
    await page.getByRole("searchbox").focus();
    await press("ArrowDown");
    assert.equal(await focused(page), undefined);
  });
});

test("names are gone through by arrows as well", async () => {
  for (const name of ["one", "two"]) await history(worker, `named keys ${unique} ${name}`, 1);
  await onPage(`${server}/tasks?by=name&q=named+keys+${unique}`, async (page) => {
    await page.locator(".named .title").nth(1).waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await hasAddress(page, /name=named\+keys\+.*one/);
  });
});

test("the oldest come first if one wants, and the choice is a link", async () => {
  const trees = await history(worker, `sorted ${unique}`, 150);
  await onPage(`${server}/tasks?name=sorted+${unique}`, async (page) => {
    await row(page, trees[149]).waitFor();
    await page.getByRole("button", { name: "Started" }).click();
    await hasAddress(page, /sort=oldest/);
    await row(page, trees[0]).waitFor();
    assert.equal(await page.getByRole("columnheader", { name: "Started" }).getAttribute("aria-sort"), "ascending");
    await page.keyboard.press("End");
    await row(page, trees[101]).waitFor();
    // New runs are at the end of the list.
    const late = new Tree(`sorted ${unique}`);
    await worker.send(late.own, late.end(late.own, 1));
    await page.keyboard.press("End");
    await row(page, late).waitFor();
    await page.getByRole("button", { name: "Started" }).click();
    await hasAddress(page, /^(?!.*sort=)/);
    await row(page, late).waitFor();
  });
});

test("the list begins at a time, newer ones stand above it, and the time is a link", async () => {
  const trees = await history(worker, `timed ${unique}`, 400);
  await onPage(
    `${server}/tasks?name=timed+${unique}`,
    async (page) => {
      await row(page, trees[399]).waitFor();
      await page.locator(".since").selectOption({ label: "Go to a time …" });
      await page.getByLabel("Start the list at").fill("2026-11-20T00:03");
      await page.keyboard.press("Enter");
      await hasAddress(page, /at=2026-11-20T00%3A03Z/);
      const inSight = () => page.evaluate(() => {
        const { top } = document.querySelector(".list .scroller").getBoundingClientRect();
        return [...document.querySelectorAll(".root[data-root]")].find((each) => each.getBoundingClientRect().top >= top - 8)?.dataset.root;
      });
      await row(page, trees[180]).waitFor();
      await page.waitForFunction(() => document.querySelector(".list .scroller").scrollTop > 0);
      assert.equal(await inSight(), trees[180].rootId);
      await page.reload();
      await row(page, trees[180]).waitFor();
      const box = await row(page, trees[180]).boundingBox();
      await page.mouse.move(box.x + 200, box.y + 100);
      for (let turn = 0; turn < 5; turn += 1) await page.mouse.wheel(0, -700);
      await row(page, trees[280]).waitFor();
      await page.locator(".since").selectOption("");
      await row(page, trees[399]).waitFor();
      await hasAddress(page, /^(?!.*at=)/);
    },
    { timezoneId: "UTC" },
  );
});

test("pages far away are let go and come again, in a list that is as long as one likes", async () => {
  const trees = await history(worker, `long ${unique}`, 3000);
  const newest = trees.toReversed();
  await onPage(`${server}/tasks?name=long+${unique}`, async (page) => {
    await row(page, newest[0]).waitFor();
    await row(page, newest[0]).getByRole("checkbox").check();
    await page.waitForFunction((rootId) => {
      const scroller = document.querySelector(".list .scroller");
      scroller.scrollTo(0, scroller.scrollHeight);
      return document.querySelector(`[data-root="${rootId}"]`) !== null;
    }, newest[2999].rootId);
    // The selection is kept.
    await hasText(page.locator(".checked-bar strong"), "1 selected");
    const place = (tree) => row(page, tree).getAttribute("aria-rowindex");
    assert.equal(await place(newest[2999]), "3001");
    // Scroll up again by the wheel, past unloaded pages.
    const scroller = page.locator(".list .scroller");
    await scroller.evaluate((element) => element.scrollTo(0, 1010 * 32));
    await row(page, newest[1010]).waitFor();
    assert.equal(await place(newest[1010]), "1012");
    // By the thumb far into it: about there, and then to the very first one.
    await scroller.evaluate((element) => element.scrollTo(0, 400 * 32));
    await page.locator('.root[aria-rowindex="405"]').waitFor();
    await page.keyboard.press("Home");
    await row(page, newest[0]).waitFor();
    await hasFocus(page, newest[0]);
    assert.equal(await place(newest[0]), "2");
    assert.equal(await row(page, newest[0]).getByRole("checkbox").isChecked(), true);
  });
});

test("the first row is one Tab behind the filter", async () => {
  const tree = new Tree(`tabbed ${unique}`);
  await worker.send(tree.own, tree.end(tree.own, 5));
  await onPage(`${server}/tasks?q=tabbed+${unique}`, async (page) => {
    await row(page, tree).waitFor();
    await page.keyboard.press("/");
    await page.keyboard.press("Tab");
    await hasFocus(page, tree);
    await page.keyboard.press("Enter");
    await hasAddress(page, new RegExp(`/tasks/${tree.rootId}`));
  });
});

test("the rows can be scrolled by keys after a click between them, and Tab goes past what scrolls", async () => {
  const trees = await history(worker, `scrolled ${unique}`, 60);
  await onPage(`${server}/tasks?name=scrolled+${unique}`, async (page) => {
    await row(page, trees[59]).waitFor();
    const scroller = page.locator(".list .scroller");
    assert.equal(await scroller.evaluate((element) => element.tabIndex), -1);
    await scroller.focus();
    await page.waitForFunction(() => document.activeElement.matches(".list .scroller"));
    await page.keyboard.press("End");
    await page.waitForFunction(() => document.querySelector(".list .scroller").scrollTop > 0);
    await hasFocus(page, trees[0]);
    await page.keyboard.press("Home");
    await hasFocus(page, trees[59]);
    // It never has the focus, forwards and backwards from the filter.
    await page.keyboard.press("/");
    const visited = [];
    for (const key of ["Tab", "Tab", "Shift+Tab", "Shift+Tab"]) {
      await page.keyboard.press(key);
      visited.push(await page.evaluate(() => (document.activeElement.matches(".scroller") ? "scroller" : document.activeElement.matches(".field") ? "filter" : document.activeElement.closest(".root") ? "row" : "other")));
    }
    assert.deepEqual(visited, ["row", "row", "row", "filter"]);
  });
});

test("choosing moves no row", async () => {
  const trees = await history(worker, `unmoved ${unique}`, 40);
  await onPage(`${server}/tasks?name=unmoved+${unique}`, async (page) => {
    await row(page, trees[35]).waitFor();
    const before = await row(page, trees[35]).boundingBox();
    await row(page, trees[39]).getByRole("checkbox").check();
    await page.locator(".checked-bar").waitFor();
    assert.deepEqual(await row(page, trees[35]).boundingBox(), before);
    // The last rows can be scrolled out from under the overlay.
    await page.keyboard.press("End");
    await hasFocus(page, trees[0]);
    const [last, bar] = [await row(page, trees[0]).boundingBox(), await page.locator(".checked-bar").boundingBox()];
    await page.locator(".list .scroller").evaluate((element) => element.scrollTo(0, element.scrollHeight));
    assert.ok(last && bar);
    await page.waitForFunction((id) => document.querySelector(`[data-root="${id}"]`).getBoundingClientRect().bottom <= document.querySelector(".checked-bar").getBoundingClientRect().top, trees[0].rootId);
  });
});
