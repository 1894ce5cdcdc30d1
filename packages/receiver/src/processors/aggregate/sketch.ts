/**
 * Percentiles within 1 % without keeping the values: they are counted in buckets whose bounds grow by 2 %, so that the middle of a
 * bucket is at most 1 % away from whatever lies in it. Counts can be added in any order.
 * Source: DDSketch, https://arxiv.org/abs/1908.10693
 */

const RELATIVE_ERROR = 0.01;
const GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR);
const LOG_GAMMA = Math.log(GAMMA);
/** What is nearer to zero counts as zero. */
const SMALLEST = 1e-9;
const FIRST_INDEX = Math.ceil(Math.log(SMALLEST) / LOG_GAMMA);
/** Enough for 17 powers of ten on one side of zero. */
const MAX_BUCKETS = 2_048;

/**
 * How many values lie in each bucket; plain JSON. Buckets are numbered from 1 away from zero, those of negative values with
 * negative numbers, so that their order is that of the values; 0 is the bucket of zero.
 */
export type Sketch = Record<string, number>;

export function addToSketch(sketch: Sketch, value: number): void {
  const bucket = bucketOf(value);
  const count = sketch[bucket];
  sketch[bucket] = (count ?? 0) + 1;
  if (count === undefined && Object.keys(sketch).length > MAX_BUCKETS) joinNearestToZero(sketch);
}

/**
 * The value that `percentile` percent of all values are at most (nearest rank), within 1 %. null: there are none.
 * @param percentile above 0, at most 100
 */
export function percentileOf(sketch: Sketch, percentile: number): number | null {
  const buckets = Object.entries(sketch)
    .map(([bucket, count]) => [Number(bucket), count] as const)
    .sort(([left], [right]) => left - right);
  const total = buckets.reduce((sum, [, count]) => sum + count, 0);
  const rank = Math.max(1, Math.ceil((percentile / 100) * total));
  let seen = 0;
  for (const [bucket, count] of buckets) {
    seen += count;
    if (seen >= rank) return middleOf(bucket);
  }
  return null;
}

function bucketOf(value: number): number {
  const size = Math.abs(value);
  if (size < SMALLEST) return 0;
  return Math.sign(value) * (Math.ceil(Math.log(size) / LOG_GAMMA) - FIRST_INDEX + 1);
}

function middleOf(bucket: number): number {
  if (bucket === 0) return 0;
  return (Math.sign(bucket) * 2 * GAMMA ** (Math.abs(bucket) + FIRST_INDEX - 1)) / (GAMMA + 1);
}

/** Keeps the sketch small: what comes to count as zero is less than 10^-8 of the largest value. */
function joinNearestToZero(sketch: Sketch): void {
  let nearest = Number.POSITIVE_INFINITY;
  for (const name of Object.keys(sketch)) {
    const bucket = Number(name);
    if (bucket !== 0 && Math.abs(bucket) < Math.abs(nearest)) nearest = bucket;
  }
  sketch[0] = (sketch[0] ?? 0) + (sketch[nearest] ?? 0);
  delete sketch[nearest];
}
