import { lstat, stat } from 'node:fs/promises'
import { CliError } from './exit.ts'

export async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined
}

export async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or directory',
  ENOTDIR: 'there is no such file or directory',
  EISDIR: 'it is a directory',
  EEXIST: 'it is there already',
  ELOOP: 'a link is in the way, or leads in a circle',
  EMFILE: 'too many files are open',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk is full',
  EFBIG: 'the file is too large for this disk',
  ENAMETOOLONG: 'the name is too long for this disk',
  EROFS: 'the file system is read-only',
  ERR_SYSTEM_ERROR: 'this user has no home folder',
}

/** The error of what could not be written, which the sender is told of where it was for want of room. */
export function unwritten(doing: string, error: NodeJS.ErrnoException): CliError {
  const code = /^(ENOSPC|EDQUOT|EFBIG)$/.test(error.code ?? '') ? 'no_space' : 'failed'
  return new CliError(`Cannot ${doing}: ${reasonOf(error)}.`, 'failed', code)
}

/** An operating system's error in words, without the path that the caller already names. */
export function reasonOf({ code = 'unknown error' }: NodeJS.ErrnoException): string {
  return REASONS[code] ?? code
}
