import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { give, take } from '../../../examples/app/own-crypto.mjs'
import { relayOfFile } from '../../cli/support.ts'
import { example } from './programs.ts'

/** Programs of docs/integrate.md. */

const relay = relayOfFile()

describe('two terminals', () => {
  test('pair once the number was typed, and hand texts over until one of them is closed', async () => {
    const first = example('app/terminal.mjs', [relay.url])
    const [, code = ''] = await first.says(/Code: (\S+)/)
    const second = example('app/terminal.mjs', [relay.url, code])
    const [, number = ''] = await second.says(/Number: (.+)/)
    await first.says('shows: ')
    await first.write(`${number}\n`)
    await first.says('Paired.')
    await second.says('Paired.')
    await first.write('to the second\n')
    await second.says('It says: to the second')
    await second.write('to the first\n')
    await first.says('It says: to the first')
    first.endStdin()
    expect((await first.ended()).exitCode).toBe(0)
    expect((await second.ended()).exitCode).toBe(0)
  })
})

describe('an app with its own cryptography', () => {
  /** Plays both devices. `changed` is what the second one has scanned. */
  async function handOver(payload: Buffer, changed: (secret: Buffer) => Buffer = (secret) => secret) {
    let taking: Promise<Buffer> | undefined
    const giving = give(
      relay.url,
      ({ senderCode, secret }) => {
        taking = take(relay.url, { senderCode, secret: changed(secret) }, Buffer.from('all of it is saved'))
        taking.catch(() => {})
      },
      payload,
    )
    return { giving, taken: async () => taking }
  }

  test('hands a payload over and gets the last word', async () => {
    const payload = randomBytes(100_000)
    const { giving, taken } = await handOver(payload)
    expect((await giving).toString()).toBe('all of it is saved')
    expect(payload.equals((await taken()) ?? Buffer.alloc(0))).toBe(true)
  })

  test('denies a device that has not seen the QR code, which learns nothing', async () => {
    const attacker = (secret: Buffer) => randomBytes(secret.length)
    const { giving, taken } = await handOver(randomBytes(1_000), attacker)
    await expect(giving).rejects.toThrow('has not seen the QR code')
    await expect(taken()).rejects.toThrow('receiver_gone')
  })
})
