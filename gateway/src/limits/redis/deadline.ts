/** What `promise` comes to, if it does within `milliseconds`; else rejects. What it comes to later is dropped. */
export function within<Value>(milliseconds: number, promise: Promise<Value>): Promise<Value> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new Error(`no answer within ${milliseconds} ms`))
    // Where this process was held up itself, the answer may be here and unread: it is read before `late` runs.
    const timer = setTimeout(() => setImmediate(late), milliseconds)
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
