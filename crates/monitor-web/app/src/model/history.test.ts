import { expect, test } from "vitest";
import { type Run, scatter } from "./history.ts";

const run = (startedUs: number | null, elapsed: number | null): Run => ({ root_id: `r${startedUs}`, id: null, state: "succeeded", started_us: startedUs, elapsed_ns: elapsed });
const size = { width: 116, height: 100 };

test("runs stand in the order of their starts, the longer the higher", () => {
  const found = scatter([run(30, 4e9), run(10, 1e9), run(20, 2e9), run(40, null)], size);
  expect(found?.points.map(({ run: each }) => each.started_us)).toEqual([10, 20, 30]);
  expect(found?.points.map(({ x }) => x)).toEqual([8, 58, 108]);
  expect(found).toMatchObject({ p50: 2e9, least: 1e9, most: 4e9 });
  const [first, second, third] = found?.points.map(({ y }) => Math.round(y)) ?? [];
  expect([first, second, third]).toEqual([92, 50, 8]);
});

test("none that ended, no picture; an instant is no trouble", () => {
  expect(scatter([run(1, null)], size)).toBeUndefined();
  expect(scatter([run(1, 0)], size)?.points).toHaveLength(1);
});
