/** Changes of data: refused without a right, executed after a login, and visible on all pages at once. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { before, test } from "node:test";
import { hasAddress, hasText, onPage, row, useBrowser } from "./browser.mjs";
import { newId, server, Tree, Worker } from "./events.mjs";
import { addUser, enter, logIn, skipUsers as skip } from "./users.mjs";

const { MONITOR_TEST_MONITOR: monitor, MONITOR_TEST_DATA: data } = process.env;
useBrowser();
const unique = newId();
let worker;
let user;
before(async () => {
  if (skip) return;
  worker = await new Worker().online();
  user = addUser("operator");
});

const button = (page, name) => page.locator(".checked-bar").getByRole("button", { name, exact: true });

test("a root is pinned and deleted by who has logged in, and other pages follow", { skip }, async () => {
  const tree = new Tree(`kept ${unique}`);
  const other = new Tree(`kept ${unique} beside`);
  await worker.send(tree.own, tree.end(tree.own, 5), other.own, other.end(other.own, 5));
  const address = `${server}/tasks?q=kept+${unique}`;
  await onPage(
    address,
    async (page, context) => {
      const watching = await context.newPage();
      await watching.goto(address);
      await row(watching, tree).waitFor();
      await hasText(watching.locator(".connection"), "live");
      const inside = await context.newPage();
      await inside.goto(tree.address);
      await inside.locator(".root-header h1").waitFor();
      await hasText(inside.locator(".connection"), "live");

      // The menu of a run shows the reason, and stays open.
      const choice = (name) => inside.locator(".root-header .choices").getByRole("button", { name, exact: true });
      await inside.locator(".root-header .menu summary").click();
      await hasText(inside.locator(".root-header .refused"), /^Only operators may do this\. Log in$/);
      for (const name of ["Pin", "Delete"]) {
        assert.equal(await choice(name).getAttribute("aria-disabled"), "true");
        await choice(name).click({ force: true });
      }
      assert.equal(await choice("Pin").isVisible(), true);
      assert.equal(await inside.getByRole("dialog").count(), 0);
      assert.equal(inside.url(), tree.address);

      await row(page, tree).getByRole("checkbox").check();
      // No redirect to the login: the page shows the missing right, and the selection is kept after the login.
      await hasText(page.locator(".checked-bar .refused"), /^Only operators may do this\./);
      assert.equal(await button(page, "Pin").getAttribute("aria-disabled"), "true");
      assert.equal(await button(page, "Delete").getAttribute("aria-disabled"), "true");
      await button(page, "Pin").click({ force: true });
      await page.locator(".checked-bar").getByRole("link", { name: "Log in" }).click();
      await hasAddress(page, /\/login\?next=/);
      await enter(page, user);
      await hasAddress(page, /\/tasks\?q=kept/);

      await hasText(page.locator(".checked-bar strong"), "1 selected");
      await button(page, "Pin").click();
      await page.locator(".checked-bar").waitFor({ state: "detached" });
      for (const each of [page, watching]) await hasText(row(each, tree).locator(".mark"), "pinned");

      await row(page, tree).getByRole("checkbox").check();
      await button(page, "Unpin").click();
      await page.locator(".checked-bar").waitFor({ state: "detached" });
      for (const each of [page, watching]) await row(each, tree).locator(".mark").waitFor({ state: "detached" });

      await row(page, tree).getByRole("checkbox").check();
      await button(page, "Delete").click();
      await page.getByRole("dialog").getByRole("button", { name: "Keep" }).click();
      await row(page, tree).waitFor();
      await button(page, "Delete").click();
      await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
      for (const each of [page, watching]) {
        await row(each, tree).waitFor({ state: "detached" });
        assert.equal(await row(each, other).count(), 1);
      }
      await hasText(inside.locator(".notice h2"), `Run ${tree.rootId} is no longer kept.`);
      await inside.reload();
      await inside.locator(".notice h2").waitFor();
      await page.reload();
      await row(page, other).waitFor();
      assert.equal(await row(page, tree).count(), 0);

      // After the login, the same action works in the menu of a run.
      await inside.goto(other.address);
      const choose = async (name) => {
        await inside.locator(".root-header .menu summary").click();
        await choice(name).click();
      };
      await choose("Pin");
      await hasText(row(page, other).locator(".mark"), "pinned");
      await choose("Unpin");
      await row(page, other).locator(".mark").waitFor({ state: "detached" });
      await choose("Delete");
      await inside.getByRole("dialog").getByRole("button", { name: "Keep" }).click();
      await choose("Delete");
      await inside.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
      await hasText(inside.locator(".notice h2"), `Run ${other.rootId} is no longer kept.`);
      await row(page, other).waitFor({ state: "detached" });
    },
    { expected: /status of 401|status of 4(04|10)/ },
  );
});

test("who is an admin sees the state of all tokens, and nobody else does", { skip }, async () => {
  const created = spawnSync(monitor, ["token", "create", `ci-${unique}`, "--scope", "ingest", "--expires", "1h", "--data", data]);
  assert.equal(created.status, 0, created.stderr.toString());
  await onPage(`${server}/tasks/about`, (page) => hasText(page.locator(".about"), /Tokensonly administrators can see them/));
  await onPage("about:blank", async (page) => {
    await logIn(page, addUser("admin"), `${server}/tasks/about`);
    await hasText(page.locator(`[data-token="ci-${unique}"] dd`), /^may send · never used · expires in (59|60)m|^may send · never used · expires in 1h/);
    await hasText(page.locator('[data-token="data folder"] dd'), /^may do everything · .* · does not expire$/);
  });
});

test("what only admins may do is not offered to operators, who are told the remedy", { skip }, async () => {
  const why = /^Only administrators may do this\. Run this on the server's machine to get an administrator's link: monitor open --role admin\s+Log in$/;
  await onPage("about:blank", async (page) => {
    await logIn(page, user, `${server}/tasks/batch`);
    const made = page.getByRole("button", { name: "New task", exact: true });
    await made.waitFor();
    assert.equal(await made.getAttribute("aria-disabled"), "true");
    assert.equal(await made.getAttribute("title"), "Only administrators may do this.");
    await made.click({ force: true });
    await hasAddress(page, /\/tasks\/batch$/);
    for (const [address, name] of [["batch?tab=edit", "Save"], ["alerts?tab=heartbeats", "New heartbeat"]]) {
      await page.goto(`${server}/tasks/${address}`);
      await hasText(page.locator(".refused"), why);
      assert.equal(await page.getByRole("button", { name, exact: true }).getAttribute("aria-disabled"), "true");
    }
  });
  await onPage("about:blank", async (page) => {
    await logIn(page, addUser("admin"), `${server}/tasks/batch`);
    await page.getByRole("link", { name: "New task", exact: true }).click();
    await page.getByRole("button", { name: "Save", exact: true }).waitFor();
    assert.equal(await page.locator(".refused").count(), 0);
  });
});
