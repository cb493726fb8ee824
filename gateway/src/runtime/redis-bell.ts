import { type DeploymentId, errorFields, type Log } from '@latchkey/shared'
import type { ChangeBell } from '@latchkey/vault'
import type { RedisSetting } from '../config.ts'
import { readAuthority } from './authority-file.ts'
import type { RedisHandle } from './redis.ts'

type Client = RedisHandle['client']

const commandTimeoutMs = 1_000
/** How often a subscription that stays silent is asked whether it is still there. */
const askEveryMs = 5_000
const askDeadlineMs = 2_000

/**
 * Redis pub/sub as a change bell: rings on `shared`, hears on a connection of its own. Plain PUBLISH reaches every node
 * of a cluster. While Redis is away nobody hears anything, and nothing waits for it.
 */
export function redisBell(
  setting: RedisSetting,
  shared: RedisHandle,
  deployment: DeploymentId,
  log: Log,
): ChangeBell {
  const channel = `latchkey:${deployment}:changes`
  return {
    ring() {
      // What it would have told is learned from NOTIFY or the poll.
      shared.client.publish(channel, '').catch(() => undefined)
    },
    subscribe(heard) {
      const opening = open(setting, log).then(
        (redis) => {
          const stop = listen(redis.client, channel, heard)
          return () => {
            stop()
            redis.close()
          }
        },
        (error: unknown) => {
          log.warn('redis.bell_unheard', errorFields(error))
          return () => undefined
        },
      )
      return { close: async () => (await opening)() }
    },
  }
}

async function open({ connection, authorityFile }: RedisSetting, log: Log): Promise<RedisHandle> {
  const authority = authorityFile === null ? null : readAuthority('LATCHKEY_REDIS_CA', authorityFile)
  const { connectRedis } = await import('./redis.ts')
  return connectRedis(connection, { authority, commandTimeoutMs, connectionName: 'latchkey-changes' }, log)
}

/** Subscribes at every new connection, and again now and then: a connection that is dead says nothing, as a quiet one. */
function listen(client: Client, channel: string, heard: () => void): () => void {
  let asking = false
  const subscribe = async () => {
    if (asking || client.status !== 'ready') return
    asking = true
    const silent = setTimeout(() => client.disconnect(true), askDeadlineMs)
    try {
      await client.subscribe(channel)
    } catch {
      // The connection is gone; the next one is subscribed when it is there.
    } finally {
      clearTimeout(silent)
      asking = false
    }
  }
  const begin = () => void subscribe().then(heard)
  client.on('message', heard)
  client.on('ready', begin)
  begin()
  const timer = setInterval(() => void subscribe(), askEveryMs)
  timer.unref()
  return () => {
    clearInterval(timer)
    client.off('message', heard)
    client.off('ready', begin)
  }
}
