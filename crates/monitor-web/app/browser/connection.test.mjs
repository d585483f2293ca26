/** An interrupted connection: the page shows it, and catches up without a reload. */
import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import { after, before, test } from "node:test";
import { hasAddress, hasText, onPage, useBrowser } from "./browser.mjs";
import { server, Tree, Worker } from "./events.mjs";

useBrowser();

/** A proxy between browser and server whose connections can be cut. */
class Wire {
  #sockets = new Set();
  #cut = false;
  #http = createServer((incoming, outgoing) => {
    const { hostname, port } = new URL(server);
    const { url: path, method, headers } = incoming;
    const onward = request({ hostname, port, path, method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on("error", () => outgoing.destroy());
    outgoing.on("close", () => onward.destroy());
    incoming.pipe(onward);
  });

  async open() {
    this.#http.on("connection", (socket) => {
      if (this.#cut) return socket.destroy();
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      return undefined;
    });
    await new Promise((resolve) => this.#http.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${this.#http.address().port}`;
  }

  cut() {
    this.#cut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend() {
    this.#cut = false;
  }

  close() {
    this.cut();
    this.#http.close();
  }
}

const wire = new Wire();
let origin;
let worker;
before(async () => {
  origin = await wire.open();
  worker = await new Worker().online();
});
after(() => wire.close());

const broken = { expected: /ERR_CONNECTION|ERR_EMPTY_RESPONSE|Failed to load resource|network error/i };

test("the list says since when it is cut off, and catches up", () =>
  onPage(
    `${origin}/tasks`,
    async (page) => {
      const connection = page.locator(".connection");
      await hasText(connection, "live");
      wire.cut();
      await hasText(connection, /^last data \d+ s ago$/);
      // Announced once; the passing seconds are only shown.
      const said = page.locator("p[role=status]");
      await hasText(said, /^last data \d+ s ago$/);
      const first = await said.textContent();
      await hasText(connection, /^last data [3-9] s ago$/);
      assert.equal(await said.textContent(), first);
      const tree = new Tree("while cut off");
      await worker.send(tree.own);
      wire.mend();
      await hasText(connection, "live");
      await page.locator(`.root[data-root="${tree.rootId}"]`).waitFor();
    },
    broken,
  ));

test("a tree catches up as well", async () => {
  const tree = new Tree("cut in two");
  await worker.send(tree.own);
  await onPage(
    `${origin}/tasks/${tree.rootId}`,
    async (page) => {
      const connection = page.locator(".connection");
      await hasText(connection, "live");
      await page.locator(".root-header h1").waitFor();
      wire.cut();
      await hasText(connection, /^last data/);
      const child = tree.start("missed", tree.id, 100);
      await worker.send(child, tree.end(child, 5), tree.end(tree.own, 200));
      wire.mend();
      await hasText(page.locator(`.node[data-process="${child.id}"] .mark-only .hidden`), "succeeded");
      await hasText(page.locator(".root-header .state").first(), /succeeded/);
    },
    broken,
  );
});

/** Waits until all files of a screen or tab are loaded. */
const hasLoaded = (page, file) =>
  page.waitForFunction((file) => {
    const chunk = performance.getEntriesByType("resource").find(({ name }) => new RegExp(`/${file}-[^/]*\\.js$`).test(name));
    return chunk && import(chunk.name).then(() => true);
  }, file);

test("a screen that could not be read is read when the connection is back", async () => {
  const tree = new Tree("screen late");
  await worker.send(tree.own, tree.end(tree.own, 5));
  await onPage(
    "about:blank",
    async (page) => {
      await page.route(/\/RootPage-/, (route) => route.abort());
      await page.goto(`${origin}/tasks?name=screen+late`);
      const row = page.locator(`.root[data-root="${tree.rootId}"]`);
      await row.waitFor();
      const connection = page.locator(".connection");
      await hasText(connection, "live");
      wire.cut();
      await hasText(connection, /^last data/);
      await row.click();
      await hasAddress(page, new RegExp(tree.rootId));
      await page.unroute(/\/RootPage-/);
      wire.mend();
      await page.locator(".root-header h1").waitFor();
    },
    broken,
  );
});

