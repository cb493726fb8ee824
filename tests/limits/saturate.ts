import type { Bucket } from '../../gateway/src/limits/bucket.ts'

/** How many are taken of a bucket, one by one, when all that is there is taken in each millisecond until `endsAt`. */
export function admittedUntil(bucket: Bucket, endsAt: number): number {
  let count = 0
  for (let now = 0; now <= endsAt; now++) {
    while (bucket.wait(1, now) === 0) {
      bucket.take(1, now)
      count += 1
    }
  }
  return count
}
