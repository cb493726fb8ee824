import { z } from 'zod'

/** For a route whose path says it all: no body, or an empty object. */
export const noInput = z.strictObject({})
