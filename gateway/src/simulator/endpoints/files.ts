import { type Answer, jsonAnswer, type Piece } from '../answer.ts'
import type { Call, Endpoint } from '../endpoint.ts'
import { badField } from '../fields.ts'
import type { Form } from '../multipart.ts'
import { Shelf, unknownObject } from '../shelf.ts'

/** A file's description. Its content is not kept. */
export interface StoredFile {
  readonly id: string
  readonly object: 'file'
  readonly bytes: number
  readonly created_at: number
  readonly expires_at: null
  readonly filename: string
  readonly purpose: string
  readonly status: 'processed'
}

/** https://platform.openai.com/docs/api-reference/files */
export function fileEndpoints(): readonly Endpoint[] {
  const files = new Shelf<StoredFile>()
  const one = (answer: (file: StoredFile) => Answer) => (call: Call) => {
    const file = files.get(call.pathId)
    return file === undefined ? unknownObject('file') : answer(file)
  }
  return [
    {
      method: 'POST',
      path: '/files',
      takes: 'form',
      answer: (call, form) => {
        const file = describe(call, form)
        files.put(file)
        return jsonAnswer(file)
      },
    },
    { method: 'GET', path: '/files', takes: 'nothing', answer: (call) => files.page(call) },
    { method: 'GET', path: '/files/{id}', takes: 'nothing', answer: one((file) => jsonAnswer(file)) },
    { method: 'GET', path: '/files/{id}/content', takes: 'nothing', answer: one(contentOf) },
    {
      method: 'DELETE',
      path: '/files/{id}',
      takes: 'nothing',
      answer: one(({ id }) => jsonAnswer({ id, object: 'file', deleted: files.delete(id) })),
    },
  ]
}

function describe(call: Call, form: Form): StoredFile {
  const file = form.files.find(({ field }) => field === 'file')
  if (file === undefined) throw badField('file', 'is required')
  const purpose = form.fields.get('purpose')
  if (!purpose) throw badField('purpose', 'is required')
  return {
    id: `file-${call.id}`,
    object: 'file',
    bytes: file.bytes,
    created_at: call.createdAt,
    expires_at: null,
    filename: file.filename,
    purpose,
    status: 'processed',
  }
}

const filler = Buffer.alloc(64 * 1024, 'simulated file content\n')

/** As many bytes as were uploaded, but not the same ones. */
function contentOf(file: StoredFile): Answer {
  return {
    kind: 'pieces',
    contentType: 'application/octet-stream',
    pieces: contentPieces(file.bytes),
    length: file.bytes,
    usage: null,
  }
}

function* contentPieces(bytes: number): Generator<Piece, void, undefined> {
  for (let sent = 0; sent < bytes; sent += filler.length)
    yield { data: filler.subarray(0, Math.min(filler.length, bytes - sent)), outputTokens: 0, reports: false }
}