test("a tree that could not be read is read when the connection is back", async () => {
  const tree = new Tree("read late");
  await worker.send(tree.own, tree.end(tree.own, 5));
  await onPage(
    `${origin}/tasks?name=read+late`,
    async (page) => {
      const row = page.locator(`.root[data-root="${tree.rootId}"]`);
      await row.waitFor();
      const connection = page.locator(".connection");
      await hasText(connection, "live");
      await hasLoaded(page, "RootPage");
      wire.cut();
      await hasText(connection, /^last data/);
      await row.click();
      await hasText(page.locator(".notice .detail"), /does not respond/);
      wire.mend();
      await page.locator(".root-header h1").waitFor();
    },
    broken,
  );
});

test("logs and lists that could not be read are read when the connection is back", async () => {
  const tree = new Tree("logged late");
  const step = tree.start("step", tree.id, 1);
  await worker.send(tree.own, step, tree.log(step.id, 1, "info", "written before"), tree.end(step, 2), tree.end(tree.own, 5));
  await onPage(
    tree.address.replace(server, origin),
    async (page) => {
      const connection = page.locator(".connection");
      await hasText(connection, "live");
      await page.locator(".root-header h1").waitFor();
      await hasLoaded(page, "Logs");
      await hasLoaded(page, "Alerts");
      wire.cut();
      await hasText(connection, /^last data/);
      await page.getByRole("button", { name: "Logs", exact: true }).click();
      await hasText(page.locator(".notice .detail"), /does not respond/);
      wire.mend();
      await hasText(page.locator(".log .message"), "written before");
      wire.cut();
      await hasText(connection, /^last data/);
      await page.locator("a.entry[title=Alerts]").click();
      await hasText(page.locator(".notice .detail"), /does not respond/);
      wire.mend();
      await page.locator(".notice .detail").waitFor({ state: "detached" });
    },
    broken,
  );
});

test("a tree whose reading failed while the stream goes on is read again", async () => {
  const tree = new Tree("read twice");
  await worker.send(tree.own, tree.end(tree.own, 5));
  await onPage(
    `${origin}/tasks?name=read+twice`,
    async (page) => {
      await hasText(page.locator(".connection"), "live");
      await hasLoaded(page, "RootPage");
      const paths = /\/api\/v1\/roots\/[^/]+\/tree/;
      let refused = 0;
      await page.route(paths, (route) => {
        refused += 1;
        return refused === 1 ? route.abort() : route.continue();
      });
      await page.locator(`.root[data-root="${tree.rootId}"]`).click();
      await page.locator(".root-header h1").waitFor();
      assert.ok(refused > 1);
      await hasText(page.locator(".connection"), "live");
    },
    broken,
  );
});

test("twelve tabs are live at once over one connection, and tell how it stands", async () => {
  const tree = new Tree("watched by many");
  await worker.send(tree.own);
  await onPage(tree.address, async (page, context) => {
    const pages = [page];
    while (pages.length < 12) {
      const other = await context.newPage();
      await other.goto(pages.length % 2 ? tree.address : `${server}/tasks?name=watched+by+many`);
      pages.push(other);
    }
    for (const each of pages) await hasText(each.locator(".connection"), "live");
    await worker.send({ type: "process-progressed", root_id: tree.rootId, id: tree.id, time_us: tree.startUs + 1000, done: 3, total: 4, unit: null });
    await page.waitForFunction(() => document.title.startsWith("◐ 75 % watched by many"));
    const running = await page.locator('link[rel="icon"]').getAttribute("href");
    const step = tree.start("step", tree.id, 10);
    await worker.send(step, tree.end(step, 5, { message: "no" }), tree.end(tree.own, 50, { message: "failed" }));
    for (const each of pages) await each.waitForFunction(() => document.querySelector('.root-header[data-state="failed"], .root[data-state="failed"]') !== null);
    await page.waitForFunction(() => document.title.startsWith("✕ watched by many"));
    assert.notEqual(await page.locator('link[rel="icon"]').getAttribute("href"), running);
  });
});
