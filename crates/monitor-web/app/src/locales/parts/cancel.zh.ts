/** 简体中文：取消。 */
import type { en } from "./cancel.en.ts";

export const zh: Record<keyof typeof en, string> = {
  "cancel.ask.root": "取消此运行？",
  "cancel.ask.process": "取消此过程及其下的所有过程？",
  "cancel.meant": "将取消 {count} 个过程。",
  "cancel.nothing": "其中已没有正在运行的过程。",
  "cancel.told": "将通知 {count} 个工作进程",
  "cancel.mute": "{count} 个工作进程无法通知：其中的过程会继续运行",
  "cancel.pending": "其中 {count} 个尚未开始；在队列中等待的任务会留在队列里。",
  "cancel.how": "各程序自行停止能停止的工作，不会强制终止；`monitor run` 的命令会收到 SIGTERM，之后是 SIGKILL。",
  "cancel.do": "取消 {count} 个过程",
  "cancel.not": "继续运行",
  "cancel.waits": "已通知。正在等待过程结束，最多 10 秒……",
  "cancel.ended": "已结束 {count} 个过程。",
  "cancel.goes-on": "{count} 个过程仍在运行",
  "cancel.more": "还有 {count} 个",
  "cancel.close": "关闭",
  "cancel.why.ok": "已通知，尚未结束",
  "cancel.why.error": "取消失败",
  "cancel.why.refused": "不允许取消",
  "cancel.why.unsupported": "不接受命令",
  "cancel.why.unanswered": "无应答",
  "cancel.why.waiting": "尚未应答",
  "cancel.why.gone": "已退出或失联",
  "cancel.why.pending": "尚未开始",
  "cancel.why.nobody": "未通知：不知道由哪个工作进程运行",
};
