import type { Argument, Option } from 'commander'

/** A command: its help, and its work. */
export interface CommandSpec {
  readonly name: string
  readonly does: string
  readonly arguments?: readonly Argument[]
  readonly options: readonly Option[]
  /** A paragraph below the options. */
  readonly note?: string
  /** Command lines, each with what it does. */
  readonly examples: Readonly<Record<string, string>>
  /** Loads the command, which resolves with its exit code: `--help` does without. */
  readonly load: () => Promise<(...given: never[]) => Promise<number>>
}
