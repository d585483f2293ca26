/** Appearance of all screens: widths from 320 to 2,560 px, navigation, fonts, marks, and the column with the reasons. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { onPage, useBrowser, useWorker } from "./browser.mjs";
import { newId, server, Tree } from "./events.mjs";
import { screens } from "./screens.mjs";

useBrowser();
const worker = useWorker();
let all;
before(async () => {
  all = await screens();
});

/** Opens each screen at a size, completely drawn, and passes it to `look`. */
async function onScreens(context, options, look) {
  for (const { name, address, ready, act } of all) {
    await context.test(name, () =>
      onPage(
        address,
        async (page) => {
          await page.locator(ready).first().waitFor();
          await act?.(page);
          await page.waitForFunction(() => document.fonts.status === "loaded" && !/Loading …/.test(document.body.innerText));
          await look(page);
        },
        options,
      ),
    );
  }
}

for (const width of [320, 2560]) {
  test(`at ${width} px nothing is beyond the side of any screen`, (context) =>
    onScreens(context, { viewport: { width, height: width === 320 ? 640 : 1300 } }, async (page) => {
      const beyond = await page.evaluate(() => {
        // With all menus open.
        for (const menu of document.querySelectorAll("details")) menu.open = true;
        const clips = (element) => element !== null && element !== document.body && (getComputedStyle(element).overflowX !== "visible" || clips(element.parentElement));
        const found = [...document.body.querySelectorAll("*")].filter((element) => {
          const { left, right, width: wide } = element.getBoundingClientRect();
          return wide > 1 && element.checkVisibility() && (right > innerWidth + 1 || left < -1) && !clips(element.parentElement);
        });
        return found.map((element) => element.outerHTML.slice(0, 120));
      });
      assert.deepEqual(beyond, []);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width);
    }));
}

test("the rail is 208 px wide, or 52 px of icons, and on a phone a bar at the bottom with four sections and the others behind a button", () =>
  onPage(`${server}/tasks`, async (page) => {
    const rail = page.locator(".rail");
    await rail.waitFor();
    const label = rail.locator(".entry .label").first();
    for (const [width, wanted, isRead] of [[2560, 208, true], [1151, 208, true], [1150, 52, false], [761, 52, false]]) {
      await page.setViewportSize({ width, height: 820 });
      await page.waitForFunction((wide) => document.querySelector(".rail:not(.bottom)")?.getBoundingClientRect().width === wide, wanted);
      const { x, y, height } = await rail.boundingBox();
      assert.deepEqual({ x, y, height }, { x: 0, y: 0, height: 820 });
      assert.equal((await label.boundingBox()).width > 1, isRead, `${width} px`);
      // An entry with only an icon has a title.
      for (const entry of await rail.locator(".entry").all()) assert.match(await entry.getAttribute("title"), /\w/);
    }
    await page.setViewportSize({ width: 760, height: 700 });
    await page.locator(".rail.bottom").waitFor();
    const { x, y, width, height } = await rail.boundingBox();
    assert.deepEqual({ x, width, bottom: y + height }, { x: 0, width: 760, bottom: 700 });
    assert.equal(await rail.locator("nav .entry:visible").count(), 4);
    await rail.locator(".more > summary").click();
    const rest = rail.locator(".more .entry");
    await rest.first().waitFor();
    const titles = await rail.locator(".entry").evaluateAll((entries) => entries.map((entry) => entry.title));
    assert.ok((await rest.count()) > 0 && new Set(titles).size === titles.length, titles.join());
    await rest.last().click();
    await page.waitForURL((url) => url.pathname !== "/tasks");
  }));

test("both fonts come with the page, of Latin letters alone and under 100 kB together, also where the texts are Chinese", () =>
  onPage(
    all.find(({ name }) => name === "tree").address,
    async (page) => {
      await page.locator(".panel .message").waitFor();
      const loaded = await page.evaluate(async () => {
        await document.fonts.ready;
        const faces = [...document.fonts];
        // Including the font face that no visible text uses.
        await Promise.all(faces.map((face) => face.load()));
        const files = performance.getEntriesByType("resource").filter(({ name }) => /\.(woff2?|ttf|otf)$/.test(name));
        return {
          faces: faces.map(({ family, status, display }) => `${family.replaceAll('"', "")} ${status} ${display}`).sort(),
          ranges: faces.map(({ unicodeRange }) => unicodeRange),
          names: files.map(({ name }) => new URL(name)).map(({ origin, pathname }) => [origin === location.origin, pathname.split("/").at(-1)]),
          bytes: files.reduce((sum, { decodedBodySize }) => sum + decodedBodySize, 0),
          text: getComputedStyle(document.body).fontFamily.split(",")[0],
          id: getComputedStyle(document.querySelector(".panel .mono")).fontFamily.split(",")[0].replaceAll('"', ""),
        };
      });
      assert.deepEqual(loaded.faces, ["Inter loaded swap", "JetBrains Mono loaded swap"]);
      assert.equal(loaded.names.length, 2, JSON.stringify(loaded.names));
      for (const [isOwn, name] of loaded.names) assert.ok(isOwn && /^(inter|jetbrains-mono)-latin-wght-normal-.*\.woff2$/.test(name), name);
      assert.ok(loaded.bytes > 20_000 && loaded.bytes < 100_000, `${loaded.bytes} bytes`);
      // Letters outside Latin use a system font: 导, as an example, is in no range.
      for (const range of loaded.ranges) {
        const ends = [...range.matchAll(/U\+([0-9A-F]+)(?:-([0-9A-F]+))?/gi)].map(([, from, to]) => Number.parseInt(to ?? from, 16));
        assert.ok(ends.length > 0 && Math.max(...ends) < 0x2e80, range);
      }
      assert.deepEqual([loaded.text, loaded.id], ["Inter", "JetBrains Mono"]);
    },
    { locale: "zh-CN" },
  ));

