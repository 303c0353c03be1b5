import { execFileSync, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** An authority made for a test, and what it signed for a server on 127.0.0.1. */
export interface Certificates {
  readonly ca: string
  readonly certificate: string
  readonly key: string
}

/** Reports whether certificates can be made, and whether this redis-server was built to use them. */
export function hasTls(): boolean {
  if (spawnSync('openssl', ['version']).status !== 0) return false
  // Names the right form of the setting, and ends.
  const asked = spawnSync('redis-server', ['--port', '0', '--tls-auth-clients', 'what?'], { encoding: 'utf8' })
  return `${asked.stdout}${asked.stderr}`.includes('must be one of')
}

/** Makes files of this name in the folder. */
export function makeCertificates(folder: string, name: string): Certificates {
  const path = (what: string) => join(folder, `${name}-${what}`)
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'ignore' })
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', `/CN=${name}`]
  const [ca, caKey, certificate, key] = ['ca.pem', 'ca.key', 'server.pem', 'server.key'].map(path)
  openssl('req', '-x509', '-days', '1', ...newKey, '-keyout', caKey, '-out', ca)
  const [request, extensions] = ['server.csr', 'server.ext'].map(path)
  writeFileSync(extensions, 'subjectAltName=IP:127.0.0.1\n')
  openssl('req', ...newKey, '-keyout', key, '-out', request)
  const signing = ['-CA', ca, '-CAkey', caKey, '-CAcreateserial', '-days', '1', '-extfile', extensions]
  openssl('x509', '-req', '-in', request, ...signing, '-out', certificate)
  return { ca, certificate, key }
}
