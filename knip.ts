import { readFileSync } from 'node:fs'
import type { KnipConfig } from 'knip'

/** Packages that the source imports, and those of packages/ depend on: test/packages holds the two together. */
const ofPackages = ['sdk', 'relay'].flatMap((name) => {
  const { dependencies = {} } = JSON.parse(readFileSync(`packages/${name}/package.json`, 'utf8'))
  return Object.keys(dependencies)
})

const config: KnipConfig = {
  workspaces: {
    '.': {
      entry: [
        'src/cli/main.ts',
        'src/{client,node,browser,testing}/index.ts',
        'src/browser/worker.ts',
        'scripts/*.ts',
        'src/web/one-file/*.ts',
        'test/**/*.test.ts',
        'test/deep/web/gallery.ts',
        'examples/*.mjs',
        'examples/app/{terminal,page,own-crypto}.mjs',
        'examples/**/*.test.mjs',
        'examples/vault/{first,second}.mjs',
      ],
      project: ['src/**/*.ts', 'test/**/*.ts', 'scripts/**/*.ts', 'examples/**/*.mjs'],
    },
    bench: {
      entry: ['load/agent.ts', 'load/store.ts', 'yardsticks/programs/*.ts', 'reaper.ts'],
      project: ['**/*.ts'],
    },
  },
  // A project of its own, which the tests install.
  ignore: ['test/deep/packages/project/**'],
  ignoreDependencies: ofPackages,
  ignoreExportsUsedInFile: true,
  ignoreBinaries: [
    'diff',
    'script',
    'mkfifo',
    'mandoc',
    'mount',
    'umount',
    'openssl',
    'ssh-keygen',
    'minisign',
    'redis-server',
    'nginx',
    'runc',
  ],
}

export default config
