import { tasks } from './tasks.ts'
import { useSourceBlock } from './wire.ts'

/** A load generator: a process that does what it is asked over IPC, and ends with whoever asks. */

interface Call {
  readonly id: number
  readonly task: keyof typeof tasks
  readonly args: unknown
}

useSourceBlock(Number(process.argv[2] ?? 0))
process.on('disconnect', () => process.exit())
process.on('message', (call: Call) => {
  const work = tasks[call.task] as (args: unknown) => Promise<unknown>
  work(call.args).then(
    (result) => process.send?.({ id: call.id, result }),
    (error: unknown) => process.send?.({ id: call.id, error: error instanceof Error ? error.message : String(error) }),
  )
})
process.send?.({ ready: true })
