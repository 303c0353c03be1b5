import { execFileSync } from 'node:child_process'
import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The parts of CycloneDX that are changed here. */
interface Sbom {
  serialNumber?: string
  metadata: { timestamp: string; component: Component }
  components: Component[]
  dependencies: { readonly ref: string; readonly dependsOn: readonly string[] }[]
}

interface Component {
  readonly 'bom-ref': string
  readonly name: string
}

/**
 * Lists the parts of a package: those that npm finds in the lock, and those that were bundled into it. The same each time, its
 * number too, which is a digest of the rest. Throws for a package that npm does not know.
 */
export function sbomOf(name: string, folder: string, time: Date): Sbom {
  const options = ['--package-lock-only', '--omit=dev', '--sbom-format=cyclonedx', '--sbom-type=library']
  const printed = execFileSync('npm', ['sbom', ...options, `--workspace=${name}`], {
    cwd: join(folder, '../..'),
    encoding: 'utf8',
  })
  const { serialNumber: _, ...sbom }: Sbom = JSON.parse(printed)
  const own = sbom.components.find((each) => each['bom-ref'].startsWith(`${name}@`))
  if (!own) throw new Error(`npm sbom does not know ${name}`)
  const { peerDependencies = {} } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const peers = Object.keys(peerDependencies).map((peer) => `${peer}@`)
  // npm lists what this repository has of the peers, too.
  const needed = new Set([own['bom-ref']])
  for (const ref of needed) {
    const { dependsOn = [] } = sbom.dependencies.find((each) => each.ref === ref) ?? {}
    for (const each of dependsOn) if (!peers.some((peer) => each.startsWith(peer))) needed.add(each)
  }
  const listed = sbom.components.filter((each) => each !== own && needed.has(each['bom-ref']))
  const bundled = bundledInto(folder).filter((each) => !listed.some((other) => other['bom-ref'] === each['bom-ref']))
  const content: Sbom = {
    ...sbom,
    metadata: { ...sbom.metadata, timestamp: time.toISOString(), component: { ...own, name } },
    components: [...listed, ...bundled],
    dependencies: [
      ...sbom.dependencies
        .filter(({ ref }) => needed.has(ref))
        .map(({ ref, dependsOn }) => {
          const added = ref === own['bom-ref'] ? bundled.map((each) => each['bom-ref']) : []
          return { ref, dependsOn: [...dependsOn.filter((each) => needed.has(each)), ...added] }
        }),
      ...bundled.map((each) => ({ ref: each['bom-ref'], dependsOn: [] })),
    ],
  }
  const digest = hash('sha256', JSON.stringify(content))
  const [, a, b, c, d, e] = /^(.{8})(.{4})(.{3})(.{3})(.{12})/.exec(digest) ?? []
  return { ...content, serialNumber: `urn:uuid:${a}-${b}-8${c}-a${d}-${e}` }
}

/** Packages whose code a bundle has, as its notices name them. */
function bundledInto(folder: string): Component[] {
  let notices: string
  try {
    notices = readFileSync(join(folder, 'dist/LICENSES'), 'utf8')
  } catch {
    return []
  }
  return [...notices.matchAll(/^(\S+) (\d+\.\d+\.\d+\S*), (.+)$/gm)].map(([, name = '', version, license]) => ({
    'bom-ref': `${name}@${version}`,
    type: 'library',
    name,
    version,
    purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
    licenses: [{ expression: license?.replaceAll(/[()]/g, '') }],
    properties: [{ name: 'cdx:npm:package:bundled', value: 'true' }],
  }))
}
