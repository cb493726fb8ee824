import fc from 'fast-check'

/** One of the many texts that spell a JSON value. */
export interface SpelledValue {
  readonly text: string
  /** Of an object or array, with the offset of each value in `text`, in UTF-16 units; null for other values. */
  readonly children: readonly SpelledChild[] | null
}

export interface SpelledChild {
  /** Null for an element of an array. */
  readonly name: string | null
  readonly text: string
  readonly start: number
}

const space = fc.string({ unit: fc.constantFrom(' ', '\n', '\r', '\t'), maxLength: 3 })
const shortEscapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '/': '\\/',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
}
/** Characters that a scanner could trip over, among any others. */
const character = fc.oneof(
  fc.constantFrom('"', '\\', '/', '{', '}', '[', ']', ',', ':', '\n', '\u0000', 'ü', '😀', '\u2028'),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }),
)

/** `text` as a JSON string in which each character is written plainly, or escaped in one of its ways. */
export function spelledString(text: string): fc.Arbitrary<string> {
  const pieces = [...text].map((piece) =>
    fc.constantFrom(
      ...new Set([
        JSON.stringify(piece).slice(1, -1),
        shortEscapes[piece] ?? escaped(piece).toLowerCase(),
        escaped(piece),
      ]),
    ),
  )
  return fc.tuple(...pieces).map((spelled) => `"${spelled.join('')}"`)
}

function escaped(piece: string): string {
  return piece
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0').toUpperCase()}`)
    .join('')
}

/** Any string, in any spelling. */
export const anySpelledString: fc.Arbitrary<string> = fc
  .array(character, { maxLength: 8 })
  .chain((characters) => spelledString(characters.join('')))

const scalar: fc.Arbitrary<string> = fc.oneof(
  anySpelledString,
  fc.constantFrom('0', '-1', '1.5e300', '12345678901234567890', 'true', 'false', 'null'),
)

/** An object with exactly these members, each a name and the text of a value. */
export function spelledObject(
  members: readonly (readonly [name: string, value: string])[],
): fc.Arbitrary<SpelledValue> {
  const names = fc.tuple(...members.map(([name]) => spelledString(name)))
  return fc.tuple(names, fc.array(space, { minLength: 2, maxLength: 20 })).map(([spelled, spaces]) => {
    const values = members.map(([name, text], index) => ({ name, text, spelled: spelled[index] ?? '' }))
    return write('{', '}', values, spaces)
  })
}

function write(
  open: string,
  close: string,
  values: readonly { readonly name: string | null; readonly text: string; readonly spelled: string }[],
  spaces: readonly string[],
): SpelledValue {
  let at = 0
  const gap = () => spaces[at++ % spaces.length] ?? ''
  const children: SpelledChild[] = []
  let text = gap() + open
  for (const [index, value] of values.entries()) {
    text += `${index === 0 ? '' : ','}${gap()}`
    if (value.name !== null) text += `${value.spelled}${gap()}:${gap()}`
    children.push({ name: value.name, text: value.text, start: text.length })
    text += value.text + gap()
  }
  return { text: `${text}${gap()}${close}${gap()}`, children }
}

/** Any JSON text: names repeat, white space and escapes stand wherever they may. */
export const spelledJson: fc.Arbitrary<SpelledValue> = fc.letrec<{ any: SpelledValue }>((tie) => ({
  any: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    scalar.map((text) => ({ text, children: null })),
    fc
      .tuple(fc.array(tie('any'), { maxLength: 4 }), fc.array(space, { minLength: 1, maxLength: 8 }))
      .map(([items, spaces]) =>
        write(
          '[',
          ']',
          items.map(({ text }) => ({ name: null, text: text.trim(), spelled: '' })),
          spaces,
        ),
      ),
    fc
      .array(fc.tuple(fc.constantFrom('model', 'usage', 'a', '', 'ü"\\'), tie('any')), { maxLength: 4 })
      .chain((members) => spelledObject(members.map(([name, value]) => [name, value.text.trim()]))),
  ),
})).any