test("why something failed begins at the same place in all rows, of the list and of a tree", async () => {
  const unique = newId();
  const short = new Tree(`aligned ${unique}`);
  const long = new Tree(`aligned ${unique} with a name that is much longer than the first one's, and a batch`, { batch: "batch of the night" });
  const events = [];
  for (const tree of [short, long]) {
    let parent = tree.own;
    const open = [tree.own];
    for (let depth = 0; depth < 5; depth += 1) {
      parent = tree.start(`${"deeper ".repeat(depth)}call`, parent.id, depth);
      open.push(parent);
    }
    events.push(...open, ...open.toReversed().map((each) => tree.end(each, 40, { message: `no such table: orders of ${tree.name}` })));
  }
  await worker.send(...events);
  const places = (page, selector) => page.locator(selector).evaluateAll((cells) => cells.map((cell) => cell.getBoundingClientRect().x));
  for (const width of [2560, 1440, 1152]) {
    const look = { viewport: { width, height: 820 } };
    await onPage(
      `${server}/tasks?q=aligned+${unique}`,
      async (page) => {
        await page.locator(".root[data-root] .why").nth(1).waitFor();
        const found = await places(page, ".root[data-root] .why");
        assert.deepEqual([found.length, new Set(found).size], [2, 1], `${width} px: ${found}`);
      },
      look,
    );
    await onPage(
      long.address,
      async (page) => {
        await page.locator(".node .why").nth(5).waitFor();
        const found = await places(page, ".node .why");
        assert.deepEqual([found.length, new Set(found).size], [6, 1], `${width} px: ${found}`);
      },
      look,
    );
  }
});

/** Returns the computed values of the page's colour variables. */
const colours = (page, names) =>
  page.evaluate((all) => {
    const probe = document.body.appendChild(document.createElement("i"));
    const found = Object.fromEntries(all.map((name) => [name, ((probe.style.color = `var(--${name})`), getComputedStyle(probe).color)]));
    probe.remove();
    return found;
  }, names);

for (const colorScheme of ["light", "dark"]) {
  test(`success is quiet in the list and in a tree, and what failed is loud, ${colorScheme}`, async () => {
    const unique = newId();
    const [good, bad] = ["good", "bad"].map((name) => new Tree(`quiet ${unique} ${name}`));
    const [done, broken] = ["done", "broken"].map((name) => bad.start(name, bad.id, 10));
    const error = { message: "no such table" };
    await worker.send(good.own, good.end(good.own, 40), bad.own, done, broken, bad.end(done, 10), bad.end(broken, 20, error), bad.end(bad.own, 40, error));
    const look = (page, row) =>
      page.locator(row).evaluate((element) => {
        const colour = (selector) => element.querySelector(selector) && getComputedStyle(element.querySelector(selector)).color;
        const words = [...element.querySelectorAll("*")].filter((each) => each.childElementCount === 0 && each.textContent.trim() === element.dataset.state);
        return { name: colour(".name"), mark: colour("svg.glyph"), why: colour(".why"), words: words.length, shown: words.filter((each) => each.getBoundingClientRect().width > 1).length };
      });
    const check = async (page, ok, failed) => {
      const { dim, text, succeeded, failed: red } = await colours(page, ["dim", "text", "succeeded", "failed"]);
      // Only the mark is visible; its text is for screen readers.
      assert.deepEqual(await look(page, ok), { name: dim, mark: succeeded, why: null, words: 1, shown: 0 });
      assert.deepEqual(await look(page, failed), { name: text, mark: red, why: red, words: 1, shown: 0 });
    };
    await onPage(
      `${server}/tasks?q=quiet+${unique}`,
      async (page) => {
        await page.locator(".root[data-root]").nth(1).waitFor();
        await check(page, `.root[data-root="${good.rootId}"]`, `.root[data-root="${bad.rootId}"]`);
        await page.goto(bad.address);
        await page.locator(".node").nth(2).waitFor();
        await check(page, `.node[data-process="${done.id}"]`, `.node[data-process="${broken.id}"]`);
      },
      { colorScheme },
    );
  });
}

