import { expect, test } from 'vitest'
import { readOptions } from '../../bench/options.ts'

test('without options everything is measured in five rounds', () => {
  const options = readOptions([])
  expect(options).toMatchObject({ mode: 'compare', rounds: 5, writeDocs: false })
  expect(options?.targets).toContain('litellm')
  expect(options?.workloads).toContain('keys')
})

test('--help asks for nothing to be run', () => {
  expect(readOptions(['--help'])).toBeNull()
})

test.for([
  [['--only', 'bare,typo'], /typo/],
  [['--workloads', 'jsn'], /jsn/],
  [['--rounds', '0'], /--rounds/],
  [['--seconds', 'x'], /--seconds/],
  [['profiel'], /profiel/],
  [['--qick'], /qick/],
] as const)('a command line that can’t be meant is refused: %j', ([args, message]) => {
  expect(() => readOptions(args)).toThrow(message)
})
