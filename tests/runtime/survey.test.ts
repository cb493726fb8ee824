import { expect, test } from 'vitest'
import { Survey } from '../../gateway/src/runtime/workers/survey.ts'

/** A survey of `names`, of whom those in `deaf` can't be asked, and what its question is called. */
function ask(survey: Survey<string>, names: readonly string[], deaf: readonly string[] = []) {
  let asked = 0
  const answers = survey.ask(
    new Map(
      names.map((name) => [
        name,
        (id: number) => {
          asked = id
          return !deaf.includes(name)
        },
      ]),
    ),
  )
  return { id: asked, answers }
}

test('whoever answers in time is heard, and the rest is not waited for longer than the deadline', async () => {
  const survey = new Survey<string>(20)
  const { id, answers } = ask(survey, ['one', 'two'])
  survey.answered('one', id, 1)
  expect([...(await answers)]).toEqual([['one', 1]])
  survey.answered('two', id, 2)
})

test('nobody waits for the dead, nor for those who can’t be asked', async () => {
  const survey = new Survey<string>(60_000)
  const { id, answers } = ask(survey, ['one', 'two', 'three'], ['three'])
  survey.gone('two')
  survey.answered('one', id, 1)
  expect([...(await answers)]).toEqual([['one', 1]])
  expect([...(await ask(survey, ['one'], ['one']).answers)]).toEqual([])
  expect([...(await ask(survey, []).answers)]).toEqual([])
})

test('what somebody said who has died meanwhile is not among the answers', async () => {
  const survey = new Survey<string>(60_000)
  const { id, answers } = ask(survey, ['one', 'two'])
  survey.answered('one', id, 1)
  survey.gone('one')
  survey.answered('two', id, 2)
  expect([...(await answers)]).toEqual([['two', 2]])
})

test('an answer to another question, or a second one, is not taken', async () => {
  const survey = new Survey<string>(60_000)
  const first = ask(survey, ['one', 'two'])
  const second = ask(survey, ['one'])
  survey.answered('one', first.id, 'first')
  survey.answered('one', first.id, 'again')
  survey.answered('one', second.id, 'second')
  survey.answered('two', first.id, 'two')
  expect([...(await first.answers)]).toEqual([
    ['one', 'first'],
    ['two', 'two'],
  ])
  expect([...(await second.answers)]).toEqual([['one', 'second']])
})
