/** The share of the time that making it anew may take while what it is made of keeps changing. */
const SHARE = 1 / 8;

/**
 * A value made of something that changes. Where making it takes long it may be a moment behind; `later` is then told in how
 * many milliseconds to ask again.
 */
export class Derived<Value> {
  private made: { settings: string; version: number; value: Value; atMs: number; tookMs: number } | null = null;

  constructor(
    private readonly later: (ms: number) => void,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  /** Always anew when `settings` change; when `version` does, as often as its share of the time allows. */
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
