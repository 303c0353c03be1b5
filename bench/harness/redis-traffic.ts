import { connect } from 'node:net'

/** Bytes that a redis-server has taken and given so far, by its own count. */
export interface RedisTraffic {
  readonly in: number
  readonly out: number
}

const TIMEOUT_MS = 5_000

export function redisTraffic(port: number): Promise<RedisTraffic> {
  return new Promise((resolve, reject) => {
    let text = ''
    const socket = connect({ host: '127.0.0.1', port, timeout: TIMEOUT_MS }, () => socket.write('INFO stats\r\n'))
    socket.setEncoding('utf8')
    socket.on('data', (data) => {
      text += data
      const [, size = ''] = /^\$(\d+)\r\n/.exec(text) ?? []
      if (size === '' || text.length < Number(size)) return
      socket.destroy()
      resolve({ in: field(text, 'total_net_input_bytes'), out: field(text, 'total_net_output_bytes') })
    })
    socket.on('timeout', () => socket.destroy(new Error('redis-server does not answer')))
    socket.on('error', reject)
  })
}

function field(text: string, name: string): number {
  return Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(text)?.[1])
}
