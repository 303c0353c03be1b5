import { HEAD_ROOM_BYTES } from './outbox.ts'

/** Content that is gathered, and that which is sealed meanwhile: two buffers, which change places. Nothing is allocated for a frame. */
export class ContentBuffer {
  #gathered: Uint8Array
  #other: Uint8Array
  #filled = 0

  /** `bytes` is the most that it holds: what one frame takes. */
  constructor(bytes: number) {
    const roomy = () => new Uint8Array(HEAD_ROOM_BYTES + bytes).subarray(HEAD_ROOM_BYTES)
    this.#gathered = roomy()
    this.#other = roomy()
  }

  get filled(): number {
    return this.#filled
  }

  get isFull(): boolean {
    return this.#filled === this.#gathered.length
  }

  /** Takes the beginning of a piece, as much as there is room for, and returns how much. */
  add(piece: Uint8Array): number {
    const take = Math.min(this.#gathered.length - this.#filled, piece.length)
    this.#gathered.set(piece.subarray(0, take), this.#filled)
    this.#filled += take
    return take
  }

  /** The first so many bytes, which stay until the next call. HEAD_ROOM_BYTES in front of them are free. */
  take(length: number): Uint8Array {
    const [gathered, free] = [this.#gathered, this.#other]
    if (length < this.#filled) free.set(gathered.subarray(length, this.#filled))
    this.#gathered = free
    this.#other = gathered
    this.#filled -= length
    return gathered.subarray(0, length)
  }

  wipe(): void {
    this.#gathered.fill(0)
    this.#other.fill(0)
  }
}
