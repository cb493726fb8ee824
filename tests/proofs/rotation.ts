// That the keyring can be rotated under load, with one process stopped and another killed in the middle, and no request is
// refused for it. `npm run prove-rotation`, some minute.
import { end } from './end.ts'
import { rotateLive } from './rotation/rotate-live.ts'

const { requests, violations } = await rotateLive((text) => process.stderr.write(`${text}\n`))
process.stdout.write(`${requests} requests, ${violations.length === 0 ? 'all served: holds' : 'VIOLATED'}\n`)
for (const violation of violations.slice(0, 20)) process.stderr.write(`${violation}\n`)
end(violations.length > 0 ? 1 : 0)
