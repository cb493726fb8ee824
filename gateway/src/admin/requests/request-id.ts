import { isUuid, LatchkeyError, type RequestId } from '@latchkey/shared'

/** The id of a request in a path. Throws `not_found` for what can be none. */
export function readRequestId(text: string): RequestId {
  const id = text.toLowerCase()
  if (isRequestId(id)) return id
  throw new LatchkeyError('not_found', { message: 'There is no request of this id.', param: 'id' })
}

function isRequestId(text: string): text is RequestId {
  return isUuid(text)
}
