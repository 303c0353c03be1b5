import { startRelay } from './test/support/server.ts'
import { openSender, join, nextRequest, collect, bytesOf } from './test/e2e/people.ts'
import { bytesSource } from './src/client/index.ts'
import { DeviceWorld } from './test/e2e/world.ts'
const relay = await startRelay({ logLevel: 'silent' })
const t0 = performance.now()
const log = (...a: unknown[]) => console.log((performance.now() - t0).toFixed(1), ...a)
const w1 = await DeviceWorld.create(), w2 = await DeviceWorld.create()
for (const [n, w] of [['S', w1], ['R', w2]] as const) {
  w.hooks.outgoing = (d) => (log(n, '->', typeof d === 'string' ? d.slice(0, 60) : `bin ${d[0]} ${d[7]} ${d.length}`), d)
  w.hooks.incoming = (d) => (log(n, '<-', typeof d === 'string' ? d.slice(0, 40) + d.slice(d.indexOf('"channels"')) : `bin ${d[0]} ${d[7]} ${d.length}`), d)
}
const device = await openSender(relay.url, { world: w1 })
log('opened')
const r = await join(relay.url, device.sender.code, { world: w2 })
log('joined')
const req = await nextRequest(device)
log('request')
await r.receiver.verified
log('verified')
await req.approve()
log('approved')
const c = collect(r.receiver)
await device.sender.send([bytesSource(bytesOf(Number(process.argv[2] ?? 10)), 'a')])
log('sent')
await device.sender.close()
await c
log('done')
await relay.close()
log('closed')
