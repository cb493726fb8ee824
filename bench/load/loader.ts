import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { onCore } from '../cores.ts'
import { type LoadNews, type LoadTask, newsShape } from './task.ts'

/** A load process. */
export interface Loader {
  /** Hands a task over; `hear` is told each news at once. Resolves when all its requests have ended. */
  run(task: LoadTask, hear?: (news: LoadNews) => void): Promise<Done>
  stop(): Promise<void>
}

/** The last news of a task. */
export type Done = Extract<LoadNews, { kind: 'done' }>

const script = join(import.meta.dirname, 'load.ts')

/** Starts a load process on `core`. */
export function startLoader(core: string | null): Loader {
  const [file = '', ...args] = onCore(core, [process.execPath, script])
  const child: ChildProcess = spawn(file, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  return {
    run: (task, hear = () => {}) =>
      new Promise((resolve, reject) => {
        const onExit = () => reject(new Error('the load process has ended'))
        const onMessage = (message: unknown) => {
          const news = newsShape.parse(message)
          hear(news)
          if (news.kind !== 'done') return
          child.off('message', onMessage).off('exit', onExit)
          resolve(news)
        }
        child.on('message', onMessage).once('exit', onExit).send(task)
      }),
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = once(child, 'exit')
      child.disconnect()
      await ended
    },
  }
}
