/** Keeps so many runs under way until `next` gives no more. */
export async function sideBySide(count: number, next: () => Promise<void> | undefined): Promise<void> {
  const lane = async () => {
    for (let run = next(); run; run = next()) await run
  }
  await Promise.all(Array.from({ length: count }, lane))
}

/** Rejects when the work takes longer. */
export async function within<T>(limitMs: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${limitMs} ms: ${what}`)), limitMs)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}
