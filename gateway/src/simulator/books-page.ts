import { type Answer, errorAnswer, jsonAnswer } from './answer.ts'
import type { Books } from './books.ts'

/** Where the books are read and reset, beside the API. */
export const booksPath = '/books'

/** `GET`: the totals, with `?entries=1[&limit=n]` the latest entries too. `DELETE`: forget them. */
export function answerBooks(books: Books, method: string, query: URLSearchParams): Answer {
  if (method === 'DELETE') books.reset()
  else if (method !== 'GET' && method !== 'HEAD')
    return errorAnswer({
      status: 405,
      type: 'invalid_request_error',
      code: 'method_not_allowed',
      message: 'The books are read with GET and reset with DELETE.',
      headers: { allow: 'GET, HEAD, DELETE' },
    })
  if (query.get('entries') !== '1') return jsonAnswer(books.totals())
  const limit = query.get('limit') ?? '100'
  if (!/^\d{1,9}$/.test(limit))
    return errorAnswer({
      status: 400,
      type: 'invalid_request_error',
      code: 'invalid_request',
      message: 'limit takes a whole number.',
      param: 'limit',
    })
  return jsonAnswer({ ...books.totals(), entries: books.entries(Number(limit)) })
}
