/** Files and folders for apps in Node, as `pairlay/node`: what an offer is made of, where one is saved, and where it goes on. */

export { fileSource, type LeftOut, pathSources } from './file-sources.ts'
export { numbered, safeName } from './names.ts'
export { PartialFolder, type PartialFolderOptions } from './partial-folder.ts'
export { TransferStore } from './transfer-store.ts'
