import { expect, test } from "vitest";
import { process } from "./samples.ts";
import { selfTime } from "./selftime.ts";
import { Tree } from "./tree.ts";

test("self time is what is left without the children, those at once counted once", () => {
  const tree = new Tree();
  const ran = (id: string, parent: string | null, from: number, us: number) =>
    tree.put(process(id, parent, from, { state: "succeeded", elapsed_ns: us * 1000 }), 1);
  ran("a", null, 0, 100);
  ran("b", "a", 10, 20);
  ran("c", "a", 20, 30);
  ran("late", "a", 90, 500);
  ran("deeper", "b", 10, 20);
  tree.put(process("waits", "a", null, { state: "pending" }), 1);
  const of = (id: string) => selfTime(tree, tree.find(id) as number, 0);
  expect([of("a"), of("b"), of("c"), of("waits")]).toEqual([50_000, 0, 30_000, undefined]);
});
