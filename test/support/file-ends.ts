/** Runs before each test file, and in its name: the files that a worker runs share the modules that they load. */
import { readFileSync } from 'node:fs'
import { afterAll, expect, vi } from 'vitest'

const { testPath = '' } = expect.getState()
/** A mock takes the place of a module that was not loaded yet, and stays with those that have loaded it. */
const mocks = readFileSync(testPath, 'utf8').includes('vi.mock(')

if (mocks) vi.resetModules()
const { endLeftovers } = await import('./leftovers.ts')
afterAll(async () => {
  await endLeftovers()
  if (mocks) vi.resetModules()
})
