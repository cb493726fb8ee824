import { type Finding, fail, ok } from './finding.ts'

/** The first release with argon2 in node:crypto, and with type stripping that needs no flag. */
const least = [24, 7] as const

export function checkNode(version: string = process.versions.node): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > least[0] || (major === least[0] && minor >= least[1])) return ok('node', `Node.js ${version}`)
  return fail(
    'node',
    `Node.js ${version} is too old`,
    `Use ${least.join('.')} or newer. In the checkout, npm ci installs one and npm start uses it.`,
  )
}
