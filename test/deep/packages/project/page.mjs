import { Receiver, Sender, textSource } from 'pairlay'
import { freeRoom } from 'pairlay/browser'
import { handOver } from './hand-over.cjs'

globalThis.handOver = (relay) => handOver({ Receiver, Sender, textSource, freeRoom }, relay)
