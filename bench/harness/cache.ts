import { execFile } from 'node:child_process'
import { accessSync, constants, existsSync, mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { adopt, plainEnv } from './children.ts'

/** Peers that are only yardsticks are no dependencies of the project: they live in a folder of their own, outside it. */

const INSTALL_TIMEOUT_MS = 240_000

export const CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'pairlay-bench')

const PIPING_SERVER = '1.12.9'
const WORMHOLE = [
  'magic-wormhole==0.24.0',
  'magic-wormhole-mailbox-server==0.8.0',
  'magic-wormhole-transit-relay==0.5.0',
]

let mayInstall = true

export function forbidInstalling(): void {
  mayInstall = false
}

/** The program of a peer, or why it is not there. */
export type Found = { readonly path: string } | { readonly skipped: string }

const NOT_INSTALLED = { skipped: 'not installed' } as const

/** piping-server from npm, at an exact version. */
export async function pipingServer(): Promise<Found> {
  const prefix = join(CACHE, `piping-server-${PIPING_SERVER}`)
  const path = join(prefix, 'node_modules/piping-server/dist/src/index.js')
  return existingOr(path, async () => {
    await install('npm', ['install', '--prefix', prefix, '--no-audit', '--no-fund', `piping-server@${PIPING_SERVER}`])
  })
}

/** The bin folder of a virtual environment with magic-wormhole and its two servers: that of the program in WORMHOLE, or an own one. */
export async function wormhole(): Promise<Found> {
  if (process.env.WORMHOLE) return { path: dirname(process.env.WORMHOLE) }
  const venv = join(CACHE, 'wormhole')
  const found = await existingOr(join(venv, 'bin/wormhole'), async () => {
    await install('python3', ['-m', 'venv', venv])
    await install(join(venv, 'bin/pip'), ['install', '--quiet', '--disable-pip-version-check', ...WORMHOLE])
  })
  return 'path' in found ? { path: join(venv, 'bin') } : found
}

/** A program of the operating system. */
export function onPath(name: string): Found {
  for (const folder of [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin', '/sbin']) {
    const path = join(folder, name)
    try {
      accessSync(path, constants.X_OK)
      return { path }
    } catch {
      // Not here.
    }
  }
  return NOT_INSTALLED
}

/** The program that a variable names, or one of the operating system. */
export function programOf(name: string, variable: string): Found {
  const given = process.env[variable]
  if (given) return existsSync(given) ? { path: given } : { skipped: `there is no ${given}, which ${variable} names` }
  const found = onPath(name)
  return 'path' in found ? found : { skipped: `not installed: put it on the PATH, or name it with ${variable}=` }
}

const underWay = new Map<string, Promise<Found>>()

/** Installs once per run at most, whoever asks. */
function existingOr(path: string, installIt: () => Promise<void>): Promise<Found> {
  if (existsSync(path)) return Promise.resolve({ path })
  if (!mayInstall) return Promise.resolve({ skipped: 'not installed, and --no-install was given' })
  const before = underWay.get(path)
  if (before) return before
  const attempt = (async (): Promise<Found> => {
    mkdirSync(CACHE, { recursive: true })
    console.log(`Installing a yardstick into ${CACHE} …`)
    try {
      await installIt()
    } catch {
      return NOT_INSTALLED
    }
    return existsSync(path) ? { path } : NOT_INSTALLED
  })()
  underWay.set(path, attempt)
  return attempt
}

async function install(command: string, args: readonly string[]): Promise<void> {
  const running = promisify(execFile)(command, args, { timeout: INSTALL_TIMEOUT_MS, cwd: CACHE, env: plainEnv() })
  adopt(running.child)
  await running
}
