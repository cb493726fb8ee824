// What the benchmark's provider answers: bytes that are made once, in the shape of OpenAI's chat completions.

/** The answer to a request that does not stream, about 600 bytes with its head. */
export const jsonAnswer: Buffer = head(
  'application/json',
  JSON.stringify({
    id: 'chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT',
    object: 'chat.completion',
    created: 1741569952,
    model: 'gpt-4o-mini-2024-07-18',
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: 'An event loop waits for events and runs the code that was registered for each of them.',
          refusal: null,
        },
        logprobs: null,
        finish_reason: 'stop',
      },
    ],
    usage: {
      prompt_tokens: 310,
      completion_tokens: 18,
      total_tokens: 328,
      prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
      completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
    },
    service_tier: 'default',
  }),
)

/** The head of an event stream, which comes in chunks. */
export const streamHead =
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n'

/** One event with a piece of text, as a chunk. */
export function textEvent(content: string): string {
  return eventChunk(
    `{"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT","object":"chat.completion.chunk","created":1741569952,"model":"gpt-4o-mini-2024-07-18","service_tier":"default","choices":[{"index":0,"delta":{"content":"${content}"},"logprobs":null,"finish_reason":null}],"usage":null}`,
  )
}

/** How a stream ends: the reason, the usage where it was asked for, and the last chunk. */
export function streamEnd(events: number, withUsage: boolean): string {
  const shape = '"object":"chat.completion.chunk","created":1741569952,"model":"gpt-4o-mini-2024-07-18"'
  const stop = `{"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",${shape},"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}`
  const usage = `{"id":"chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",${shape},"choices":[],"usage":{"prompt_tokens":310,"completion_tokens":${events},"total_tokens":${310 + events},"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}}}`
  const parts = [stop, ...(withUsage ? [usage] : []), '[DONE]']
  return `${parts.map(eventChunk).join('')}0\r\n\r\n`
}

/** A stream of `events` pieces of text, whole. */
export function wholeStream(events: number, withUsage: boolean): Buffer {
  return Buffer.from(streamHead + textEvent(' event').repeat(events) + streamEnd(events, withUsage))
}

function eventChunk(data: string): string {
  const event = `data: ${data}\n\n`
  return `${Buffer.byteLength(event).toString(16)}\r\n${event}\r\n`
}

function head(type: string, body: string): Buffer {
  return Buffer.from(
    `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}
