import { matchesPattern } from './patterns.ts'

/** A list of models (`{"data":[{"id":…}]}`) less those that a key may not use; the bytes themselves where it is no such list. */
export function filterModelList(body: Buffer, allowed: readonly string[]): Buffer {
  try {
    const list: unknown = JSON.parse(body.toString('utf8'))
    if (typeof list !== 'object' || list === null || !('data' in list) || !Array.isArray(list.data))
      return body
    const data = list.data.filter((model: unknown) => {
      return (
        typeof model === 'object' &&
        model !== null &&
        'id' in model &&
        matchesPattern(allowed, String(model.id))
      )
    })
    return Buffer.from(JSON.stringify({ ...list, data }))
  } catch {
    return body
  }
}
