/** English texts of report files. */
export const en = {
  "report.about": "About this file",
  "report.written": "Written {time}",
  "report.ended": "had already ended",
  "report.running": "was still running",
  "report.omitted": "{count, plural, one {# log line was left out because of the size.} other {# log lines were left out because of the size.}}",
  "report.redacted": "Logs and arguments were removed for these names: {names}",
  "report.runs": "Runs in this file",
} as const;
