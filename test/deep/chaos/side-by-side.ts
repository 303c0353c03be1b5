/** Keeps so many runs under way until `next` gives no more. */
export async function sideBySide(count: number, next: () => Promise<void> | undefined): Promise<void> {
  const lane = async () => {
    for (let run = next(); run; run = next()) await run
  }
  await Promise.all(Array.from({ length: count }, lane))
}
