/**
 * Writes a root as one HTML file that works without a server and without scripts, for mail and bug reports. Pure; all recorded text is
 * escaped, and the caller passes the labels.
 */
import type { LogLine, Root } from "../api/types.ts";
import { errorLine, linksOf } from "./errors.ts";
import { failures } from "./failures.ts";
import { preorder } from "./rollup.ts";
import { glyph, needsAttention } from "./state.ts";
import { brief, fieldText, visible, visibleLines } from "./text.ts";
import { layOut } from "./timeline.ts";
import { ancestors, type Tree } from "./tree.ts";

/** Maximum number of rows, because larger files can't be sent by mail. Failed processes are always included. */
const MOST_ROWS = 20_000;
const MOST_BARS = 5_000;
/** Maximum number of log lines. */
export const MOST_LINES = 20_000;
/** Maximum indentation depth. */
const MOST_DEPTH = 200;
const BAR = 14;

export interface SnapshotWords {
  language: string;
  state(state: string): string;
  duration(nanoseconds: number): string;
  time(timeUs: number): string;
  count(value: number): string;
  tree: string;
  timeline: string;
  logs: string;
  error: string;
  causedBy: string;
  unnamed: string;
  taken: string;
  /** Text about the omitted rows. */
  left(rows: number): string;
  leftBars(bars: number): string;
  leftLines: string;
  missingLines(lines: number): string;
}

export interface Snapshot {
  tree: Tree;
  root: Root;
  /** Sorted by time: all lines, or the newest. `missing` is the number of lines in between that the server did not keep. */
  logs: { lines: readonly LogLine[]; isCut: boolean; missing: number };
  nowUs: number;
}

export function snapshot({ tree, root, logs, nowUs }: Snapshot, words: SnapshotWords): string {
  const order = preorder(tree);
  const shown = chosen(tree, order);
  const title = html(root.title);
  const { cause } = failures(tree);
  const parts = [
    `<!doctype html><html lang="${words.language}"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"><title>${title}</title><style>${STYLE}</style>`,
    `<h1>${title}</h1><p>${state(root.state, words)}${root.started_us === null ? "" : ` · ${html(words.time(root.started_us))}`}${root.elapsed_ns === null ? "" : ` · ${html(words.duration(root.elapsed_ns))}`}</p>`,
    `<p class="dim">${html(words.taken)} ${html(words.time(nowUs))}</p>`,
  ];
  if (cause !== undefined) parts.push(failure(tree, cause, words));
  parts.push(`<h2>${html(words.tree)}</h2>`);
  if (shown.count < tree.size) parts.push(`<p class="dim">${html(words.left(tree.size - shown.count))}</p>`);
  rows(parts, tree, root, order, shown.marks, nowUs, words);
  parts.push(`<h2>${html(words.timeline)}</h2>`, timeline(tree, root, order, nowUs, words));
  const notes = [logs.isCut && words.leftLines, logs.missing > 0 && words.missingLines(logs.missing)].filter((note) => note !== false).map((note) => `<p class="dim">${html(note)}</p>`);
  if (logs.lines.length > 0) parts.push(`<h2>${html(words.logs)}</h2>`, ...notes, lines(tree, logs.lines, words));
  return `${parts.join("\n")}\n`;
}

/** Selects the processes in the file: the first rows, and failed processes with their ancestors. */
function chosen(tree: Tree, order: Int32Array): { marks: Uint8Array; count: number } {
  const marks = new Uint8Array(tree.size);
  let count = 0;
  const take = (slot: number) => {
    if (marks[slot]) return;
    marks[slot] = 1;
    count += 1;
  };
  for (const slot of order) if (needsAttention(tree.stateOf(slot)) && count < MOST_ROWS) [slot, ...ancestors(tree, slot)].forEach(take);
  for (const slot of order) {
    if (count >= MOST_ROWS) break;
    const parent = tree.parentOf(slot);
    if (parent === undefined || marks[parent]) take(slot);
  }
  return { marks, count };
}

