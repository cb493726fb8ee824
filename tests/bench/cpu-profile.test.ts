import { expect, test } from 'vitest'
import { timeByFile, timeByPart } from '../../bench/cpu-profile.ts'

const frame = (id: number, functionName: string, url: string) => ({ id, callFrame: { functionName, url } })

const profile = {
  profile: {
    nodes: [
      frame(1, '(idle)', ''),
      frame(2, '(garbage collector)', ''),
      frame(3, 'send', 'file:///project/gateway/src/proxy/send.ts'),
      frame(4, 'attempt', 'file:///project/gateway/src/proxy/send.ts'),
      frame(5, 'dispatch', 'file:///project/node_modules/undici/lib/client.js'),
      frame(6, 'writev', ''),
    ],
    samples: [1, 2, 3, 4, 4, 5, 6],
    timeDeltas: [1000, 10, 20, 30, 40, 5, 7],
  },
}

test('time is summed by file and function, and time in which nothing ran is left out', () => {
  const [costliest, ...others] = timeByFile(profile, '/project/')
  expect(costliest).toEqual({
    file: 'gateway/src/proxy/send.ts',
    microseconds: 90,
    functions: [
      { name: 'attempt', microseconds: 70 },
      { name: 'send', microseconds: 20 },
    ],
  })
  expect(others.map(({ file }) => file)).toEqual(['(garbage collector)', 'writev', 'undici/lib/client.js'])
})

test('files are summed by folder, package and engine', () => {
  expect(timeByPart(timeByFile(profile, '/project/'))).toEqual([
    ['gateway/src/proxy', 90],
    ['(garbage collector)', 10],
    ['native', 7],
    ['undici', 5],
  ])
})
