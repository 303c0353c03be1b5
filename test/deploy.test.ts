import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ipaddr from 'ipaddr.js'
import { describe, expect, it } from 'vitest'
import { readConfig } from '../src/server/config.ts'

/** Holds the files of `deploy/` to each other and to the image. Its proxies and its ACL are run in `deep/cluster/`. */

/** Of a relay with Redis, unless it is set. */
const DRAIN_SECONDS = 30

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')
const cluster = read('deploy/compose.cluster.yaml')
const proxies = ['deploy/haproxy.cfg', 'deploy/nginx.conf']

/** The blocks two spaces deep below a key of a compose file, by name. An alias stands for the block that it names. */
function blocks(file: string, key: string): Map<string, string> {
  const [, below = ''] = file.split(new RegExp(`^${key}:\\n`, 'm'))
  const [body = ''] = below.split(/^\S/m)
  return new Map(
    [...body.matchAll(/^ {2}([\w-]+):(.*)\n((?: {4}.*\n|\n)*)/gm)].map(([, name, alias, block]) => {
      const [, anchor] = /\*(\w+)/.exec(alias) ?? []
      return [name, anchor ? anchored(file, anchor) : block]
    }),
  )
}

function anchored(file: string, name: string): string {
  const [, block] = new RegExp(`&${name}\\n((?: +.*\\n)+)`).exec(file) ?? []
  expect(block, `&${name}`).toBeDefined()
  return block
}

const services = blocks(cluster, 'services')