function failure(tree: Tree, slot: number, words: SnapshotWords): string {
  const process = tree.at(slot);
  const path = [slot, ...ancestors(tree, slot)].reverse().map((each) => html(tree.siteOf(each).name || words.unnamed));
  const [message = "", ...causes] = process.error ? linksOf(process.error) : [];
  const place = process.error?.source ? `\n${html(`${process.error.source.file}:${process.error.source.line}`)}` : "";
  const said = message === "" ? "" : `<pre><b>${lineHtml(message)}</b>${causes.map((cause) => `\n${html(words.causedBy)}: ${lineHtml(cause)}`).join("")}${place}</pre>`;
  return `<h2>${html(words.error)}</h2><p>${path.join(" › ")}</p>${said}`;
}

function rows(parts: string[], tree: Tree, root: Root, order: Int32Array, marks: Uint8Array, nowUs: number, words: SnapshotWords): void {
  const startUs = root.started_us ?? 0;
  const wholeUs = Math.max(1, Math.round((root.elapsed_ns ?? (nowUs - startUs) * 1000) / 1000));
  // Number of open elements by depth.
  const open: number[] = [];
  const depths = new Map<number, number>();
  for (const slot of order) {
    const parent = tree.parentOf(slot);
    const depth = parent === undefined ? 0 : (depths.get(parent) ?? 0) + 1;
    depths.set(slot, depth);
    if (!marks[slot]) continue;
    while (open.length > 0 && (open[open.length - 1] as number) >= Math.min(depth, MOST_DEPTH)) {
      open.pop();
      parts.push("</details>");
    }
    const process = tree.at(slot);
    const took = process.fold ? process.fold.total_ns : (process.elapsed_ns ?? (process.state === "running" && process.started_us !== null ? (nowUs - process.started_us) * 1000 : null));
    const left = process.started_us === null ? 0 : clamp(((process.started_us - startUs) / wholeUs) * 100);
    const width = took === null ? 0 : Math.max(0.3, Math.min(100 - left, (took / 1000 / wholeUs) * 100));
    const row = [
      `<span class="name">${state(process.state, words, true)} ${html(process.name || words.unnamed)}${process.fold ? ` ×${html(words.count(process.fold.count))}` : ""}</span>`,
      process.error ? `<span class="why">${html(errorLine(process.error))}</span>` : "",
      `<span class="took">${took === null ? "" : html(words.duration(took))}</span>`,
      `<span class="axis"><i class="${stateClass(process.state)}" style="left:${left.toFixed(2)}%;width:${width.toFixed(2)}%"></i></span>`,
    ].join("");
    const hasShown = depth < MOST_DEPTH && tree.childrenOf(slot).some((child) => marks[child]);
    const facts = Object.entries(process.fields).map(([name, value]) => `${html(name)}: ${html(fieldText(value))}`);
    const more = facts.length > 0 ? `<p class="dim fields">${facts.join(" · ")}</p>` : "";
    if (hasShown) {
      open.push(depth);
      parts.push(`<details open><summary>${row}</summary>${more}`);
    } else {
      parts.push(`<div class="leaf">${row}</div>${more}`);
    }
  }
  parts.push("</details>".repeat(open.length));
}

