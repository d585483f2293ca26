import { expect, test } from "vitest";
import type { JobRequest } from "../api/types.ts";
import { draftOf, EMPTY, hiddenOf, type JobDraft, missingOf, mistakesOf, readTags, requestOf, tagsText, targetsText } from "./job-draft.ts";

test("a form with a script and a host is complete, and says what is missing before", () => {
  expect(missingOf(EMPTY)).toEqual(["script", "targets"]);
  expect(missingOf({ ...EMPTY, script: "true", tags: "env=prod" })).toEqual([]);
  expect(missingOf({ ...EMPTY, script: "true", saved: "web" })).toEqual([]);
  expect(requestOf({ ...EMPTY, script: "true\n", saved: "web, db" }).targets).toEqual({ saved: ["web", "db"] });
  expect(requestOf({ ...EMPTY, script: "true\n", hosts: "web-*" })).toEqual({ targets: { hosts: ["web-*"] }, steps: [{ script: "true\n", language: "shell" }] });
});

test("names and addresses of hosts are told apart, and each line is an argument", () => {
  const draft: JobDraft = { ...EMPTY, name: " disk ", script: "x", language: "python", args: "--path\n/var/my logs\n", hosts: "web-1, 10.0.0.7\n7 fe80::1", groups: "eu, us east", account: "app", timeout: "10m", rolling: "1 10%", mode: "ask", stopAfter: "5%", retryFailed: "2", ifFailed: "undo" };
  expect(requestOf(draft)).toEqual({
    name: "disk",
    targets: { hosts: ["web-1", "7"], ips: [{ ip: "10.0.0.7" }, { ip: "fe80::1" }], groups: ["eu", "us east"] },
    account: "app",
    steps: [{ script: "x", language: "python", args: ["--path", "/var/my logs"], timeout: "10m" }],
    then: { failed: { retry: { times: 2 }, job: { account: "app", steps: [{ script: "undo" }] } } },
    rolling: { expression: "1 10%", mode: "ask", stop_after_failures: "5%" },
  });
});

test("a job is repeated with all that the form has no field for", () => {
  const step = { script: "df\n", language: "shell" as const, args: ["/", "a\nb"], env: { A: "1" }, secrets: { DB: { file: "/etc/db" } }, timeout: "10m", is_param_sensitive: false };
  const base: JobRequest = {
    name: "check",
    account: "app",
    targets: { hosts: ["web-*"], ips: [{ ip: "10.0.0.7" }, { ip: "10.0.0.7", cloud_id: 3 }], groups: ["eu", "us"], tags: "env=prod", saved: ["web"] },
    steps: [step, { script: "second" }],
    rolling: { expression: "1 10%", mode: "ask", stop_after_failures: "5%", parallel: 3 },
    retry: { times: 2, backoff: "1m" },
    then: { failed: { retry: { times: 1, backoff: "5s" }, job: { name: "undo", steps: [{ script: "undo" }, { script: "check" }] } } },
  };
  expect(requestOf(draftOf(base), base)).toEqual(base);
  expect(hiddenOf(base)).toEqual(["steps", "env", "secrets", "ips", "retry"]);
  const changed = requestOf({ ...draftOf(base), args: "/data", hosts: "db-1", account: "", ifFailed: "other", retryFailed: "", rolling: "" }, base);
  expect(changed.steps[0]).toEqual({ ...step, args: ["/data"] });
  expect([changed.targets?.hosts, changed.targets?.ips, changed.account, changed.rolling]).toEqual([["db-1"], [{ ip: "10.0.0.7", cloud_id: 3 }], undefined, undefined]);
  expect(changed.then).toEqual({ failed: { job: { steps: [{ script: "other" }] } } });
  const plain: JobRequest = { targets: { hosts: ["a"] }, steps: [{ script: "x", language: "shell" }] };
  expect([requestOf(draftOf(plain), plain), hiddenOf(plain)]).toEqual([plain, []]);
});

test("targets are shown as one text", () => {
  expect(targetsText({ hosts: ["web-*"], ips: [{ ip: "10.0.0.7" }, { ip: "10.0.0.7", cloud_id: 3 }], groups: ["eu"], tags: "env=prod,!canary" })).toBe("web-* 10.0.0.7 3:10.0.0.7 @eu env=prod,!canary");
  expect(targetsText({})).toBe("");
});

test("tags are read as they are written", () => {
  expect(readTags("env=prod, canary, x=a b")).toEqual({ env: "prod", canary: "", x: "a b" });
  expect(tagsText(readTags("env=prod,canary"))).toBe("env=prod, canary");
});

test("the server's mistakes stand at their fields", () => {
  expect(mistakesOf("steps[0].timeout: `x` is no duration\ntargets.hosts[1]: no host matches `db-*`\ntargets.ips[0]: `1.2` is not an IP address\ntargets.saved[0]: `dev`: no host\nrolling.expression: `0` is no size\nthen.failed.job.steps[0].script: a rule\nretry.times: too many\nOnly operators may do this.")).toEqual({
    fields: { timeout: "`x` is no duration", hosts: "no host matches `db-*`\n`1.2` is not an IP address", saved: "`dev`: no host", rolling: "`0` is no size", ifFailed: "a rule" },
    others: ["retry.times: too many", "Only operators may do this."],
  });
});
