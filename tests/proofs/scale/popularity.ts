/** How requests fall on keys: evenly, or so that the nth most popular key gets 1/n of what the first one gets. */
export type Spread = 'uniform' | 'zipf'

/** Some of all keys, which are numbered by their popularity from 0: from `first` on, each so many further. */
export interface Selection {
  readonly first: number
  readonly every: number
}

/** Which key a request is of. */
export interface Popularity {
  /** One of the selected keys. */
  pick(random: () => number): number
  /** The part of all requests that a key gets. */
  share(key: number): number
  /** The part of all requests that the selected keys get. */
  readonly selected: number
}

const everyKey: Selection = { first: 0, every: 1 }

export function popularityOf(
  spread: Spread,
  keys: number,
  { first, every }: Selection = everyKey,
): Popularity {
  const weight = (key: number) => (spread === 'zipf' ? 1 / (key + 1) : 1)
  const sums = new Float64Array(Math.ceil((keys - first) / every))
  let [total, selected] = [0, 0]
  for (let key = 0; key < keys; key++) {
    total += weight(key)
    if (key < first || (key - first) % every !== 0) continue
    selected += weight(key)
    sums[(key - first) / every] = selected
  }
  return {
    share: (key) => weight(key) / total,
    selected: selected / total,
    pick(random) {
      const wanted = random() * selected
      let [low, high] = [0, sums.length - 1]
      while (low < high) {
        const middle = (low + high) >>> 1
        if ((sums[middle] ?? selected) < wanted) low = middle + 1
        else high = middle
      }
      return first + low * every
    },
  }
}
