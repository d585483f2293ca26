import { expect, test } from "vitest";
import type { Cancelled } from "../api/types.ts";
import { goesOn, toBeTold } from "./cancelled.ts";

const line = (id: string, status: string) => ({ worker_id: id, name: `${id}@host`, status });
const process = (id: string, state: string, worker: string | null) => ({ id, name: id, state, worker_id: worker });

function cancelled(still: Cancelled["still"], lines: Cancelled["lines"]): Cancelled {
  return { root_id: "r", process: null, meant: 9, running: still.length, still, lines, commands: [] };
}

test("what goes on is grouped by its reason and its worker", () => {
  const still = [process("a", "running", "w1"), process("b", "running", "w2"), process("c", "running", "w1"), process("d", "pending", null), process("e", "pending", "w2"), process("f", "running", null)];
  const groups = goesOn(cancelled(still, [line("w1", "ok"), line("w2", "unsupported")]));
  expect(groups.map(({ why, line, processes }) => [why, line?.name, processes.map(({ id }) => id).join("")])).toEqual([
    ["ok", "w1@host", "ac"],
    ["unsupported", "w2@host", "b"],
    ["pending", undefined, "de"],
    ["nobody", undefined, "f"],
  ]);
});

test("who can't be told is apart from who would be", () => {
  const { told, mute } = toBeTold(cancelled([], [line("w1", "waiting"), line("w2", "unsupported"), line("w3", "gone"), line("w4", "ok")]));
  expect(told.map(({ name }) => name)).toEqual(["w1@host", "w4@host"]);
  expect(mute.map(({ name }) => name)).toEqual(["w2@host", "w3@host"]);
});
