/** The file that contains this page: its description, and its blocks of compressed data. */

/** Content of the block `report`. */
export interface File {
  /** The version of the product that wrote the file. */
  version: string;
  written_us: number;
  runs: readonly { root_id: string; /** Log lines left out for the size of the file. */ omitted_lines: number }[];
  /** True if the file opens with the comparison of its first two runs. */
  is_comparison: boolean;
  /** Names whose logs and arguments were left out, as globs. */
  redacted: readonly string[];
}

export function textOf(block: string): string {
  return document.getElementById(block)?.textContent ?? "";
}

export const file = JSON.parse(textOf("report")) as File;
