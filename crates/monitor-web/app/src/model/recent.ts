/** Cache that keeps all values used in the last round, and a limited number of others. */
export class Recent<Value> {
  private readonly kept = new Map<string, { value: Value; round: number }>();
  private round = 0;

  constructor(
    private readonly most: number,
    private readonly drop: (value: Value) => void,
  ) {}

  get size(): number {
    return this.kept.size;
  }

  /** Starts a round; values that the last one did not use may be dropped. */
  begin(): void {
    if (this.kept.size > this.most) this.forget(({ round }) => round < this.round);
    this.round += 1;
  }

  get(key: string): Value | undefined {
    const known = this.kept.get(key);
    if (known) known.round = this.round;
    return known?.value;
  }

  set(key: string, value: Value): void {
    this.kept.set(key, { value, round: this.round });
  }

  clear(): void {
    this.forget(() => true);
  }

  private forget(isMeant: (kept: { round: number }) => boolean): void {
    for (const [key, kept] of this.kept) {
      if (!isMeant(kept)) continue;
      this.kept.delete(key);
      this.drop(kept.value);
    }
  }
}
