import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { type Environment, readConfig, VARIABLES } from '../src/server/config.ts'
import { misfitOf } from '../src/server/resources.ts'

/** Holds the manifests of `deploy/kubernetes/` to the schemas of Kubernetes, and to the relay and its image. */

const pathOf = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url))
const FOLDER = pathOf('deploy/kubernetes/')
const FILES = readdirSync(FOLDER).map((name) => FOLDER + name)
const PYTHON = pathOf('clients/python/.venv/bin/python')
/** The oldest that is looked at, and the newest that the schemas have. */
const VERSIONS = ['1.25', '1.37']
const PRE_STOP_SECONDS = 5
const MIB = 1024 * 1024

const python = (...args: string[]) => spawnSync(PYTHON, args, { encoding: 'utf8' })
const isHere = python('-c', 'import kubernetes_validate').status === 0 || process.env.REQUIRE_ALL === '1'
if (!isHere) {
  process.stderr.write(
    '\nThe manifests for Kubernetes are not tested: clients/python/.venv has no kubernetes-validate.\n',
  )
}

const PRINT =
  'import json, sys, yaml; print(json.dumps([d for f in sys.argv[1:] for d in yaml.safe_load_all(open(f))]))'

describe.skipIf(!isHere)('the manifests for Kubernetes', () => {
  const objects = isHere ? JSON.parse(python('-c', PRINT, ...FILES).stdout) : []
  const one = (kind: string) => objects.find((each: { kind: string }) => each.kind === kind)
  const pod = one('Deployment')?.spec.template.spec
  const relay = pod?.containers[0]
  const settings: Environment = one('ConfigMap')?.data

  test.each(VERSIONS)('are objects of version %s, with no field that it does not know', (version) => {
    const { status, stdout } = python('-m', 'kubernetes_validate', '--strict', '--no-warn', '-k', version, ...FILES)
    expect([status, stdout.match(/^ERROR.*/gm)]).toEqual([0, null])
    expect(stdout.match(/ passed /g)).toHaveLength(5)
  })

  test('give the relay settings that it knows and takes, and memory in which they fit', () => {
    expect(Object.keys(settings).filter((name) => !(name in VARIABLES))).toEqual([])
    const config = readConfig(settings, () => 'redis://valkey:6379')
    expect(config.redisUrlFile).toBe(`${relay.volumeMounts[0].mountPath}/url`)
    const memory = Number(/^(\d+)Mi$/.exec(relay.resources.limits.memory)?.[1]) * MIB
    expect(misfitOf(config.memoryBudgetBytes, memory)).toBeUndefined()
  })

  test('wait for as long as a relay may take to stop', () => {
    const { drainSeconds = 0, shutdownTimeoutSeconds } = readConfig(settings, () => 'redis://valkey:6379')
    expect(relay.lifecycle.preStop.exec.command).toEqual(['sleep', String(PRE_STOP_SECONDS)])
    const needed = PRE_STOP_SECONDS + drainSeconds + shutdownTimeoutSeconds
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(needed)
  })

  test('name the user and the ports of the image, and the ports by one name everywhere', () => {
    const dockerfile = readFileSync(pathOf('Dockerfile'), 'utf8')
    expect(String(pod.securityContext.runAsUser)).toBe(/^USER (\d+)$/m.exec(dockerfile)?.[1])
    const ports = relay.ports.map(({ containerPort }: { containerPort: number }) => String(containerPort))
    expect(ports).toEqual([/ PORT=(\d+)$/m.exec(dockerfile)?.[1], settings.METRICS_PORT])
    const names = ['http', 'metrics']
    const nameOf = ({ name, targetPort, port }: Record<string, string>) => [name, targetPort ?? port]
    expect(relay.ports.map(({ name }: { name: string }) => name)).toEqual(names)
    expect(one('Service').spec.ports.map(nameOf)).toEqual(names.map((name) => [name, name]))
    const { ingress } = one('NetworkPolicy').spec
    expect(ingress.map(({ ports: [{ port }] }: { ports: { port: string }[] }) => port)).toEqual(names)
  })

  test('leave the relay no rights: no root, no capability, no file to write, no account, system calls by a list', () => {
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } })
    expect(pod.automountServiceAccountToken).toBe(false)
    expect(relay.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    })
  })

  test('ask for life and readiness where the relay answers, and let one node in two go at a time', () => {
    const paths = ['startupProbe', 'livenessProbe', 'readinessProbe'].map((name) => relay[name].httpGet)
    expect(paths).toEqual(['/healthz', '/healthz', '/readyz'].map((path) => ({ path, port: 'http' })))
    const labels = one('Deployment').spec.template.metadata.labels
    for (const kind of ['Deployment', 'PodDisruptionBudget'])
      expect(one(kind).spec.selector.matchLabels).toEqual(labels)
    expect([one('Service').spec.selector, one('NetworkPolicy').spec.podSelector.matchLabels]).toEqual([labels, labels])
    expect([one('Deployment').spec.replicas, one('PodDisruptionBudget').spec.maxUnavailable]).toEqual([2, 1])
  })
})
