/** The form for a new job. */
import type { JobRequest, Targets } from "../api/types.ts";

export const LANGUAGES = ["shell", "python", "perl", "powershell", "bat"] as const;
export const MODES = ["pause-on-failure", "ignore", "ask"] as const;

export interface JobDraft {
  name: string;
  script: string;
  language: NonNullable<JobRequest["steps"][number]["language"]>;
  /** One argument per line. */
  args: string;
  /** Names, patterns, numbers or addresses of hosts, between spaces, commas or line breaks. */
  hosts: string;
  groups: string;
  tags: string;
  /** Names of saved targets, between commas. */
  saved: string;
  account: string;
  timeout: string;
  rolling: string;
  mode: NonNullable<NonNullable<JobRequest["rolling"]>["mode"]>;
  stopAfter: string;
  /** Number of retries on the hosts that have failed. */
  retryFailed: string;
  /** Script that runs on the hosts that have failed. */
  ifFailed: string;
}

export const EMPTY: JobDraft = { name: "", script: "", language: "shell", args: "", hosts: "", groups: "", tags: "", saved: "", account: "", timeout: "", rolling: "", mode: "pause-on-failure", stopAfter: "", retryFailed: "", ifFailed: "" };

/** Required fields that are still empty. */
export function missingOf({ script, hosts, groups, tags, saved }: JobDraft): ("script" | "targets")[] {
  return [...(script.trim() === "" ? ["script" as const] : []), ...([hosts, groups, tags, saved].every((text) => text.trim() === "") ? ["targets" as const] : [])];
}

const ADDRESS = /^(?:\d{1,3}(?:\.\d{1,3}){3}|[\da-f]*:[\da-f:.]+)$/i;

/** Returns an object with a text, or an empty one if there is none. */
function text<Key extends string>(key: Key, value: string): Partial<Record<Key, string>> {
  return value.trim() === "" ? {} : ({ [key]: value.trim() } as Record<Key, string>);
}

/** Returns the targets that the fields of a form describe. */
export function targetsOf(draft: Pick<JobDraft, "hosts" | "groups" | "tags" | "saved">): Targets {
  const named = draft.hosts.split(/[\s,]+/).filter((word) => word !== "");
  const [groups, saved] = [readNames(draft.groups), readNames(draft.saved)];
  const ips = named.filter((word) => ADDRESS.test(word)).map((ip) => ({ ip }));
  const hosts = named.filter((word) => !ADDRESS.test(word));
  return { ...(hosts.length > 0 && { hosts }), ...(ips.length > 0 && { ips }), ...(groups.length > 0 && { groups }), ...text("tags", draft.tags), ...(saved.length > 0 && { saved }) };
}

/** Returns what targets select, as one text: hosts, addresses, groups with `@`, and tags. */
export function targetsText({ hosts = [], ips = [], groups = [], tags }: Targets): string {
  const addresses = ips.map(({ ip, cloud_id }) => (cloud_id ? `${cloud_id}:${ip}` : ip));
  return [...hosts, ...addresses, ...groups.map((group) => `@${group}`), ...(tags ? [tags] : [])].join(" ");
}

/** Returns the request that a form describes. What the form has no fields for is taken from `base`, the request of the job that is repeated. */
export function requestOf(draft: JobDraft, base?: JobRequest): JobRequest {
  const lines = draft.args.split("\n").map((line) => line.replace(/\r$/, ""));
  const given = base?.steps[0]?.args ?? [];
  // An argument with a line break is kept if the field has not changed.
  const args = draft.args === argsText(given) ? given : lines.at(-1) === "" ? lines.slice(0, -1) : lines;
  const before = base?.then?.failed;
  const times = draft.retryFailed.trim() === "" ? undefined : Number(draft.retryFailed);
  const retry = times !== undefined && { retry: { ...before?.retry, times } };
  const isSame = draft.ifFailed === before?.job?.steps[0]?.script;
  const next = draft.ifFailed.trim() !== "" && { job: isSame && before?.job ? before.job : { ...text("account", draft.account), steps: [{ script: draft.ifFailed }] } };
  const { name: _name, account: _account, then: _then, targets, rolling, steps: [first, ...others], ...kept }: JobRequest = base ?? { steps: [] };
  const { args: _args, timeout: _timeout, ...step } = first ?? {};
  const ips = [...(targetsOf(draft).ips ?? []), ...otherIps(targets)];
  return {
    ...kept,
    ...text("name", draft.name),
    targets: { ...targetsOf(draft), ...(ips.length > 0 && { ips }) },
    ...text("account", draft.account),
    steps: [{ ...step, script: draft.script, language: draft.language, ...(args.length > 0 && { args }), ...text("timeout", draft.timeout) }, ...others],
    ...((retry || next) && { then: { failed: { ...retry, ...next } } }),
    ...(draft.rolling.trim() !== "" && { rolling: { ...(rolling?.parallel != null && { parallel: rolling.parallel }), expression: draft.rolling.trim(), mode: draft.mode, ...text("stop_after_failures", draft.stopAfter) } }),
  };
}

