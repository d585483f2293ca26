/** Processes that lost their parent, with the doctor's suggestion; links in both directions; masked values. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasText, onPage, useBrowser, useWorker } from "./browser.mjs";
import { Tree } from "./events.mjs";

useBrowser();
const worker = useWorker();

test("the panel of what lost its parent names the likely one and the line to write, in both languages", async () => {
  const tree = new Tree("serve");
  const handle = tree.start("handle", tree.id, 10);
  const stray = new Tree("resize", { attachment: "unattached", thread: "tokio-rt-worker" });
  stray.own.time_us = handle.time_us + 1000;
  const orphan = tree.start("step", "00000000000000dd", 20);
  await worker.send(tree.own, handle, stray.own, orphan);
  for (const colorScheme of ["light", "dark"]) {
    await onPage(`${stray.address}?process=${stray.id}`, async (page) => {
      const doctor = page.locator(".panel .doctor");
      await hasText(doctor, /monitor_client::tokio::spawn\(resize\(…\)\)/);
      await hasText(doctor, /handle/);
      if (process.env.MONITOR_TEST_SHOTS) await page.screenshot({ path: `${process.env.MONITOR_TEST_SHOTS}/doctor-${colorScheme}.png` });
      await doctor.getByRole("link", { name: "handle" }).click();
      await page.waitForURL((url) => url.searchParams.get("process") === handle.id && url.pathname.endsWith(tree.rootId));
    }, { colorScheme });
  }
  await onPage(`${tree.address}?process=${orphan.id}`, (page) => hasText(page.locator(".panel .doctor"), /has not reported the parent/));
  await onPage(`${stray.address}?process=${stray.id}`, (page) => hasText(page.locator(".panel .doctor"), /在启动其任务的地方使用：/), { locale: "zh-CN" });
  await onPage(`${tree.address}?process=${handle.id}`, async (page) => {
    await page.locator(".panel dl").first().waitFor();
    assert.equal(await page.locator(".panel .doctor").count(), 0, "it has its parent");
  });
});

test("links are walked from both ends, and a masked value says that it is masked", async () => {
  const tree = new Tree("serve");
  const first = tree.start("first", tree.id, 10, { kind: "span", fields: { password: "[masked]", rows: 3 } });
  const second = tree.start("second", tree.id, 20, { kind: "span", links: [{ root_id: tree.rootId, id: first.id, relation: "follows_from" }] });
  await worker.send(tree.own, first, second);
  await onPage(`${tree.address}?process=${first.id}`, async (page) => {
    const panel = page.locator(".panel");
    await hasText(panel, /password\s*masked/);
    await panel.getByRole("button", { name: "second", exact: true }).click();
    await page.waitForURL((url) => url.searchParams.get("process") === second.id);
    await panel.locator(`a[href$="process=${first.id}"]`).click();
    await page.waitForURL((url) => url.searchParams.get("process") === first.id);
  });
});

test("links from other trees are listed with those trees, and lead to them", async () => {
  const tree = new Tree("import");
  const link = { root_id: tree.rootId, id: tree.id, relation: "triggered_by" };
  const then = new Tree("report", { batch: "b7", links: [link] });
  const own = tree.start("check", tree.id, 5, { links: [{ ...link, relation: "follows_from" }] });
  const many = new Tree("fan-out");
  const fans = Array.from({ length: 60 }, (_, n) => many.start(`fan ${n}`, many.id, n, { links: [{ root_id: then.rootId, id: then.id, relation: "triggered_by" }] }));
  await worker.send(tree.own, own, then.own, many.own, ...fans);
  for (const [locale, title, words] of [["en-US", "Linked from", /newest 50 of 60/], ["zh-CN", "被关联自", /共有 60 个过程.*最新的 50 个/]]) {
    await onPage(`${tree.address}?process=${tree.id}`, async (page) => {
      const section = page.locator(".panel section", { has: page.getByRole("heading", { name: title, exact: true }) });
      await hasText(section, /report.*<b7:\d+>/);
      assert.equal(await section.getByRole("button", { name: "check", exact: true }).count(), 1, "its own tree's are there, too");
      await section.scrollIntoViewIfNeeded();
      if (process.env.MONITOR_TEST_SHOTS) await page.screenshot({ path: `${process.env.MONITOR_TEST_SHOTS}/links-${locale}.png` });
      await section.getByRole("link", { name: "report", exact: true }).click();
      await page.waitForURL((url) => url.searchParams.get("process") === then.id && url.pathname.endsWith(then.rootId));
      await hasText(page.locator(".panel"), words);
    }, { locale });
  }
});
