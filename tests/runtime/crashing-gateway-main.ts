// A gateway in which something fails that nobody catches: for tests of what it does on its way out.
import { serve } from '../../gateway/src/main.ts'

await serve(process.env)
function forgetToCatch(): never {
  throw new Error('it broke with sk-canary-0123456789 in its hands')
}
setImmediate(forgetToCatch)
