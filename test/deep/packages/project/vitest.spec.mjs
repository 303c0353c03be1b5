import { Receiver, Sender, textSource } from 'pairlay'
import { handOver } from './hand-over.cjs'

test('a text arrives', async () => {
  expect(await handOver({ Receiver, Sender, textSource }, process.env.RELAY)).toBe('from one device to another')
})
