/** Returns `length` fresh random bytes. The array belongs to the caller, who may overwrite it. */
export type RandomBytes = (length: number) => Uint8Array

/** Draws exactly `length` bytes. @throws RangeError if the source returns another number of bytes */
export function drawBytes(random: RandomBytes, length: number): Uint8Array {
  const bytes = random(length)
  if (bytes.length !== length) throw new RangeError('the random source returned a wrong number of bytes')
  return bytes
}

/**
 * The secret byte arrays of one run, so that every way out can overwrite them all. Best effort: strings and big integers
 * inside the libraries, and copies made by the JavaScript engine, are out of reach.
 */
export class Secrets {
  readonly #held: Uint8Array[] = []

  /** Takes over `bytes` and returns it: the array itself is zeroed by `wipe`. */
  hold(bytes: Uint8Array): Uint8Array {
    this.#held.push(bytes)
    return bytes
  }

  /** Draws and holds exactly `length` bytes. @throws RangeError if the source returns another number of bytes */
  draw(random: RandomBytes, length: number): Uint8Array {
    return drawBytes((count) => this.hold(random(count)), length)
  }

  /** Overwrites everything held with zeros and lets go of it. */
  wipe(): void {
    for (const bytes of this.#held.splice(0)) bytes.fill(0)
  }
}
