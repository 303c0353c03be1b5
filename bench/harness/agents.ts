import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { tasks } from '../load/tasks.ts'
import { adopt, end, plainEnv } from './children.ts'
import { COMPILED } from './compile.ts'

type Tasks = typeof tasks
type Argument<K extends keyof Tasks> = Parameters<Tasks[K]> extends [infer A] ? [args: A] : []

interface Answer {
  readonly id: number
  readonly result?: unknown
  readonly error?: string
}

const CALL_TIMEOUT_MS = 180_000
let started = 0

/** A load generator in a process of its own. */
export class Agent {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>()
  #nextId = 1

  private constructor(child: ChildProcess) {
    this.#child = child
    child.on('message', (answer: Answer) => {
      const waiting = this.#waiting.get(answer.id)
      this.#waiting.delete(answer.id)
      if (answer.error === undefined) waiting?.resolve(answer.result)
      else waiting?.reject(new Error(answer.error))
    })
    child.once('exit', (code) => {
      for (const { reject } of this.#waiting.values()) reject(new Error(`the load generator ended with ${code}`))
      this.#waiting.clear()
    })
  }

  static async start(): Promise<Agent> {
    const child = fork(fileURLToPath(new URL('load/agent.js', COMPILED)), [String(started++)], {
      env: plainEnv(),
      execArgv: [],
      serialization: 'advanced',
    })
    adopt(child)
    await new Promise((resolve, reject) => {
      child.once('message', resolve)
      child.once('exit', (code) => reject(new Error(`the load generator ended with ${code}`)))
    })
    return new Agent(child)
  }

  call<K extends keyof Tasks>(task: K, ...args: Argument<K>): Promise<Awaited<ReturnType<Tasks[K]>>> {
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      if (!this.#child.connected) throw new Error('the load generator has ended')
      const timer = setTimeout(() => {
        this.#waiting.delete(id)
        reject(new Error(`${task} took more than ${CALL_TIMEOUT_MS / 1000} s`))
      }, CALL_TIMEOUT_MS)
      const settle =
        <T>(then: (value: T) => void) =>
        (value: T) => {
          clearTimeout(timer)
          then(value)
        }
      this.#waiting.set(id, {
        resolve: settle((result) => resolve(result as Awaited<ReturnType<Tasks[K]>>)),
        reject: settle(reject),
      })
      this.#child.send({ id, task, args: args[0] })
    })
  }

  end(): Promise<void> {
    return end(this.#child)
  }
}

/** Runs `work` with load generators that are gone afterwards. */
export async function withAgents<T>(count: number, work: (agents: readonly Agent[]) => Promise<T>): Promise<T> {
  const agents = await Promise.all(Array.from({ length: count }, () => Agent.start()))
  try {
    return await work(agents)
  } finally {
    await Promise.all(agents.map((agent) => agent.end()))
  }
}
