/**
 * A value at hand, or to come. Who asks a store in this process gets it at once: the data path waits only where there is
 * something to wait for.
 */
export type Awaitable<T> = T | Promise<T>

/** Applies `next` to the value, at once when it is at hand. A failure throws or rejects accordingly. */
export function after<T, U>(value: Awaitable<T>, next: (value: T) => Awaitable<U>): Awaitable<U> {
  return value instanceof Promise ? value.then(next) : next(value)
}
