// examples/app/pairing.test.mjs: with vitest; jest has `expect` and `test` without an import
import { TestClock, TestRelay } from 'pairlay/testing'
import { expect, test } from 'vitest'
import { enter, invite, listen, tell } from './pairing.mjs'

/** A person at a device, who reads what the app says, and types what `answer` resolves with. */
class Person {
  said = ''
  constructor(answer = async () => '') {
    this.say = (/** @type {string} */ text) => {
      this.said += `${text}\n`
    }
    this.ask = answer
  }
  async reads(/** @type {RegExp} */ pattern) {
    for (;;) {
      const found = pattern.exec(this.said)?.[1]
      if (found !== undefined) return found
      await new Promise((resolve) => setTimeout(resolve))
    }
  }
}

/** Pairs two devices of a relay in memory: the person at the laptop types what the phone shows. */
async function pair(/** @type {TestClock} */ clock) {
  const relay = new TestRelay({ clock })
  const [laptop, phone] = [relay.device(), relay.device()]
  const atPhone = new Person()
  const atLaptop = new Person(() => atPhone.reads(/Number: (.+)/))
  const inviting = invite(relay.url, atLaptop, { environment: laptop.environment })
  const code = await atLaptop.reads(/Code: (.+)/)
  const entering = enter(relay.url, code, atPhone, { environment: phone.environment })
  return { phone, atPhone, here: await inviting, there: await entering }
}

test('a text arrives, also after a cut', async () => {
  const clock = new TestClock()
  const { phone, atPhone, here, there } = await pair(clock)
  const listening = listen(there, atPhone)
  phone.cut()
  const telling = tell(here, 'hello').then(() => here.close())
  await clock.advance(10_000)
  await Promise.all([telling, listening])
  expect(atPhone.said).toContain('It says: hello')
})

test('a text that was changed on its way is an error, and is not shown', async () => {
  const { phone, atPhone, here, there } = await pair(new TestClock())
  const listening = listen(there, atPhone)
  phone.corrupt()
  tell(here, 'hello').catch(() => {})
  await expect(listening).rejects.toMatchObject({ code: 'corrupt' })
  expect(atPhone.said).not.toContain('It says')
})

test('a phone that is gone for good ends the pairing when its time is over', async () => {
  const clock = new TestClock()
  const { phone, atPhone, there } = await pair(clock)
  const listening = listen(there, atPhone).catch((error) => error.code)
  phone.network = 'fails'
  await clock.advance(1_000_000)
  expect(await listening).toBe('expired')
})

test('a relay that takes no more sessions is told to the person', async () => {
  const relay = new TestRelay()
  const laptop = relay.device()
  laptop.refuse('access_denied')
  const inviting = invite(relay.url, new Person(), { environment: laptop.environment })
  await expect(inviting).rejects.toMatchObject({ code: 'access_denied' })
})
