/** Maximum share of the time that recomputing may take while the input keeps changing. */
const SHARE = 1 / 8;

/**
 * A value that is computed from changing data. If computing takes long, the value may be outdated; `later` is then called with the delay in
 * milliseconds after which it should be requested again.
 */
export class Derived<Value> {
  private made: { settings: string; version: number; value: Value; atMs: number; tookMs: number } | null = null;

  constructor(
    private readonly later: (ms: number) => void,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  /** Recomputes the value whenever `settings` change; when `version` changes, only as often as `SHARE` allows. */
  get(settings: string, version: number, make: () => Value): Value {
    const { made } = this;
    const beginMs = this.nowMs();
    if (made && made.settings === settings) {
      if (made.version === version) return made.value;
      const waitMs = made.atMs + made.tookMs / SHARE - beginMs;
      if (waitMs > 0) {
        this.later(waitMs);
        return made.value;
      }
    }
    const value = make();
    const atMs = this.nowMs();
    this.made = { settings, version, value, atMs, tookMs: atMs - beginMs };
    return value;
  }
}
