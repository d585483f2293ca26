import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { Process } from "../api/types.ts";
import { failures, isHandled } from "./failures.ts";
import { process } from "./samples.ts";
import { Tree } from "./tree.ts";

/**
 * Parses lines like `read ok 12`, `  publish failed 30 can't write <- No such file`: name, state, end, error and its causes, indented by
 * depth.
 */
function treeOf(text: string): Tree {
  const tree = new Tree();
  const above: string[] = [];
  const states: Record<string, Process["state"]> = { ok: "succeeded" };
  for (const [index, line] of text.split("\n").filter((each) => each.trim() !== "").entries()) {
    const depth = (line.length - line.trimStart().length) / 2;
    const [name = "", state = "", end = "-", ...words] = line.trim().split(" ");
    const [message = "", ...chain] = words.join(" ").split(" <- ");
    above.length = depth;
    const error = message === "" ? null : { message, chain, kind: message.startsWith("exit code") ? "exit" : "error" };
    tree.put(process(name, above.at(-1) ?? null, index, { state: states[state] ?? state, ended_us: end === "-" ? null : Number(end), error } as Partial<Process>), index + 1);
    above.push(name);
  }
  return tree;
}

function check(text: string, expected: { leaves: string[]; cause?: string; handled?: number }) {
  const tree = treeOf(text);
  const { leaves, cause, handled } = failures(tree);
  expect({ leaves: leaves.map((slot) => tree.at(slot).name), cause: cause === undefined ? undefined : tree.at(cause).name, handled }).toEqual({ cause: undefined, handled: 0, ...expected });
}

/** Cases that the server's tests use, too. */
function cases(): { name: string; cause: string | undefined; handled: number; tree: string }[] {
  const text = readFileSync(new URL("../../../../monitor-state/cases/failing_path.txt", import.meta.url), "utf8");
  return text.split("\n# ").slice(1).map((each) => {
    const [name = "", cause = "", , handled = "", ...tree] = each.split("\n");
    return { name, cause: cause.replace("cause:", "").trim() || undefined, handled: Number(handled.replace("handled:", "")), tree: tree.join("\n") };
  });
}

test.each(cases())("$name, as in the server's table", ({ cause, handled, tree: text }) => {
  const tree = treeOf(text);
  const found = failures(tree);
  expect([found.cause === undefined ? undefined : tree.at(found.cause).name, found.handled]).toEqual([cause, handled]);
  expect(found.leaves.filter((slot) => isHandled(tree, slot)).length).toBe(handled);
});

test("an error below a parent that succeeded was handled: it comes last and never opens", () => {
  const text = `
count failed 90 can't write report <- No such file
  read ok 40
    file1 failed 10 invalid utf-8
    file2 failed 20 invalid utf-8
  publish failed 80 can't write report <- No such file
`;
  check(text, { leaves: ["publish", "file1", "file2"], cause: "publish", handled: 2 });
});

test("of several failed children the one whose error the parent carries is the cause", () => {
  const text = `
import failed 90 rows not loaded <- query failed <- no such table
  late failed 80 disk is slow
  load failed 50 query failed <- no such table
    query failed 40 no such table
    close failed 45 already closed
`;
  check(text, { leaves: ["query", "late", "close"], cause: "query" });
});

test("where the parent carries none of them, the last to end is the cause", () => {
  const text = `
bash failed 90 exit code 2
  false failed 10 exit code 1
  ls failed 30 exit code 2: cannot access '/nope'
  true ok 20
`;
  check(text, { leaves: ["ls", "false"], cause: "ls" });
});

test("a parent is lost with its children, not by what failed before", () => {
  check("root lost -\n  step failed 10 bad row\n  copy lost -\n    write lost -\n", { leaves: ["write", "step"], cause: "write" });
});

test("while the root runs nothing is decided: a failure may still be handled", () => {
  check("root running -\n  first ok 5\n    probe failed 2 no route\n  second running -\n    write failed 9 disk full\n", { leaves: ["write", "probe"], handled: 1 });
});

test("a failed parent of handled failures is a failure itself", () => {
  check("root failed 9 all is lost\n  step ok 5\n    probe failed 2 no route\n", { leaves: ["root", "probe"], cause: "root", handled: 1 });
});

test("a tree that succeeded has no cause, whatever failed in it", () => {
  check("root ok 9\n  probe failed 2 no route\n  stopped cancelled 3\n    left failed 2 broken pipe\n", { leaves: ["probe", "left"], handled: 2 });
  check("root ok 9\n  step ok 5\n", { leaves: [] });
});

test("a chain of 100,000 and 100,000 siblings are no trouble", () => {
  const tree = new Tree();
  const failed = { state: "failed", ended_us: 1 } as const;
  tree.put(process("p0", null, 0, failed), 1);
  for (let index = 1; index < 100_000; index += 1) tree.put(process(`p${index}`, `p${index - 1}`, index, failed), 1);
  for (let index = 0; index < 100_000; index += 1) tree.put(process(`s${index}`, "p0", 1e6 + index, { ...failed, ended_us: 0 }), 1);
  const { leaves, cause } = failures(tree);
  expect(leaves.length).toBe(100_001);
  expect(tree.at(cause as number).name).toBe("p99999");
});
