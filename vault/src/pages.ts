interface Row {
  readonly id: string
}

/**
 * Walks a table in the order of its ids, a page at a time. `next` reads the rows after an id, as many as a page
 * holds; rows that whoever walks has changed, so that they are no longer among those sought, do not disturb it.
 */
export async function* pagesById<Found extends Row>(
  next: (after: Found['id'] | undefined) => Promise<readonly Found[]>,
): AsyncGenerator<readonly Found[], void, undefined> {
  let after: Found['id'] | undefined
  for (;;) {
    const rows = await next(after)
    after = rows.at(-1)?.id
    if (after === undefined) return
    yield rows
  }
}
