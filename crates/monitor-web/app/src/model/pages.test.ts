import { expect, test } from "vitest";
import { type Page, type PageParam, pageOf, paramAfter, paramAt, paramBefore, paramOfTime } from "./pages.ts";
import { root } from "./samples.ts";

const ALL = Array.from({ length: 1000 }, (_, index) => root(1000 - index));
const SIZE = 100;

/** Simulates the server: numbers increase with start times. */
function read({ cursor, offset = 0, index, back }: PageParam): Page {
  const from = cursor === undefined ? Infinity : Number(cursor.split(".")[0]);
  const found = (back ? ALL.filter(({ started_us }) => (started_us as number) > from).toReversed() : ALL.filter(({ started_us }) => (started_us as number) < from)).slice(offset);
  const roots = found.slice(0, SIZE);
  const last = roots.at(-1);
  return pageOf({ roots, as_of: 1, next_cursor: found.length > SIZE ? `${last?.started_us}.${last?.number}` : null }, { index, offset, ...(cursor !== undefined && { cursor }), ...(back && { back }) });
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
  expect(paramAfter(up[0] as Page)).toEqual({ cursor: "901000.901", index: 100 });
});

test("a row far away is read where it stands, and what is before it on the way back", () => {
  const far = read(paramAt(350));
  expect(told(far)).toEqual([650, 551, 350]);
  expect(told(read(paramBefore(far) as PageParam))).toEqual([750, 651, 250]);
  expect(paramAt(0)).toEqual({ index: 0 });
});

test("what is gone of a page changes nothing for those beside it", () => {
  const empty = pageOf({ roots: [], as_of: 1, next_cursor: null }, { cursor: "5", index: 10 });
  expect([empty.before, empty.after]).toEqual(["5", null]);
});

test("a list that begins at a time begins with what had begun by then", () => {
  expect(told(read(paramOfTime(500_500, false)))).toEqual([500, 401, 0]);
  expect(paramOfTime(7, true).cursor).toBe("7.0");
});
