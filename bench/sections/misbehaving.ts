import { type Agent, withAgents } from '../harness/agents.ts'
import type { Section } from '../harness/report.ts'
import { joinFlood } from './join-flood.ts'
import { reconnectStorm } from './reconnect-storm.ts'
import { slowReceivers } from './slow-receivers.ts'

export const misbehaving: Section = {
  name: 'misbehaving',
  about: 'receivers that stop reading, sockets that all reconnect at once, strangers who guess codes',
  run: async (context) => {
    await withAgents(3, async (agents) => {
      const [first, second, third] = agents as readonly [Agent, Agent, Agent]
      await slowReceivers(context, first, second)
      await reconnectStorm(context, [first, second], third)
      await joinFlood(context, first, second)
    })
  },
}
