/** Returns the time of day in µs. In a report it is fixed at the time of writing. */
export function timeOfDay(): number {
  return Date.now() * 1000;
}
