import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { compileFunction } from 'node:vm'
import nacl from 'tweetnacl'
import { build } from 'vite'
import { describe, expect, test } from 'vitest'
import { leftOut, UNUSED, without } from '../../src/web/build/left-out.ts'

describe('a module of the page', () => {
  test('comes without the members and the variables that are named, and is else as it was', () => {
    const code =
      'class A { one() { throw new Error("gone") } two() {} }\n' +
      'const b = { one() {}, two() {} }, one = heavy(), last = heavy()\nvar one = heavy()\nb.one.more = 1\nb.two = 2\n'
    expect(without(code, ['one'])).toBe(
      'class A {  two() {} }\nconst b = {  two() {} }, last = heavy()\n\n\nb.two = 2\n',
    )
    expect(without(code, ['last'])).toContain('one = heavy()\nvar')
  })

  test('throws the errors that it threw, without their texts', () => {
    expect(without('if (x) throw new RangeError(x + "is no")', [])).toBe('if (x) throw new RangeError()')
    for (const code of ['throw new PairingError("corrupt")', 'throw new Error("a", { cause })', 'fail(new Error("b"))'])
      expect(without(code, [])).toBe(code)
  })
})

describe('another version of a package fails the build', () => {
  test('when a member or a variable is not in its module any more', () => {
    expect(() => without('class A { one() {} }', ['one', 'two', 'three'])).toThrow('nothing to leave out: two, three')
  })

  test('when a module is not in the page any more', async () => {
    const input = fileURLToPath(new URL('../../src/web/format.ts', import.meta.url))
    const built = build({
      configFile: false,
      logLevel: 'silent',
      plugins: [leftOut()],
      build: { write: false, rolldownOptions: { input } },
    })
    await expect(built).rejects.toThrow('not in the page any more: /qr/decode.js')
  })
})

test('the part of tweetnacl in the page multiplies and compares as all of it does', () => {
  const path = createRequire(import.meta.url).resolve('tweetnacl/nacl.js')
  const members = UNUSED.flatMap(([module, names]) => (path.endsWith(module) ? names : []))
  const code = without(readFileSync(path, 'utf8'), members)
  for (const gone of ['nacl.secretbox', 'nacl.sign', 'nacl.hash', 'K = [']) expect(code).not.toContain(gone)
  const module: { exports: Partial<typeof nacl> } = { exports: {} }
  compileFunction(code, ['module', 'self', 'require'])(module, {}, () => ({}))
  const { scalarMult, verify } = module.exports
  const pairs = Array.from({ length: 8 }, () => [randomBytes(32), randomBytes(32)] as const)
  for (const [a, b] of pairs) {
    const [one, two] = [Uint8Array.from(a), Uint8Array.from(b)]
    expect(scalarMult?.(one, two)).toEqual(nacl.scalarMult(one, two))
    expect(scalarMult?.base(one)).toEqual(nacl.scalarMult.base(one))
    expect([verify?.(one, one), verify?.(one, two)]).toEqual([true, false])
  }
})
