/** What a worker is asked from its row. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hasText, onPage, useBrowser } from "./browser.mjs";
import { openChannel } from "./channel.mjs";
import { Worker, server } from "./events.mjs";

useBrowser();

test("a worker is asked from its row, in both languages, and one without a channel says so", async () => {
  const [worker, mute] = [await new Worker().online(), await new Worker().online()];
  const close = await openChannel(worker, {
    ping: { status: "ok", value: "pong\u001b" },
    stats: { status: "ok", value: { threads: 7 } },
    active: { status: "error", error: "the program ends" },
  });
  const opened = async (page, of) => {
    const row = page.locator(`tr[data-worker="${of.id}"]`);
    await row.locator(".twist").click();
    return row.locator("xpath=following-sibling::tr[1]").locator(".channel");
  };
  await onPage(`${server}/tasks/workers`, async (page) => {
    await hasText(await opened(page, mute), /no channel for commands/);
    const channel = await opened(page, worker);
    await hasText(channel, /channel open since/);
    await channel.getByRole("button", { name: "Ping" }).click();
    await hasText(channel.getByRole("status"), /^answered in .*pong‹U\+001B›$/);
    await channel.getByRole("button", { name: "Figures" }).click();
    await hasText(channel.getByRole("status"), /"threads": 7/);
    await channel.getByRole("button", { name: "What runs" }).click();
    await hasText(channel.getByRole("status"), /^failed the program ends$/);
  });
  await onPage(`${server}/tasks/workers`, async (page) => {
    await hasText(await opened(page, worker), /命令通道/);
  }, { locale: "zh-CN" });
  close();
});
