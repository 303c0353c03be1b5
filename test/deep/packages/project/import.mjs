import { Receiver, Sender, textSource } from 'pairlay'
import { safeName } from 'pairlay/node'
import { TestClock } from 'pairlay/testing'
import { handOver } from './hand-over.cjs'

if (new TestClock().outstanding !== 0 || safeName('a/b').includes('/')) throw new Error('a part is another one')
console.log(await handOver({ Receiver, Sender, textSource }, process.env.RELAY))
process.exit()