/** Addresses of other networks, for which the form has no field. */
export function otherIps(targets: Targets | undefined) {
  return (targets?.ips ?? []).filter(({ cloud_id }) => cloud_id);
}

function argsText(args: readonly string[]): string {
  return args.map((arg) => `${arg}\n`).join("");
}

/** Returns the fields of a form for a job like another one. */
export function draftOf({ name, targets = {}, account, steps: [first], rolling, then }: JobRequest): JobDraft {
  const { hosts = [], ips = [], groups = [], tags, saved = [] } = targets;
  const failed = then?.failed;
  return {
    ...EMPTY,
    name: name ?? "",
    script: first?.script ?? "",
    language: first?.language ?? EMPTY.language,
    args: argsText(first?.args ?? []),
    hosts: [...hosts, ...ips.filter(({ cloud_id }) => !cloud_id).map(({ ip }) => ip)].join(" "),
    groups: groups.join(", "),
    tags: tags ?? "",
    saved: saved.join(", "),
    account: account ?? "",
    timeout: first?.timeout ?? "",
    rolling: rolling?.expression ?? "",
    mode: rolling?.mode ?? EMPTY.mode,
    stopAfter: rolling?.stop_after_failures ?? "",
    retryFailed: failed?.retry ? String(failed.retry.times) : "",
    ifFailed: failed?.job?.steps[0]?.script ?? "",
  };
}

/** Parts of a repeated job for which the form has no field. */
export type Hidden = "steps" | "env" | "secrets" | "sensitive" | "ips" | "retry";

export function hiddenOf({ steps: [first, ...others], targets, retry }: JobRequest): Hidden[] {
  const is: Record<Hidden, boolean> = {
    steps: others.length > 0,
    env: Object.keys(first?.env ?? {}).length > 0,
    secrets: Object.keys(first?.secrets ?? {}).length > 0,
    sensitive: [first, ...others].some((step) => step?.is_param_sensitive),
    ips: otherIps(targets).length > 0,
    retry: retry != null,
  };
  return (Object.keys(is) as Hidden[]).filter((each) => is[each]);
}

/** Reads tags such as `env=prod, canary`, between commas. A tag without a value has an empty one. */
export function readTags(text: string): Record<string, string> {
  const tags: Record<string, string> = {};
  for (const word of readNames(text)) {
    const at = word.indexOf("=");
    tags[at < 0 ? word : word.slice(0, at)] = at < 0 ? "" : word.slice(at + 1);
  }
  return tags;
}

export function tagsText(tags: Readonly<Record<string, string>> = {}): string {
  return Object.entries(tags).map(([name, value]) => (value === "" ? name : `${name}=${value}`)).join(", ");
}

/** Returns the names that a text contains, between commas or line breaks. */
export function readNames(text: string): string[] {
  return text.split(/[,\n]/).map((name) => name.trim()).filter((name) => name !== "");
}

/** Paths in the request, and the fields that they are about. */
const PATHS: readonly [RegExp, keyof JobDraft][] = [
  [/^steps\[0\]\.script\b/, "script"],
  [/^steps\[0\]\.language\b/, "language"],
  [/^steps\[0\]\.args\b/, "args"],
  [/^steps\[0\]\.timeout\b/, "timeout"],
  [/^targets(\.(hosts|ips)\b|$)/, "hosts"],
  [/^targets\.groups\b/, "groups"],
  [/^targets\.tags$/, "tags"],
  [/^targets\.saved\b/, "saved"],
  [/^account$/, "account"],
  [/^name$/, "name"],
  [/^rolling\.stop_after_failures$/, "stopAfter"],
  [/^rolling\b/, "rolling"],
  [/^then\.failed\.retry\b/, "retryFailed"],
  [/^then\.failed\.job\b/, "ifFailed"],
];

/** Splits the server's mistakes, a line each with its path, by field. */
export function mistakesOf(text: string): { fields: Partial<Record<keyof JobDraft, string>>; others: string[] } {
  const fields: Partial<Record<keyof JobDraft, string>> = {};
  const others: string[] = [];
  for (const line of text.split("\n").filter((each) => each !== "")) {
    const [, path = "", said = ""] = /^([\w.[\]]+): (.*)$/.exec(line) ?? [];
    const [, field] = PATHS.find(([of]) => of.test(path)) ?? [];
    if (field === undefined) others.push(line);
    else fields[field] = fields[field] === undefined ? said : `${fields[field]}\n${said}`;
  }
  return { fields, others };
}
