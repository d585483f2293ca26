/** Histogram of durations with the buckets of folds: bucket i counts durations from 1.04^i up to 1.04^(i+1) ns. */

const BASE = Math.log(1.04);

export type Histogram = readonly (readonly [bucket: number, count: number])[];

/** Summary of many durations, in nanoseconds. */
export interface Spread {
  count: number;
  total: number;
  min: number;
  max: number;
  p50: number;
  p95: number;
  p99: number;
}

export function bucketOf(nanoseconds: number): number {
  return nanoseconds < 1 ? 0 : Math.floor(Math.log(nanoseconds) / BASE);
}

/** Counts durations. They are not validated, because a few invalid values don't matter. */
export function histogramOf(durations: Iterable<number>): { histogram: Histogram; total: number; min: number; max: number } {
  const buckets = new Map<number, number>();
  let [total, min, max] = [0, Infinity, 0];
  for (const duration of durations) {
    const bucket = bucketOf(duration);
    buckets.set(bucket, (buckets.get(bucket) ?? 0) + 1);
    total += duration;
    min = Math.min(min, duration);
    max = Math.max(max, duration);
  }
  return { histogram: [...buckets].sort(([a], [b]) => a - b), total, min, max };
}

/** Returns a percentile, with the 4 % accuracy of a bucket; undefined if the histogram is empty. */
export function percentile(histogram: Histogram, part: number): number | undefined {
  const count = countOf(histogram);
  if (count === 0) return undefined;
  const rank = Math.ceil(part * count);
  let seen = 0;
  for (const [bucket, each] of histogram) {
    seen += each;
    // The middle of the bucket, because exact durations are unknown.
    if (seen >= rank) return Math.exp((bucket + 0.5) * BASE);
  }
  return undefined;
}

/** Returns a summary; undefined if the histogram is empty. Known exact values limit the estimates. */
export function spread(histogram: Histogram, known: { total: number; min: number | null; max: number | null }): Spread | undefined {
  const first = histogram[0]?.[0];
  const last = histogram[histogram.length - 1]?.[0];
  if (first === undefined || last === undefined) return undefined;
  const min = known.min ?? Math.exp(first * BASE);
  const max = known.max ?? Math.exp((last + 1) * BASE);
  const at = (part: number) => Math.min(max, Math.max(min, percentile(histogram, part) ?? 0));
  return { count: countOf(histogram), total: known.total, min, max, p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

export interface Bin {
  from: number;
  to: number;
  count: number;
}

/** Returns at most `most` bins of equal width on a logarithmic scale, from the first bucket to the last. */
export function bins(histogram: Histogram, most: number): Bin[] {
  const first = histogram[0]?.[0];
  const last = histogram[histogram.length - 1]?.[0];
  if (first === undefined || last === undefined) return [];
  const width = Math.max(1, Math.ceil((last - first + 1) / most));
  const made = Array.from({ length: Math.ceil((last - first + 1) / width) }, (_, index) => ({
    from: Math.exp((first + index * width) * BASE),
    to: Math.exp((first + (index + 1) * width) * BASE),
    count: 0,
  }));
  for (const [bucket, count] of histogram) {
    const bin = made[Math.floor((bucket - first) / width)];
    if (bin) bin.count += count;
  }
  return made;
}

function countOf(histogram: Histogram): number {
  return histogram.reduce((sum, [, count]) => sum + count, 0);
}
