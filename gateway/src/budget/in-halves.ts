import { isDataFault } from './statement.ts'

/**
 * Sends `items` in one statement. Where that fails over their data, which no repetition mends, sends their halves,
 * until the one that is at fault stands alone and goes to `refuse`: it holds up no other. Throws any other error of
 * `send`; some may have been sent by then.
 */
export async function sendInHalves<Item>(
  items: readonly Item[],
  send: (items: readonly Item[]) => Promise<void>,
  refuse: (item: Item, error: unknown) => void,
): Promise<void> {
  try {
    await send(items)
  } catch (error) {
    if (!isDataFault(error)) throw error
    const [only] = items
    if (only === undefined) throw error
    if (items.length === 1) return refuse(only, error)
    const middle = Math.ceil(items.length / 2)
    await sendInHalves(items.slice(0, middle), send, refuse)
    await sendInHalves(items.slice(middle), send, refuse)
  }
}
