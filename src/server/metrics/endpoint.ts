import { createServer, type Server } from 'node:http'
import type { RelayMetrics } from './relay-metrics.ts'

/** A server for `GET /metrics` and nothing else. It listens nowhere yet. */
export function metricsServer(metrics: Pick<RelayMetrics, 'text'>): Server {
  return createServer(async (request, response) => {
    if (request.url !== '/metrics' || (request.method !== 'GET' && request.method !== 'HEAD'))
      return void response.writeHead(404).end()
    const { type, body } = await metrics.text()
    response.writeHead(200, { 'content-type': type, 'cache-control': 'no-store' }).end(body)
  })
}
