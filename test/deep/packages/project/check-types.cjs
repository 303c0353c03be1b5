/**
 * Checks types.ts as several projects would, with the TypeScript of the argument: a program for each way to find modules,
 * all with the same libraries. Prints what is wrong, a line each, after the way that finds it.
 */
const ts = require(process.argv[2])

const BASE = {
  strict: true,
  noEmit: true,
  target: 'es2022',
  lib: ['es2022', 'dom', 'dom.asynciterable'],
  types: ['node'],
}
const WAYS = {
  node10: {
    module: 'commonjs',
    moduleResolution: 'node10',
    ignoreDeprecations: ts.versionMajorMinor >= '6' ? '6.0' : '5.0',
  },
  node16: { module: 'node16', moduleResolution: 'node16' },
  bundler: { module: 'esnext', moduleResolution: 'bundler', exactOptionalPropertyTypes: true },
  dom: { module: 'esnext', moduleResolution: 'bundler', types: [] },
}
/** Files by the way. Where it depends on the name, as an ES module and as a script. */
const NAMES = { node16: ['types.mts', 'types.cts'], dom: ['dom.ts'] }
/** Declarations that others answer for. */
const OTHERS = /\/(typescript-[\d.]+|@types|undici-types)\//
const files = new Map()

for (const [way, options] of Object.entries(WAYS)) {
  const { options: parsed, errors } = ts.convertCompilerOptionsFromJson({ ...BASE, ...options }, __dirname)
  const names = NAMES[way] ?? ['types.ts']
  const host = ts.createCompilerHost(parsed)
  const { getSourceFile, readFile, fileExists } = host
  const real = (path) => path.replace(/\/types\.[mc]ts$/, '/types.ts')
  host.readFile = (path) => readFile.call(host, real(path))
  host.fileExists = (path) => fileExists.call(host, real(path))
  host.getSourceFile = (path, language, ...others) => {
    if (!OTHERS.test(path)) return getSourceFile.call(host, path, language, ...others)
    if (!files.has(path)) files.set(path, getSourceFile.call(host, path, language, ...others))
    return files.get(path)
  }
  const program = ts.createProgram(
    names.map((name) => `${__dirname}/${name}`),
    parsed,
    host,
  )
  const own = program.getSourceFiles().filter(({ fileName }) => !OTHERS.test(fileName))
  const found = own.flatMap((file) => [
    ...program.getSyntacticDiagnostics(file),
    ...program.getSemanticDiagnostics(file),
  ])
  for (const { messageText, file, start } of [...errors, ...program.getOptionsDiagnostics(), ...found]) {
    const at = file === undefined ? '' : `${file.fileName}:${file.getLineAndCharacterOfPosition(start).line + 1}`
    console.log(`${way}: ${at} ${ts.flattenDiagnosticMessageText(messageText, ' ')}`)
  }
}