test("on the timeline a name has a muted colour of its own, and what failed is red", async () => {
  const tree = new Tree("hues");
  const names = ["a", "b", "c", "d", "e", "f", "a", "b", "c", "d", "e", "f"];
  const calls = names.map((name, at) => tree.start(name, tree.id, at * 100));
  const broken = tree.start("a", tree.id, 1200);
  await worker.send(tree.own, ...calls.flatMap((call) => [call, tree.end(call, 90)]), broken, tree.end(broken, 90, { message: "no" }), tree.end(tree.own, 1300));
  await onPage(`${tree.address}?tab=timeline`, async (page) => {
    await page.locator(".stage canvas[data-window]").waitFor();
    const hues = await colours(page, [1, 2, 3, 4, 5, 6].map((hue) => `hue-${hue}`));
    const { "bar-failed": red } = await colours(page, ["bar-failed"]);
    // Near the end of each bar, where there is no text. The calls are one row below the run, under a ruler of 24 px.
    const drawn = await page.locator(".stage canvas").evaluate((canvas, count) => {
      const { data } = canvas.getContext("2d").getImageData(0, 24 + 18 + 9, canvas.width, 1);
      return Array.from({ length: count }, (_, at) => {
        const x = Math.round(((at * 100 + 80) / 1300) * canvas.width);
        return `rgb(${[...data.slice(4 * x, 4 * x + 3)].join(", ")})`;
      });
    }, names.length + 1);
    assert.equal(drawn.pop(), red);
    const ofName = new Map(names.map((name, at) => [name, drawn[at]]));
    assert.deepEqual(drawn, names.map((name) => ofName.get(name)));
    for (const colour of drawn) assert.ok(Object.values(hues).includes(colour), `${colour} is none of ${Object.values(hues)}`);
    assert.ok(new Set(drawn).size > 1, drawn.join());
  });
});

test("marks are drawn, and no character of a font stands for one", (context) =>
  onScreens(context, {}, async (page) => {
    const found = await page.evaluate(() => {
      // Arrows, technical signs, boxes, shapes, dingbats, pictures. Within a text, as between two times, an arrow is a word; keys are named as they are printed.
      const isPicture = (text) => /^(?:[\u2190-\u21ff\u2300-\u23ff\u2500-\u27bf\u2900-\u297f\u2b00-\u2bff]|\p{Extended_Pictographic}|\s)+$/u.test(text) && text.trim() !== "";
      const characters = [];
      const undrawn = [];
      for (const element of document.body.querySelectorAll("*:not(script, style, kbd, :has(kbd))")) {
        if (isPicture(element.textContent)) characters.push(element.outerHTML.slice(0, 120));
        for (const pseudo of ["::before", "::after"]) {
          const { content } = getComputedStyle(element, pseudo);
          if (isPicture(content.replace(/^"|"$/g, ""))) characters.push(`${content} by ${pseudo} of ${element.outerHTML.slice(0, 120)}`);
        }
      }
      for (const mark of document.querySelectorAll(".glyph, .icon")) if (!(mark instanceof SVGElement && mark.querySelector("path, circle"))) undrawn.push(mark.outerHTML.slice(0, 120));
      for (const row of document.querySelectorAll(".node[data-process], .root[data-root], .mark-only")) if (!row.querySelector("svg.glyph")) undrawn.push(row.outerHTML.slice(0, 120));
      return { characters, undrawn };
    });
    assert.deepEqual(found, { characters: [], undrawn: [] });
  }));

test("what can be touched on a phone is 44 px high on every screen", (context) =>
  onScreens(context, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true }, async (page) => {
    const small = await page.evaluate(() => {
      const HEIGHT = 44;
      /** A link within a text has the height of its line. */
      const isText = (element) => element.matches("a") && element.closest("p, li, dd, td, pre, .compare-bar") !== null;
      /** A row of a list is clickable like its link. */
      const rowOf = (element) => (element.matches("a") && element.closest(".root[data-root], .named")) || element;
      /**
       * A small element may have a larger click target above and below it: at least `HEIGHT` px in total, not counting the half pixels at
       * both ends.
       */
      const isHitAround = (element) => {
        element.scrollIntoView({ block: "center", behavior: "instant" });
        const { x, y, width, height } = element.getBoundingClientRect();
        const isHit = (by) => element.contains(document.elementFromPoint(x + width / 2, y + height / 2 + by));
        const reach = (step) => {
          let by = 0;
          while (Math.abs(by) < HEIGHT && isHit(by)) by += step;
          return Math.abs(by);
        };
        return isHit(0) && reach(1) + reach(-1) - 1 >= HEIGHT - 1;
      };
      // Elements covered by a dialog can't be touched.
      const within = document.querySelector("dialog[open]") ?? document;
      const found = [...within.querySelectorAll("a[href], button, input, select, summary, textarea, [role=option]")].filter((element) => {
        if (!element.checkVisibility({ visibilityProperty: true, opacityProperty: true }) || isText(element)) return false;
        const { width, height } = rowOf(element.closest("label") ?? element).getBoundingClientRect();
        return width > 1 && height > 1 && height < HEIGHT && !isHitAround(element);
      });
      return found.map((element) => `${element.getBoundingClientRect().height.toFixed(1)} ${element.outerHTML.slice(0, 140)}`);
    });
    assert.deepEqual(small, []);
  }));
