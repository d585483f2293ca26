/** Chinese texts of report files. */
import type { en } from "./report.en.ts";

export const zh: Record<keyof typeof en, string> = {
  "report.about": "关于此文件",
  "report.written": "写于 {time}",
  "report.ended": "当时已结束",
  "report.running": "当时仍在运行",
  "report.omitted": "因文件大小限制，省略了 {count} 行日志。",
  "report.redacted": "以下名称的日志和参数已移除：{names}",
  "report.runs": "此文件中的运行",
};
