import { Receiver, Sender, textSource } from 'pairlay'
import { freeRoom } from 'pairlay/browser'
import { handOver } from './hand-over.cjs'

globalThis.handOver = (relay) => handOver({ Receiver, Sender, textSource, freeRoom }, relay)
// In a module worker as well.
if (typeof document === 'undefined')
  globalThis.onmessage = async ({ data }) => postMessage(await globalThis.handOver(data))