function timeline(tree: Tree, root: Root, order: Int32Array, nowUs: number, words: SnapshotWords): string {
  const originUs = root.started_us ?? 0;
  const layout = layOut(tree, order, originUs, ({ worker_id, thread }) => ({ key: `${worker_id} ${thread}`, label: thread ?? "" }));
  const endUs = Math.max(1, layout.lastUs, root.elapsed_ns === null ? nowUs - originUs : root.elapsed_ns / 1000);
  const rowsOf = layout.rowStarts.length - 1;
  const laneTop = new Map<number, number>();
  const labels: string[] = [];
  let top = 0;
  for (const lane of layout.lanes) {
    labels.push(`<text x="0" y="${top + BAR - 3}">${html(lane.label)}</text>`);
    top += BAR;
    for (let row = 0; row < lane.rows; row += 1) {
      laneTop.set(lane.firstRow + row, top);
      top += BAR;
    }
  }
  const bars: string[] = [];
  for (let row = 0; row < rowsOf && bars.length < MOST_BARS; row += 1) {
    for (let bar = layout.rowStarts[row] as number; bar < (layout.rowStarts[row + 1] as number) && bars.length < MOST_BARS; bar += 1) {
      const slot = layout.slots[bar] as number;
      const from = layout.starts[bar] as number;
      const to = Math.min(endUs, layout.ends[bar] as number);
      const what = `${tree.siteOf(slot).name || words.unnamed} · ${words.state(tree.stateOf(slot))} · ${words.duration(Math.max(0, to - from) * 1000)}`;
      bars.push(`<rect class="${stateClass(tree.stateOf(slot))}" x="${((from / endUs) * 1000).toFixed(2)}" y="${laneTop.get(row) ?? 0}" width="${Math.max(0.6, ((to - from) / endUs) * 1000).toFixed(2)}" height="${BAR - 3}"><title>${html(what)}</title></rect>`);
    }
  }
  const left = layout.slots.length - bars.length;
  const note = left > 0 ? `<p class="dim">${html(words.leftBars(left))}</p>` : "";
  return `${note}<svg viewBox="0 0 1000 ${Math.max(BAR, top)}" role="img" aria-label="${html(words.timeline)}">${labels.join("")}${bars.join("")}</svg>`;
}

function lines(tree: Tree, logs: readonly LogLine[], words: SnapshotWords): string {
  const all = logs.map((line) => {
    const slot = tree.find(line.process_id);
    const who = slot === undefined ? "" : tree.siteOf(slot).name;
    return `<tr class="${/^(error|warn)$/.test(line.level) ? line.level : "log"}"><td>${html(words.time(line.time_us))}<td>${html(line.level)}<td>${html(who)}<td>${lineHtml(line.message)}`;
  });
  return `<table>${all.join("\n")}</table>`;
}

function state(of: string, words: SnapshotWords, short = false): string {
  return `<b class="${stateClass(of)}" title="${html(words.state(of))}">${glyph(of)}${short ? "" : ` ${html(words.state(of))}`}</b>`;
}

/** Only known states become class names. */
function stateClass(of: string): string {
  return /^(running|succeeded|failed|lost)$/.test(of) ? of : "other";
}

function clamp(percent: number): number {
  return Math.min(100, Math.max(0, percent));
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

function html(text: string): string {
  return visible(brief(text)).replace(/[&<>"']/g, (character) => ENTITIES[character] as string);
}

function lineHtml(text: string): string {
  return visibleLines(brief(text)).replace(/[&<>"']/g, (character) => ENTITIES[character] as string);
}

const STYLE =
  "body{font:13px/1.5 system-ui,sans-serif;max-width:1200px;margin:1em auto;padding:0 1em}h1{font-size:18px}h2{font-size:14px;margin:1.5em 0 .3em}" +
  ".dim{color:#8a8f96}details details,details>.leaf,details>.fields{margin-left:1.2em}summary,.leaf{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,1fr) 7em 14em;gap:.8em;align-items:center}" +
  ".leaf{padding-left:.2em}.name,.why{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}.fields{margin:0}.why,b.failed,tr.error{color:#d0453c}b.lost,tr.warn{color:#a77a1f}.took{text-align:right;font-family:monospace}" +
  ".axis{position:relative;height:8px}.axis i{position:absolute;top:0;height:8px;background:#86958b;border-radius:2px}i.failed{background:#d9534a!important}i.running{background:#5e90e6!important}i.lost{background:#b27d1c!important}" +
  "pre{white-space:pre-wrap;overflow-wrap:anywhere;border-left:3px solid #d0453c;padding-left:.8em}svg{width:100%;font:10px sans-serif;fill:#86958b}rect.failed{fill:#d9534a}rect.running{fill:#5e90e6}rect.lost{fill:#b27d1c}" +
  "table{border-collapse:collapse;font-family:monospace;font-size:12px}td{padding:0 .8em 0 0;vertical-align:top;white-space:pre-wrap;overflow-wrap:anywhere}td:first-child{white-space:nowrap}";
