/** Values in their order, each perhaps made when it is looked at. An array is one. */
export interface List<T> extends Iterable<T> {
  /** Their number. */
  readonly length: number
  /** The value at a place from 0 on, or undefined behind the last. */
  at(index: number): T | undefined
}

/** Values that are held together. */
const TOGETHER = 32

/**
 * JSON values of a list that may be long. They are held as bytes, which take a fraction of what objects do, and made again
 * when they are looked at: in order costs least, also in order at two places not far apart.
 */
export class PackedList<T> implements List<T> {
  readonly #packed: Uint8Array[] = []
  #rest: T[] = []
  /** Those that were looked at last, and their places: an even one and an odd one. */
  readonly #places = [-1, -1]
  readonly #looked: (readonly T[])[] = [[], []]

  /** Their number. */
  get length(): number {
    return this.#packed.length * TOGETHER + this.#rest.length
  }

  /** Adds a value. It must not be changed any more. */
  push(value: T): void {
    this.#rest.push(value)
    if (this.#rest.length < TOGETHER) return
    this.#packed.push(new TextEncoder().encode(JSON.stringify(this.#rest)))
    this.#rest = []
  }

  /** The value at a place from 0 on, or undefined behind the last. */
  at(index: number): T | undefined {
    const place = Math.floor(index / TOGETHER)
    // The last ones are not packed yet.
    if (place >= this.#packed.length) return this.#together(place)[index % TOGETHER]
    const slot = place % 2
    if (place !== this.#places[slot]) {
      this.#places[slot] = place
      this.#looked[slot] = this.#together(place)
    }
    return this.#looked[slot]?.[index % TOGETHER]
  }

  /** All of them, in order. */
  *[Symbol.iterator](): Generator<T, void> {
    for (let place = 0; place <= this.#packed.length; place++) yield* this.#together(place)
  }

  /** In a text of JSON it is an array. */
  toJSON(): T[] {
    return [...this]
  }

  #together(place: number): readonly T[] {
    const packed = this.#packed[place]
    if (packed) return JSON.parse(new TextDecoder().decode(packed))
    return place === this.#packed.length ? this.#rest : []
  }
}

/** The same list with something else made of each value, whenever it is looked at. */
export function mapped<T, U>(list: List<T>, make: (value: T, index: number) => U): List<U> {
  return {
    get length() {
      return list.length
    },
    at(index) {
      const value = list.at(index)
      return value === undefined ? undefined : make(value, index)
    },
    *[Symbol.iterator]() {
      for (const [index, value] of indexed(list)) yield make(value, index)
    },
  }
}

/** Values with their places, from 0. */
export function* indexed<T>(values: Iterable<T>): Generator<[index: number, value: T], void> {
  let index = 0
  for (const value of values) yield [index++, value]
}
