/** A port of which each call is made by `around`. */
export function eachCall<T extends object>(port: T, around: (call: () => unknown, method: PropertyKey) => unknown): T {
  return new Proxy(port, {
    get: (target, method) => {
      const member = Reflect.get(target, method, target)
      if (typeof member !== 'function') return member
      return (...args: unknown[]) => around(() => Reflect.apply(member, target, args), method)
    },
  })
}
