/** The time of day, in µs. In a report it stands still: nothing there goes on. */
export function timeOfDay(): number {
  return Date.now() * 1000;
}
