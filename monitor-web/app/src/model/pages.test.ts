import { expect, test } from "vitest";
import { numberAt, type Page, type PageParam, pageOf, paramAfter, paramAt, paramBefore } from "./pages.ts";
import { root } from "./samples.ts";

const ALL = Array.from({ length: 1000 }, (_, index) => root(1000 - index));
const SIZE = 100;

/** As the server answers. */
function read({ cursor, index, back }: PageParam): Page {
  const from = cursor === undefined ? Infinity : Number(cursor);
  const found = back ? ALL.filter(({ number }) => number > from).toReversed() : ALL.filter(({ number }) => number < from);
  const roots = found.slice(0, SIZE);
  return pageOf({ roots, as_of: 1, next_cursor: found.length > SIZE ? String(roots.at(-1)?.number) : null }, { index, ...(cursor !== undefined && { cursor }), ...(back && { back }) });
}

const told = ({ roots, index }: Page) => [roots[0]?.number, roots.at(-1)?.number, index];

test("pages follow one another down to the end, and back up to the beginning", () => {
  const pages = [read({ index: 0 })];
  for (let next = paramAfter(pages[0] as Page); next; next = paramAfter(pages.at(-1) as Page)) pages.push(read(next));
  expect(pages.length).toBe(10);
  expect(told(pages.at(-1) as Page)).toEqual([100, 1, 900]);
  const up = [pages[5] as Page];
  for (let before = paramBefore(up[0] as Page); before; before = paramBefore(up[0] as Page)) up.unshift(read(before));
  expect(up.map(told)).toEqual(pages.slice(0, 6).map(told));
  expect(paramAfter(up[0] as Page)).toEqual({ cursor: "901", index: 100 });
});

test("a row far away is read from about where it stands", () => {
  const page = read({ cursor: "301", index: 700 });
  expect(told(read(paramAt(350, page, 1000)))).toEqual([650, 551, 350]);
  expect(paramAt(20, page, 1000)).toEqual({ index: 0 });
});

test("what is gone of a page changes nothing for those beside it", () => {
  const empty = pageOf({ roots: [], as_of: 1, next_cursor: null }, { cursor: "5", index: 10 });
  expect([empty.before, empty.after]).toEqual(["5", null]);
});

test("the root that began at a time is found in few steps, though some have no start and some numbers are gone", async () => {
  let asked = 0;
  const kept = ALL.filter(({ number }) => number % 7 !== 0).map((each) => (each.number % 10 === 3 ? { ...each, started_us: null } : each));
  const near = async (number: number) => {
    asked += 1;
    return kept.find((each) => each.number <= number);
  };
  const found = await numberAt(500_000, 1, 1000, near);
  expect(Math.abs(found - 500)).toBeLessThan(15);
  expect(asked).toBeLessThan(12);
  expect(await numberAt(0, 1, 1000, near)).toBe(1);
  expect(await numberAt(Infinity, 1, 1000, near)).toBe(1000);
});
