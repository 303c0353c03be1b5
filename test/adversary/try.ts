import { play } from './scenario.ts'
import { forgeryCases } from './forgeries.ts'
import { Seed } from './seed.ts'
const log: string[] = []
const each = forgeryCases.find((c) => c.operator === 'ack more than was sent' && c.against === 'sender')!
const seed = new Seed('x')
const plan = await each.plan(seed)
const o = await play({ seed, ...plan, operators: (r, c) => [...plan.operators!(r, c), { name: 'log', data(f, r) { log.push(`${r.time.now()} ${f.from} ${f.seq} ${f.ciphertext.length}`); return undefined }, ack(seq, to) { log.push(`ack to ${to} ${seq}`); return seq }, view(v, to) { log.push(`view to ${to} ${JSON.stringify(v.channels)}`); return v }, command(m, p, b, r) { log.push(`${r.time.now()} ${m} ${p} ${JSON.stringify(b)}`); return undefined } }] })
console.log(o.sender, o.receiver, log.join('\n'))
