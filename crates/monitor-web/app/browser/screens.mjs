/** Every screen with data, for checks that apply to all screens. All names are Chinese, unless `say` translates them. */
import { addHosts, JobAgent, startJob } from "./jobs.mjs";
import { alertOf, batchDay, batchTask, dayOf, newId, queueTask, server, Tree, Worker, yesterdayUs } from "./events.mjs";

const press = (key, ready) => async (page) => {
  await page.keyboard.press(key);
  await page.locator(ready).first().waitFor();
};

const find = (text) => async (page) => {
  await page.keyboard.press("Control+k");
  await page.locator(".palette input").fill(text);
  await page.waitForFunction((wanted) => [...document.querySelectorAll(".palette [role=option]")].every((li) => li.textContent.includes(wanted)), text);
  await page.locator(".palette [role=option]").first().waitFor();
};

const choose = async (page) => {
  await page.locator(".root[data-root] .check input").first().check();
  await page.locator(".checked-bar").waitFor();
};

/**
 * Returns all screens: address, an element that exists when the screen is loaded, and an action that prepares it.
 *
 * @returns {Promise<{ name: string, address: string, ready: string, act?: (page: import("playwright-core").Page) => Promise<void> }[]>}
 */
export async function screens(say = (text) => text) {
  const worker = await new Worker().online();
  // Other tests bring trees as well: only these are called so.
  const name = say(`导入订单 ${Date.now()}`);
  const tree = new Tree(name, { batch: say("批次一") });
  const stage = tree.start(say("解析"), tree.id, 100, { attachment: "inferred" });
  const lost = tree.start(say("无人认领"), tree.id, 300, { attachment: "unattached" });
  const row = tree.start(say("载入一行"), stage.id, 200, { fields: { [say("行")]: 7 } });
  const error = { type: "app::Error", message: say("载入失败"), chain: [say("查询失败"), say("没有此表")], source: { file: "src/db.rs", line: 88 } };
  const crowd = new Tree(say("批量导入"));
  const fold = crowd.fold(say("载入一行"), crowd.id, { count: 1240, failed: 3, durations: [[176, 1], [400, 300], [420, 500], [440, 399], [546, 40]] });
  const rows = Array.from({ length: 40 }, (_, index) => crowd.start(say("校验一行"), crowd.id, 10 + index * 20));
  const ends = rows.map((row, index) => crowd.end(row, 5 + index, index === 30 ? { message: say("第三十行不对") } : undefined));
  const night = new Tree(say("夜间汇总"));
  const nightly = [night.own];
  for (let part = 0; part < 4; part += 1) {
    const stage = night.start(say(`第 ${part + 1} 部分`), night.id, 100 + part * 60, { thread: say(`线程 ${part + 1}`) });
    nightly.push(stage);
    for (let step = 0; step < 12; step += 1) {
      const one = night.start(step % 3 ? say("读取") : say("汇总"), stage.id, 120 + part * 60 + step * 90, { thread: say(`线程 ${part + 1}`) });
      nightly.push(one, night.end(one, 60 + ((step * 37 + part * 11) % 40), part === 2 && step === 7 ? { message: say("校验和不符") } : undefined));
    }
    nightly.push(night.end(stage, 1150));
  }
  // An earlier night that went well, to compare with.
  const before = new Tree(say("夜间汇总"));
  before.startUs -= 1_000_000;
  const earlier = before.start(say("夜间汇总"), null, 0, { kind: "root" });
  before.own = earlier;
  const evening = [earlier];
  for (let part = 0; part < 4; part += 1) {
    const stage = before.start(say(`第 ${part + 1} 部分`), earlier.id, 100 + part * 60, { thread: say(`线程 ${part + 1}`) });
    const one = before.start(say("读取"), stage.id, 130 + part * 60);
    evening.push(stage, before.log(stage.id, 150, "info", say(`读取第 ${part + 1} 部分`)), one, before.end(one, 45), before.end(stage, 800));
  }
  await worker.send(...evening, before.end(earlier, 2000));
  for (let line = 0; line < 40; line += 1) nightly.push(night.log(night.id, 20 + line * 30, ["info", "debug", "warn", "error"][line % 7 === 3 ? 3 : line % 3], say(`第 ${line} 行：已读取 ${line * 31} 条`)));
  const publish = night.start(say("发布"), night.id, 9000);
  nightly.push(publish, night.end(publish, 700), night.end(night.own, 9800));
  await worker.send(...nightly);
  const running = new Tree(say("夜间构建"));
  await worker.send(tree.own, stage, row, lost, tree.end(row, 50, error), tree.end(stage, 400, error), tree.end(tree.own, 900, error), running.own);
  await worker.send(crowd.own, fold, ...rows, ...ends, crowd.end(crowd.own, 1500));
  const batch = say("夜间汇总任务").replaceAll(" ", "-");
  await worker.send(...batchTask(batch, say("负责人")));
  const agent = `browser-test-${newId()}`;
  const daily = ["导入订单", "金价", "备份", "搜索索引", "邮件", "报表", "清理"].map((task) => say(task).replaceAll(" ", "-"));
  await worker.sendAll(batchDay(agent, daily));
  const queue = say("邮件");
  const [mail, wrong, waiting] = ["报表", "导入订单", "备份"].map((task) => queueTask(say(task), queue));
  await worker.send(...mail.received(), ...mail.started(), ...mail.succeeded(7), ...wrong.received(), ...wrong.started(), ...wrong.failed(say("载入失败")), ...waiting.sent());
  const alert = await alertOf(batch);
  const host = await new JobAgent(`host-${newId()}`).connect();
  const bare = `host-${newId()}`;
  await addHosts([{ name: bare, ip: "10.0.3.17" }]);
  const job = await startJob([host.name, bare], { name: say("磁盘检查"), steps: [{ name: say("检查"), script: "#!/bin/sh\ndf\n" }] });
  const run = await host.begin();
  const said = `${say("载入失败")}\n`;
  await host.write(run, 0, said);
  await host.end(run, 104, { exit_code: 3, reason: say("载入失败"), output_bytes: Buffer.byteLength(said) });
  const named = encodeURIComponent(name);
  return [
    { name: "tasks", address: `${server}/tasks?name=${named}`, ready: `.root[data-root="${tree.rootId}"]` },
    { name: "nothing found", address: `${server}/tasks?name=${named}&batch=x`, ready: ".notice h2" },
    { name: "tree", address: tree.address, ready: ".panel .message" },
    { name: "fold", address: `${crowd.address}?group=1&process=${fold.id}`, ready: ".panel .histogram" },
    { name: "group", address: `${crowd.address}?group=1&process=~${rows[0].id}`, ready: ".panel .histogram" },
    { name: "filtered", address: `${crowd.address}?filter=${encodeURIComponent(say("三十"))}`, ready: '.node[data-state="failed"]' },
    { name: "tree by thread", address: `${night.address}?lanes=thread`, ready: ".node .lane-name" },
    { name: "timeline", address: `${night.address}?tab=timeline`, ready: ".stage canvas[data-window]" },
    { name: "timeline by thread", address: `${night.address}?tab=timeline&lanes=thread`, ready: ".stage canvas[data-window]" },
    { name: "runs", address: `${server}/tasks`, ready: ".root[data-root]" },
    { name: "names", address: `${server}/tasks?by=name`, ready: ".named[data-state]" },
    { name: "chosen tasks", address: `${server}/tasks?name=${named}`, ready: `.root[data-root="${tree.rootId}"]`, act: choose },
    { name: "logs", address: `${night.address}?tab=logs`, ready: ".log" },
    { name: "compare", address: `${night.address}?tab=compare`, ready: ".difference" },
    { name: "compare two trees", address: `${night.address}?tab=compare&view=tree`, ready: ".pair" },
    { name: "statistics", address: `${server}/tasks/statistics?range=1h&name=${encodeURIComponent(say("读取"))}`, ready: ".heat canvas" },
    { name: "queue", address: `${server}/tasks/queue?queue=${encodeURIComponent(queue)}`, ready: "tr[data-task-id]" },
    { name: "workers", address: `${server}/tasks/workers`, ready: "tr[data-worker]" },
    { name: "a worker", address: `${server}/tasks/workers/${worker.id}`, ready: "#worker-work" },
    { name: "batch tasks", address: `${server}/tasks/batch?q=${encodeURIComponent(batch)}`, ready: "tr[data-task]" },
    { name: "batch runs", address: `${server}/tasks/batch?tab=runs&task=${encodeURIComponent(batch)}`, ready: "tr[data-run]" },
    { name: "batch day", address: `${server}/tasks/batch?tab=day&agent=${agent}&day=${dayOf(yesterdayUs)}`, ready: ".day-row [data-at]" },
    { name: "a batch task", address: `${server}/tasks/batch?task=${encodeURIComponent(batch)}`, ready: "#batch-durations" },
    { name: "a new batch task", address: `${server}/tasks/batch?tab=edit`, ready: "#batch-name" },
    { name: "alerts", address: `${server}/tasks/alerts?tab=history`, ready: "tr[data-alert]" },
    { name: "an alert", address: `${server}/tasks/alerts?alert=${alert.id}`, ready: "#alert-notes" },
    { name: "rules of alerts", address: `${server}/tasks/alerts?tab=rules`, ready: "[data-rule]" },
    { name: "heartbeats", address: `${server}/tasks/alerts?tab=heartbeats`, ready: "tr[data-heartbeat], .notice pre" },
    { name: "hushes", address: `${server}/tasks/alerts?tab=hushes`, ready: ".filters input" },
    { name: "host jobs", address: `${server}/tasks/jobs`, ready: "tr[data-job]" },
    { name: "a host job", address: `${server}/tasks/jobs?job=${job.job_id}&host=${run.host}`, ready: ".host-panel .log-line" },
    { name: "a new host job", address: `${server}/tasks/jobs?tab=new`, ready: "#job-script" },
    { name: "hosts", address: `${server}/tasks/jobs?tab=hosts`, ready: "tr[data-managed]" },
    { name: "about", address: `${server}/tasks/about`, ready: ".about dl" },
    { name: "keys", address: `${server}/tasks?name=${named}`, ready: `.root[data-root="${tree.rootId}"]`, act: press("?", ".help") },
    { name: "palette", address: `${server}/tasks?name=${named}`, ready: `.root[data-root="${tree.rootId}"]`, act: find(name) },
    { name: "a running tree", address: `${running.address}?process=${running.id}`, ready: ".panel h2" },
  ];
}

/** The same names in English; the longest are replaced first. */
const ENGLISH = {
  磁盘检查: "disk check",
  金价: "gold prices",
  备份: "backup",
  搜索索引: "search index",
  邮件: "mail",
  报表: "report",
  清理: "clean up",
  第三十行不对: "row 30 is bad",
  导入订单: "import orders",
  批次一: "batch 1",
  解析: "parse",
  无人认领: "claimed by nobody",
  载入失败: "load failed",
  载入一行: "load row",
  查询失败: "query failed",
  没有此表: "no such table",
  批量导入: "bulk import",
  校验一行: "check row",
  夜间汇总任务: "nightly-summary",
  负责人: "ada",
  夜间汇总: "nightly summary",
  夜间构建: "nightly build",
  校验和不符: "checksum differs",
  读取第: "read part",
  已读取: "read",
  部分: "",
  线程: "thread",
  读取: "read",
  汇总: "sum up",
  发布: "publish",
  三十: "30",
  第: "part",
  行: "row",
  检查: "check",
  "：": ": ",
  条: "",
};

export function inEnglish(text) {
  return Object.entries(ENGLISH).reduce((said, [from, to]) => said.replaceAll(from, to), text).trim();
}
