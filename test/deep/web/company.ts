import type { Browser, BrowserContextOptions } from 'playwright-core'
import { expect } from 'vitest'
import { JsonProcess } from '../browser/processes.ts'
import { Person } from './person.ts'

/** People and commands of a test. */
export class Company {
  readonly #people: Person[] = []
  readonly #commands: JsonProcess[] = []

  async person(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Person> {
    const opened = await Person.at(browser, url, options)
    this.#people.push(opened)
    return opened
  }

  command(url: string, ...args: string[]): JsonProcess {
    const started = JsonProcess.cli(url, args)
    this.#commands.push(started)
    return started
  }

  /** Ends them all. Nothing may have gone wrong in anybody's page. */
  async leave(): Promise<void> {
    const people = this.#people.splice(0)
    const problems = people.flatMap((person) => person.problems)
    for (const person of people) await person.close()
    for (const command of this.#commands.splice(0)) await command.kill()
    expect(problems).toEqual([])
  }
}
