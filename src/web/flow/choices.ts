/** The number of a device among two others that no device shows, in an order that says nothing. */
export function choicesFor(number: string, taken: readonly string[], random: (below: number) => number): string[] {
  const numbers = new Set([number])
  while (numbers.size < 3) {
    const made = String(random(1_000_000)).padStart(6, '0')
    if (!taken.includes(made)) numbers.add(made)
  }
  const left = [...numbers]
  const shuffled: string[] = []
  while (left.length > 0) shuffled.push(...left.splice(random(left.length), 1))
  return shuffled
}

/** A whole number from 0 to below a bound, each as likely: WebCrypto's bytes, without the remainder that would not fit. */
export function randomBelow(bound: number): number {
  const fits = Math.floor(2 ** 32 / bound) * bound
  for (;;) {
    const [value = 0] = crypto.getRandomValues(new Uint32Array(1))
    if (value < fits) return value % bound
  }
}
