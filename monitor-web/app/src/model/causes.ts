/** What runs failed by lately, as the strip above the list tells it. */

/** The longest part of a shape that every message of it has: what the list is searched for. */
export function searchOf(shape: string): string {
  const parts = shape.split(/[…\n]/).map((part) => part.trim());
  return parts.reduce((longest, part) => (part.length > longest.length ? part : longest), "");
}

/** The whole hour before a time: questions about the same hours have one answer to share. */
export function hourBefore(nowUs: number, hours: number): number {
  return (Math.floor(nowUs / 3.6e9) - hours) * 3.6e9;
}
