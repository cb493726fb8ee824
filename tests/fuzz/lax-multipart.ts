/** Gives every model that a parser of forms might find in a body. */
export type LaxParser = (body: string, boundary: string) => readonly string[]

/** Readers of multipart forms as the world has them: each forgives something else. */
export const laxParsers: Readonly<Record<string, LaxParser>> = {
  'a parser that needs every CRLF': (body, boundary) =>
    parts(body.split(/(?<=^|\r\n)(?=--b0-7)/), boundary, /\r\n\r\n/, /\r\n$/, unfolded),
  'a parser that splits at the boundary wherever it stands': (body, boundary) =>
    parts(body.split(new RegExp(`(?=--${boundary})`)), boundary, /\r?\n\r?\n/, /\r?\n$/, unfolded),
  'a parser that takes bare line feeds': (body, boundary) =>
    parts(body.split(/(?<=^|\n)(?=--b0-7)/), boundary, /\r?\n\r?\n/, /\r?\n$/, unfolded),
  'a parser that takes bare carriage returns': (body, boundary) =>
    parts(body.split(/(?<=^|\n|\r)(?=--b0-7)/), boundary, /(?:\r\n|\r|\n){2}/, /[\r\n]+$/, unfolded),
  'a parser that unfolds no lines': (body, boundary) =>
    parts(body.split(new RegExp(`(?=--${boundary})`)), boundary, /\r?\n\r?\n/, /\r?\n$/, (head) => head),
  'a parser that stops at the closing boundary': (body, boundary) =>
    parts(
      (body.split(`--${boundary}--`)[0] ?? '').split(new RegExp(`(?=--${boundary})`)),
      boundary,
      /\r?\n\r?\n/,
      /\r?\n$/,
      unfolded,
    ),
}

function unfolded(head: string): string {
  return head.replace(/(?:\r\n|\r|\n)[ \t]+/g, ' ')
}

function parts(
  pieces: readonly string[],
  boundary: string,
  headEnd: RegExp,
  lastLineEnd: RegExp,
  unfold: (head: string) => string,
): readonly string[] {
  return pieces.flatMap((piece) => {
    if (!piece.startsWith(`--${boundary}`)) return []
    const [head = '', ...rest] = piece.split(headEnd)
    if (rest.length === 0) return []
    const value = piece.slice(head.length + (headEnd.exec(piece)?.[0].length ?? 0)).replace(lastLineEnd, '')
    return namesOf(unfold(head)).some(isModel) ? [value] : []
  })
}

/** Every name that some reading of the headers gives the part: first or last, escapes kept, dropped or ignored. */
function namesOf(head: string): readonly string[] {
  const dispositions = head.split(/\r\n|\r|\n/).filter((line) => /^\s*content-disposition\s*:/i.test(line))
  return dispositions.flatMap((line) => [
    ...names(line, /;\s*name\*?\s*=\s*(?:utf-8'')?"((?:[^"\\]|\\.)*)"/gi),
    // Filenames apart, since a name inside a quoted one is nobody's.
    ...names(
      line.replaceAll(/filename="(?:[^"\\]|\\.)*"/gi, ''),
      /;\s*name\*?\s*=\s*(?:utf-8'')?"([^"]*)"/gi,
    ),
    ...names(line.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""'), /;\s*name\*?\s*=\s*(?:utf-8'')?([^";\s]+)/gi),
  ])
}

function names(line: string, pattern: RegExp): readonly string[] {
  return [...line.matchAll(pattern)].map((match) => match[1] ?? '')
}

function isModel(name: string): boolean {
  return name.replaceAll('\\', '').trim().replace(/\[.*$/, '').toLowerCase() === 'model'
}
