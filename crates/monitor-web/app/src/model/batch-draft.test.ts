import { expect, test } from "vitest";
import { draftOf, mistakesOf, readDraft } from "./batch-draft.ts";

test("a definition that goes through the form is the same one", () => {
  for (const definition of [
    { name: "gold", command: ["node", "index.js"], rules: ["30 2 * * 1-5", "H 4 * * 6"], zone: "Asia/Shanghai", on: ["db-1", "db-2"], timeout: "30m", owner: "ada", retry: { times: 3 }, exit: { 24: "warn" } },
    { name: "plain", shell: "echo [hello]" },
    { name: "folder", missed: "all", owner: ["ada", "ops"] },
  ]) {
    expect(readDraft(draftOf(definition))).toEqual(definition);
  }
});

test("what can't be read is told at its field, with its place", () => {
  const draft = draftOf({ name: "gold" });
  for (const [key, written] of [["rest", "{"], ["rest", "retry = {"], ["rest", "7"], ["rest", "a = 1\na = 2"], ["command", '["a"']] as const) {
    expect(() => readDraft({ ...draft, [key]: written }), written).toThrow(new RegExp(`^${key}: `));
  }
  expect(() => readDraft({ ...draft, rest: 'lock = "db"\nretry = ' })).toThrow(/^rest: 2:9: /);
});

test("each mistake stands at its field, and what has none apart", () => {
  expect(mistakesOf("rules.0: no such day\nshell: it is empty\nrules.1: no\nretry.times: too many\nsomebody was faster")).toEqual({
    fields: { rules: "rules.0: no such day\nrules.1: no", command: "shell: it is empty" },
    others: ["retry.times: too many", "somebody was faster"],
  });
  expect(mistakesOf("")).toEqual({ fields: {}, others: [] });
});
