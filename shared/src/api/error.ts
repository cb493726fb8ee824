import { z } from 'zod'

/** What the admin API answers to every request that it does not fulfil. `param` names the field at fault. */
export const errorWire = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    param: z.string().nullable(),
    details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).nullable(),
  }),
})
export type ErrorWire = z.infer<typeof errorWire>
