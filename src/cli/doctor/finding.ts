/** Result of one check of `pairlay doctor`. */
export interface Finding {
  readonly check: string
  /** Name of the fault, undefined where there is none. */
  readonly fault?: Fault | undefined
  /** Sentences about it, for an operator. */
  readonly says: string
}

const PROXIES = ['nginx', 'HAProxy', 'Caddy', 'Apache'] as const
type Proxy = (typeof PROXIES)[number]

/** Lines for a proxy, or for the relay itself. */
type Advice = Readonly<Partial<Record<Proxy | 'relay', string>>>

/** Each fault, with what to change. docs/operate.md prints the names; a test holds the two together. */
export const FAULTS = {
  no_answer: { relay: 'start it, and look at the address, its name in DNS, the firewall and the proxy’s upstream' },
  bad_gateway: {
    nginx: 'proxy_pass names the address and port that the relay’s log has at its start',
    HAProxy: 'the server line names the address and port that the relay’s log has at its start',
    Caddy: 'reverse_proxy names the address and port that the relay’s log has at its start',
    Apache: 'ProxyPass names the address and port that the relay’s log has at its start',
    relay: 'PROXY_PROTOCOL is off, unless the proxy sends its header',
  },
  proxy_header: { relay: 'PROXY_PROTOCOL=on, with the proxy in TRUST_PROXY, or the proxy sends no such header' },
  not_a_relay: { relay: 'give the address that leads to the relay, with the path if it has one' },
  path_kept: {
    nginx: 'location /PATH/ { proxy_pass http://RELAY/; } with both slashes',
    HAProxy: 'http-request replace-path /PATH(/.*) \\1',
    Caddy: 'handle_path /PATH/* { reverse_proxy RELAY }',
    Apache: 'ProxyPass /PATH/ http://RELAY/ upgrade=websocket',
  },
  password: {
    nginx: 'take auth_basic away from this location',
    HAProxy: 'take http-request auth away',
    Caddy: 'take basic_auth away',
    Apache: 'Require all granted for this location',
    relay: 'ACCESS_TOKENS_FILE says who may open sessions',
  },
  redirect: { relay: 'give people the address that it leads to' },
  not_ready: { relay: 'its log says why: it stops, does not reach its Redis, or has no connection to spare' },
  name_refused: { relay: 'TRUST_PROXY names the proxy, or ALLOWED_HOSTS this name' },
  no_tls: { relay: 'put a proxy with TLS in front: deploy/proxies has a file for each' },
  certificate: {
    nginx: 'ssl_certificate names the full chain (fullchain.pem)',
    HAProxy: 'the crt file has the full chain, then the key',
    Caddy: 'take `tls internal` away, or trust its root with NODE_EXTRA_CA_CERTS',
    Apache: 'SSLCertificateFile names the full chain (fullchain.pem)',
  },
  proxy_not_trusted: { relay: 'TRUST_PROXY names the address that the proxy comes from' },
  address_missing: {
    nginx: 'proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;',
    HAProxy: 'option forwardfor',
    Caddy: 'take header_up -X-Forwarded-For away',
    Apache: 'ProxyAddHeaders On',
  },
  address_elsewhere: {
    relay: 'let the proxy put the client’s address into X-Forwarded-For: docs/operate.md has Cloudflare',
  },
  address_forged: { relay: 'TRUST_PROXY names the proxies alone, and no network that clients are in' },
  host_lost: {
    nginx: 'proxy_set_header Host $http_host;',
    HAProxy: 'take http-request set-header Host away',
    Caddy: 'take header_up Host away',
    Apache: 'ProxyPreserveHost On',
  },
  no_upgrade: {
    nginx: 'proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";',
    HAProxy: 'take option httpclose, and what deletes Upgrade or Connection, away',
    Caddy: 'take header_up -Upgrade and -Connection away',
    Apache: 'ProxyPass … upgrade=websocket, with mod_proxy_wstunnel',
  },
  small_requests: {
    nginx: 'client_max_body_size 1m;',
    HAProxy: 'take the rule about req.body_size away',
    Caddy: 'request_body { max_size 1MB }',
    Apache: 'LimitRequestBody 1048576',
  },
  rates: {
    nginx: 'take limit_req away from this location: the relay has limits of its own',
    HAProxy: 'take the rule about http_req_rate away: the relay has limits of its own',
    Caddy: 'take rate_limit away: the relay has limits of its own',
    Apache: 'take the limit of requests away: the relay has its own',
  },
  idle_cut: {
    nginx: 'proxy_read_timeout 5m;',
    HAProxy: 'timeout client 5m, timeout server 5m, timeout tunnel 5m',
    Caddy: 'take the short time-outs of servers and transport away',
    Apache: 'ProxyTimeout 300',
  },
  kept_too_long: {
    nginx: 'keepalive_timeout 60s; in the upstream block',
    HAProxy: 'pool-purge-delay 60s on the server line',
    Caddy: 'transport http { keepalive 60s }',
    Apache: 'ProxyPass … ttl=60',
    relay: 'start it again afterwards: it has noted this since its start',
  },
  creating_refused: { relay: 'give a token with --access-token-file, or ask from a network of CREATE_FROM' },
  no_transfer: { relay: 'its log, and the proxy’s, say more' },
  clock: { relay: 'set the clock of the relay’s machine or of this one: certificates and deadlines need it' },
  origin_refused: { relay: 'CORS_ORIGINS names this origin' },
} as const satisfies Readonly<Record<string, Advice>>

export type Fault = keyof typeof FAULTS

/** Lines that say what to change: for the proxy that named itself in `Server`, or for each that it can be. */
export function adviceFor(fault: Fault, server: string): string[] {
  const advice: Advice = FAULTS[fault]
  const named = PROXIES.find((proxy) => server.toLowerCase().startsWith(proxy.toLowerCase()))
  const shown = Object.entries(advice).filter(([who]) => named === undefined || who === named || who === 'relay')
  return shown.map(([who, line]) => `${who}: ${line}`)
}