describe('the compose files', () => {
  for (const path of ['compose.yaml', 'deploy/compose.cluster.yaml']) {
    it(`${path}: every service writes nothing, has no capabilities, and comes back`, () => {
      const file = read(path)
      expect(file).not.toContain('\t')
      const found = blocks(file, 'services')
      expect(found.size).toBeGreaterThan(0)
      for (const [name, block] of found) {
        for (const line of ['read_only: true', 'cap_drop: [ALL]', 'no-new-privileges:true', 'restart: unless-stopped'])
          expect(block, name).toContain(line)
      }
    })

    it(`${path}: trusts single addresses that no client can have: a gateway's, and that of a proxy with a fixed one`, () => {
      const file = read(path)
      const trusted = (/TRUST_PROXY: (.+)/.exec(file)?.[1] ?? '').split(',')
      const [, subnet = '', gateway] = /subnet: ([\d.]+\/\d+), gateway: ([\d.]+)/.exec(file) ?? []
      const fixed = [...file.matchAll(/ipv4_address: ([\d.]+)/g)].map(([, address]) => address)
      expect(trusted.toSorted()).toEqual([gateway, ...fixed].toSorted())
      const network = ipaddr.parseCIDR(subnet)
      for (const address of trusted) expect(ipaddr.parse(address).match(network), address).toBe(true)
      expect(readConfig({ TRUST_PROXY: trusted.join(',') }).trustProxy).toEqual(trusted)
    })

    it(`${path}: gives a relay as long to stop as it may take, and no init, which it does not need`, () => {
      const isAlone = !read(path).includes('REDIS_URL')
      const { shutdownTimeoutSeconds } = readConfig({})
      const seconds = Number(/stop_grace_period: (\d+)s/.exec(read(path))?.[1])
      expect(seconds).toBeGreaterThan((isAlone ? 0 : DRAIN_SECONDS) + shutdownTimeoutSeconds)
      expect(read(path)).not.toContain('init:')
    })

    it(`${path}: what is open to the outside is open to this machine alone`, () => {
      const ports = [...read(path).matchAll(/ports: \["([^"]+)"\]/g)].map(([, port]) => port)
      expect(ports).toEqual(['127.0.0.1:8080:8080'])
    })
  }
})

describe('the image', () => {
  it('runs as a user with a number, who is not root: runAsNonRoot takes no name', () => {
    const users = [...read('Dockerfile').matchAll(/^USER (.+)$/gm)].map(([, user]) => user)
    expect(users).toEqual([expect.stringMatching(/^[1-9]\d*$/)])
  })

  it('is healthy when the relay says 200, and not when it says anything else, is not there, or has no socket', async () => {
    const health = async (env: Record<string, string>) => {
      const child = spawn('/bin/bash', [fileURLToPath(new URL('../deploy/image/health', import.meta.url))], { env })
      return (await once(child, 'exit'))[0]
    }
    let status = 200
    const server = createServer((_, response) => response.writeHead(status).end())
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const PORT = String((server.address() as AddressInfo).port)
    expect(await health({ PORT })).toBe(0)
    expect(await health({ PORT, HOST: '0.0.0.0' })).toBe(0)
    status = 503
    expect(await health({ PORT })).toBe(1)
    server.close()
    expect(await health({ PORT })).toBe(1)
    const folder = await mkdtemp(join(tmpdir(), 'pairlay-health-'))
    const LISTEN = `unix:${folder}/relay.sock`
    expect(await health({ LISTEN })).toBe(1)
    await once(server.listen(LISTEN.slice('unix:'.length)), 'listening')
    expect(await health({ LISTEN })).toBe(0)
    server.close()
    await rm(folder, { recursive: true })
  })

  it('has the same base in each of its stages, pinned by digest', () => {
    const bases = [...read('Dockerfile').matchAll(/^FROM \$\{(\S+)\}/gm)].map(([, base]) => base)
    expect(bases).toEqual(['NODE_IMAGE', 'NODE_IMAGE'])
    expect(read('Dockerfile')).toMatch(
      /^ARG NODE_IMAGE=docker\.io\/library\/node:[\d.]+-bookworm-slim@sha256:[0-9a-f]{64}$/m,
    )
  })
})

describe('the nodes of deploy/', () => {
  it('are two relays that know where the server is which they share', () => {
    expect([...services.keys()]).toEqual(['relay1', 'relay2', 'valkey', 'proxy'])
    for (const name of ['relay1', 'relay2']) {
      expect(services.get(name)).toContain('build: ..')
      expect(services.get(name)).toContain('REDIS_URL: redis://valkey:6379\n')
    }
  })

  it('share one of a pinned version, with nothing on a disk, that forgets nothing when it is full', () => {
    const valkey = services.get('valkey') ?? ''
    expect(valkey).toMatch(/image: valkey\/valkey:\d+\.\d+\.\d+/)
    expect(valkey).toContain('--save, "", --appendonly, "no"')
    expect(valkey).toMatch(/--maxmemory, \d+mb, --maxmemory-policy, noeviction/)
  })

  it('share one that nothing outside of their network reaches', () => {
    expect(services.get('valkey')).toContain('networks: [back]')
    expect(services.get('valkey')).not.toContain('ports:')
    expect(services.get('proxy')).toMatch(/networks: \{ front: \{ ipv4_address: [\d.]+ \} \}/)
    expect(blocks(cluster, 'networks').get('back')).toContain('internal: true')
  })

  it('have a proxy whose file is there, and which knows them all, by the port of the image', () => {
    const [, mounted] = /volumes: \["\.\/([^:]+):/.exec(services.get('proxy') ?? '') ?? []
    expect(existsSync(new URL(`../deploy/${mounted}`, import.meta.url))).toBe(true)
    const [, port] = /PORT=(\d+)/.exec(read('Dockerfile')) ?? []
    const relays = [...services.keys()].filter((name) => name.startsWith('relay')).map((name) => `${name}:${port}`)
    for (const path of proxies) expect([...read(path).matchAll(/relay\d:\d+/g)].flat(), path).toEqual(relays)
  })

  it('have a proxy that logs nothing: paths have the ids of sessions', () => {
    expect(read('deploy/haproxy.cfg')).not.toMatch(/^\s*(log|option httplog)\b/m)
    expect(read('deploy/nginx.conf')).toContain('access_log off;\n  error_log stderr crit;')
  })
})
