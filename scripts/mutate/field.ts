// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are pieces of source text
import { connection, partial, relayApi, wrongCode } from './files.ts'
import { protection } from './mutation.ts'

const transfer = protection('test/e2e/transfer.test.ts')
const prompts = protection('test/cli/prompts.test.ts')
const usage = protection('test/cli/usage.test.ts')
const ending = protection('test/deep/cli/ending.test.ts')
const files = protection('test/cli/files.test.ts')
const format = protection('test/cli/format.test.ts')
const names = protection('test/cli/names.test.ts')
const progress = protection('test/cli/progress.test.ts')
const terminal = protection('test/cli/terminal.test.ts')
const width = protection('test/cli/width.test.ts')
const manner = protection('test/cli/manner.test.ts')
const qr = protection('test/cli/qr.test.ts')
const settings = protection('test/cli/config.test.ts')
const completion = protection('test/cli/completion.test.ts')
const staying = protection('test/deep/cli/staying.test.ts')
const cliTransfer = protection('test/cli/transfer.test.ts')
const attempts = protection('test/cli/attempts.test.ts')
const endings = protection('test/e2e/endings.test.ts')
const patience = protection('test/e2e/patience.test.ts')
const source = protection('test/client/source.test.ts')
const entry = protection('test/client/entry.test.ts')
const httpSocket = protection('test/client/link/http-socket.test.ts')
const cliFolders = protection('test/deep/cli/folders.test.ts')
const waitingRoom = protection('test/client/pairing/waiting-room.test.ts')
const hostile = protection('test/deep/fuzz/hostile-bounds.test.ts')
const strangers = protection('test/deep/adversary/strangers.test.ts')
const cluster = protection('test/deep/cluster/limits.test.ts')
const deaf = protection('test/deep/cluster/deaf.test.ts')
const addresses = protection('test/server/limits/client-address.test.ts')
const limits = protection('test/server/limits/limits.test.ts')
const tarpit = protection('test/server/limits/tarpit.test.ts')
const origins = protection('test/server/limits/origins.test.ts')
const frames = protection('test/server/http/frames.test.ts')
const route = protection('test/server/websocket/route.test.ts')
const operations = protection('test/server/http/operations.test.ts')
const config = protection('test/server/config.test.ts')
const start = protection('test/server/start.test.ts')
const server = protection('test/server/process.test.ts')
const redis = protection('test/store/redis.test.ts')
const redisNetwork = protection('test/deep/cluster/redis-network.test.ts')
const redisClock = protection('test/store/redis-clock.test.ts')
const digests = protection('test/store/address-digest.test.ts')
const deploy = protection('test/deploy.test.ts')
const image = protection('test/deep/image/image.test.ts')
const unit = protection('test/server/deploy.test.ts')
const access = protection('test/server/limits/access.test.ts')
const proxyProtocol = protection('test/server/limits/proxy-protocol.test.ts')
const doctor = protection('test/deep/cli/doctor.test.ts')
const requests = protection('test/conformance/conformance.test.ts')

/** By the cases of test/field/README.md: what keeps each from coming back. */
export const SIDES = [
  endings('Protocol F2: a sender that ends by itself tells the relay', 'a sender that ends by itself tells the relay', [
    'this.#telling = courtesy(this.#environment, this.#api.closeSession(this.#session))',
    '{}',
  ]),
  endings('Protocol F2: a receiver that ends by itself, too', 'a receiver that ends by itself tells the relay', [
    'this.#telling = courtesy(environment, api.endReceiver(this.session, this.receiverCode))',
    '',
  ]),
  patience('Protocol F2: a relay that does not answer keeps nobody', 'waits 10 s for a relay that does not answer', [
    'await atMost(environment, ms, telling).catch(() => {})',
    'await telling.catch(() => {})',
  ]),
  patience('Protocol F2: nor whoever denies', 'a sender that denies waits 10 s', [
    "return courtesy(environment, this.refuse(run.receiverCode, FAILURES[error.code]?.[0] ?? 'rejected'))",
    "return this.refuse(run.receiverCode, FAILURES[error.code]?.[0] ?? 'rejected')",
  ]),
  ending('Protocol F3: a question ends with its session', 'is asked no longer when the sender has ended the session', [
    'return await Promise.race([work(withdraw.signal), ended])',
    'return await work(withdraw.signal)',
  ]),
  ending('Protocol F4: success is said once it is known', 'and whose sender is not heard any more saves the file', [
    "${confirmed ? 'The relay says that the sender knows.' : doubt}",
    'The relay says that the sender knows.',
  ]),
  ending('Protocol F5: each receiver is let go by itself', 'is told of and let go while another one still decides', [
    'if (last) device?.close().catch(() => {})',
    '',
  ]),
  connection('Protocol F6: a peer’s lie ends its channel alone', 'an ack of what was never sent', [
    "if (!(error instanceof PairingError) || error.code === 'relay_misbehaved') throw error",
    'throw error',
  ]),
  ending('Protocol F7: how much of a pipe is there', 'in the middle of a pipe, says how much of it is there', [
    'if (written > 0)',
    'if (written < 0)',
  ]),
  usage('Protocol F8: a text is UTF-8', 'of what there is to send is exit 2 and one line', [
    'if (!isUtf8(text))',
    'if (false)',
  ]),
  cliTransfer('Protocol F8: a text keeps its bytes', 'of another client that is not UTF-8 reaches a pipe', [
    "Buffer.from(shownText(text).replace(/(?<!\\n)$/, '\\n')) : bytes",
    'Buffer.from(shownText(text)) : Buffer.from(text)',
  ]),
  progress('Protocol F9: a wait without an end is told', 'is told of after 30 s, once', [
    'now - lane.movedAt >= STALLED_AFTER_MS',
    'now < 0',
  ]),
  names('Protocol F14: runs of spaces in a name', 'runs of spaces in a name stay', [
    'const clean = shown(name)',
    "const clean = shown(name).replaceAll(/\\s+/g, ' ')",
  ]),
  endings('Protocol F16: payload needs the approval, at the receiver', 'payload before the approval is refused', [
    'if (isGap || this.#inboxCost > room || isEarly)',
    'if (isGap || this.#inboxCost > room)',
  ]),
  names('Protocol F17: a name ends no quotation', 'ends no quotation, and is cut to 64 characters', [
    '.replaceAll(QUOTES, "\'")',
    '',
  ]),
  requests('Protocol F18: an approval has no reason', 'an approval with a reason', [
    "z.object({ decision: z.literal('approved'), reason: z.optional(z.never()) })",
    "z.object({ decision: z.literal('approved') })",
  ]),
  wrongCode(
    'Security 2: whoever waits is answered',
    'whoever waits is answered at once',
    ['export const HANDSHAKES_MAX = 32', 'export const HANDSHAKES_MAX = 6'],
    ['if (!guessSpent) this.#taken--', ''],
  ),
  httpSocket('Security 5: the form of a view’s version', 'half of a surrogate pair as the version is no view', [
    'form.string({ pattern: /^[\\x21-\\x7e]{1,32}$/ })',
    'form.string()',
  ]),
  connection('Security 5: what nobody foresaw ends one connection', 'ends the connection as internal, with its cause', [
    'if (error !== undefined) return this.crash(error)',
    '',
  ]),
  relayApi('Security 6: limits that a relay tells', 'limits and times are never larger than this client takes', [
    'Math.min(answer.limits.windowBytes, WINDOW_MAX_BYTES)',
    'answer.limits.windowBytes',
  ]),
  hostile(
    'Security 6: what is read ahead of a source',
    'bytes does not take more of a source than the limits',
    [
      'const windowBytes = Math.min(answer.limits.windowBytes, WINDOW_MAX_BYTES)',
      'const { windowBytes } = answer.limits',
    ],
    ['const granted = Math.min(window, this.#windowMax)', 'const granted = window'],
    ['this.#window = Math.min(window, this.#windowMax)', 'this.#window = window'],
  ),
  waitingRoom('Security 7: rows that are looked at', 'invented receivers are looked at 1,024 times', [
    'if (!this.#slots.see()) return this.#takeUsedUp()',
    '',
  ]),
  hostile(
    'Security 7: calls about rows that are looked at',
    'ever new ones are met with a bounded number of calls',
    ['if (!this.#slots.see()) return this.#takeUsedUp()', ''],
    ['this.#refusals = this.#refusals .then(() =>', 'this.#refusals = Promise.resolve().then(() =>'],
  ),
  hostile('Security 7: what waits before it is verified', 'what they send is held within the handshake’s window', [
    'if (isGap || this.#inboxCost > room || isEarly)',
    'if (isGap)',
  ]),
  prompts('Security 10: a wrong code asks for the number', 'has to type the number once an attacker has tried', [
    'return this.#verified.length > 1 || wrongCode + timedOut + invalid > 0 || this.unproven > 0',
    'return this.#verified.length > 1',
  ]),
  strangers(
    'Security 10: whoever waits unproven asks for the number',
    'who saw the code joins first and fills the places',
    ['|| this.unproven > 0', ''],
  ),
  names('Security 13: a name looks like no number', 'looks like no number, whatever its digits are', [
    ".replaceAll(DIGITS, (digits) => digits.replaceAll(/\\p{N}/gu, '#'))",
    '',
  ]),
  cliTransfer('Security 15: what was received is its owner’s', 'the mode of a file that was received', [
    'const PRIVATE_FILE = 0o600',
    'const PRIVATE_FILE = 0o644',
  ]),
  usage(
    'Security 16: a device counts its tries',
    'is tried three times by a device at most',
    ['await attempts?.take(', 'await (undefined as typeof attempts)?.take('],
    ['(await attempts?.emitted(code.locator)) ?? 0', '0'],
  ),
  attempts('Security 16: a try is counted once', 'are never one too many, when twenty are made at the same time', [
    "flag: 'wx', mode: 0o600",
    "flag: 'w', mode: 0o600",
  ]),
  usage('Security 17: a long address is no address', 'with an impossible address is exit 2', [
    'if (text.length > ADDRESS_MAX)',
    'if (text.length < 0)',
  ]),
  prompts('Security 18: a relay that only a link names', 'is asked once about a relay that only the link names', [
    'if (relay === relayFrom(options.relay)) return',
    'return',
  ]),
  usage('Security 18: a way without TLS', 'on another machine is warned of when the way to it has no TLS', [
    "if (protocol === 'https:' ||",
    "if (protocol !== '' ||",
  ]),
  names('Security 19: invisible characters make no name', 'make no name', [
    ".replaceAll(UNSEEN, (_, needed: string | undefined) => needed ?? '')",
    '',
  ]),
  usage('Relay P7, CLI F61: a redirect is named', 'that sends us elsewhere is exit 4, and it is said where to', [
    "if (response.type === 'opaqueredirect' || (status >= 300 && status < 400)) {",
    'if (status === 0) {',
  ]),
  relayApi('Relay R6: an outage is called one', 'unavailable is relay_unavailable', [
    "unavailable: 'relay_unavailable',",
    "unavailable: 'at_capacity',",
  ]),
  names('CLI F01: a name keeps its extension', 'is whole up to 240 bytes, and beyond it is cut before its extension', [
    'const [stem, extension] = parted(name) return (',
    "const [stem, extension] = [name, '']\nreturn (",
  ]),
  partial('CLI F01: a temporary name fits', 'has a temporary name that fits too', [
    'fitting(thing, FILE_NAME_BYTES - suffix.length)',
    'thing',
  ]),
  names('CLI F02: a number stands before the extension', 'gets its number before the extension', [
    'return `${stem} (${n})${extension}`',
    'return `${stem}${extension} (${n})`',
  ]),
  names('CLI F03: joiners that scripts and emoji need', 'stay where they belong', [
    "(_, needed: string | undefined) => needed ?? ''",
    "() => ''",
  ]),
  names('CLI F03: joiners that glue nothing', 'go where they glue nothing', [
    "(_, needed: string | undefined) => needed ?? ''",
    '(all) => all',
  ]),
  cliTransfer('CLI F05: another name is told', 'that a sender makes up are saved as safe ones', [
    "was === undefined ? ['', '']",
    "was !== '' ? ['', '']",
  ]),
  files('CLI F09: a name that is not UTF-8', 'that has a name that is not UTF-8 is refused with the way out', [
    'const lost = path.includes(',
    'const lost = path === path + path.slice(0, 1) && path.includes(',
  ]),
  files('CLI F16: a size is asked for when the transfer begins', 'is sent as it is when the transfer begins', [
    'stat: async () => (await lookAt(where()).catch(() => ({ size }))).size,',
    '',
  ]),
  files('CLI F16: which file has changed', 'delivers nothing, and says which it was', [
    "if (size !== undefined && bytes !== size) throw failed('source_changed', source)",
    '',
  ]),
  files('CLI F17: a failure is no withdrawal', 'because the file has gone delivers nothing', [
    "this.#withdraw(isChanged ? 'source_changed' : 'failed', failure)",
    "this.#withdraw('cancelled', failure)",
  ]),
  partial('CLI F21: a file is private while it is partial', 'is for its owner alone, partial and saved', [
    'const PRIVATE_FILE = 0o600',
    'const PRIVATE_FILE = 0o644',
  ]),
  transfer('CLI F23: too many files', '100,001 items is refused', [
    'if (entries.length > ENTRIES_MAX) return `more than ${ENTRIES_MAX} files`',
    '',
  ]),
  ending('CLI F26: a refusal is named at the sender', 'and declines is named so at the sender', [
    "return new PairingError(reason === 'failed' ? 'receiver_failed' : reason)",
    "return new PairingError('not_delivered')",
  ]),
  files('CLI F26: a full disk is named at the sender', 'for want of room has its sender told that', [
    "/^(ENOSPC|EDQUOT|EFBIG)$/.test(error.code ?? '') ? 'no_space' : 'failed'",
    "'failed'",
  ]),
  files(
    'CLI F27: the output is looked at first',
    'because there is no such directory says so before it enters the code',
    ['const checked = await checkedOutput(terminal, options)', 'const checked = options'],
  ),
  files('CLI F27: a directory that cannot be written', 'is looked at before anything is asked of the relay', [
    'constants.W_OK).catch(',
    'constants.W_OK).catch(() => {}).catch(',
  ]),
  progress('CLI F30: a transfer that will be too late', 'is told of once, with how long a session has to be', [
    'if (this.#warned || leftMs === undefined || leftMs <= expires) return',
    'if (expires >= 0) return',
  ]),
  progress('CLI F30: the rate that a transfer needs', 'is foretold by the rate it needs', [
    'if (bytesPerSecond <= USUAL_BYTES_PER_SECOND) return undefined',
    'if (bytesPerSecond > 0) return undefined',
  ]),
  prompts('CLI F36: an ignored hang-up', 'continues when its terminal is closed: a sender', [
    "return SIGNALS.filter((signal) => signal !== 'SIGHUP')",
    'return SIGNALS',
  ]),
  ending('CLI F36: a hang-up without a terminal', 'ends nothing that has no terminal', [
    'outlives ??= !hasTerminal() ||',
    'outlives ??=',
  ]),
  usage('CLI F37: nobody to answer, at the sender', 'nobody to answer is exit 2 at the sender before it shows a code', [
    "if (!yes && !(await terminal.answerable(0))) throw new CliError(NOBODY_ANSWERS, 'usage')",
    '',
  ]),
  usage('CLI F37: nobody to answer, at the receiver', 'nobody to answer is exit 2 at the receiver before it joins', [
    "if (!options.yes && !(await terminal.answerable(PIPE_MS))) throw new CliError(NOBODY_ANSWERS, 'usage')",
    '',
  ]),
  names('CLI F48: a text stays as it is', 'keeps tabs, runs of spaces, newlines and joiners', [
    'if (kept.includes(character)) return character',
    '',
  ]),
  prompts('CLI F54: a mistyped code is asked for again', 'that has mistyped the code is told why and asked again', [
    'if (!again || !(error instanceof CliError)) throw error',
    'if (error !== undefined) throw error',
  ]),
  relayApi(
    'CLI F60: a certificate that is not trusted',
    'a connection that fails with CERT_HAS_EXPIRED is relay_untrusted',
    ["if (untrusted) return { code: 'relay_untrusted', detail: `It is ${untrusted[1]}.` }", ''],
  ),
  usage('CLI F60: how to trust an authority of one’s own', 'whose certificate is not trusted is named', [
    '/self-signed|authority/.test(detail)',
    "detail === ''",
  ]),
  source('CLI F75: bytes of every kind', 'is sent as its bytes', [
    'new Uint8Array(buffer, byteOffset, byteLength)',
    'new Uint8Array(buffer)',
  ]),
  source('CLI F75: what is no bytes', 'is refused at once, as a TypeError', [
    'return all && all.length === byteLength ? all : undefined',
    'return all || undefined',
  ]),
  source('CLI F75: a stream that was read', 'is not sent a second time as nothing', [
    'isRead = true',
    'isRead = false',
  ]),
  entry('CLI F77: a link is taken', 'names a code and a relay', [
    "if (fragment === undefined || address === '') return",
    'if (address === code.trim() || fragment !== code) return',
  ]),
  format('CLI F35: a transfer that stands still', 'tells neither a rate nor a time once nothing has moved', [
    'return now - this.#movedAt >= STILL_MS',
    'return now < 0',
  ]),
  progress('CLI F35: a terminal says so without being told', 'is shown as stalled at a terminal after 10 s', [
    'if (terminal.interactive) terminal.progress(this.#lines(now))',
    '',
  ]),
  terminal('CLI F35: a Ctrl-Z leaves what a shell wrote', 'begin below what a shell has written', [
    'if (now - this.#drawnAt > STOPPED_MS) this.#drawn = []',
    '',
  ]),
  format('CLI F39: a number stays on its line', 'but not inside a match number', [
    '/(?<!\\d{3}(?= \\d{3}\\b)) (?=\\S)',
    '/ (?=\\S)',
  ]),
  prompts('CLI F39: lines break between words', 'reads lines and questions that break between words', [
    'process.stderr.isTTY ? wrapped(text, columns()) : text',
    'text',
  ]),
  width('CLI F39: wide characters take two columns', 'the number and the code stand in one row', [
    '(character < FIRST_WIDE ? 1 : 2)',
    '1',
  ]),
  prompts('CLI F41: a dumb terminal', 'sees no QR code in a dumb terminal', ["TERM === 'dumb' ||", '']),
  manner('CLI F41, F47: a plain terminal', 'no ESC and no CR is written through a whole send and receive', [
    'this.interactive = !isPlain &&',
    'this.interactive = process.stderr.isTTY &&',
  ]),
  manner('CLI F47: a quiet command', 'a script reads the code, and the number at the receiver', [
    'if (!this.#shown.includes(need)) return',
    'if (this.json) return',
  ]),
  qr('CLI F44: a QR code that leads somewhere', 'as a relay without the field has none', [
    'JSON.parse(text).page === true',
    'JSON.parse(text).page !== false',
  ]),
  qr('CLI F44: a QR code that fits', 'is left out where it, or the lines below it, do not fit', [
    'if (modules.length > columns ||',
    'if (modules.length === 0 &&',
  ]),
  qr('a relay that says too much of itself', 'with too much has none', [
    'if (text.length > ANSWER_MAX_BYTES) return false',
    '',
  ]),
  usage('CLI F11: a name for what comes from a pipe', 'of what there is to send is exit 2', [
    'name !== undefined && !isFileName(name)',
    'name === undefined',
  ]),
  files('CLI F23: of many files the first are named', 'of many files the first are named', [
    '++placed <= MOST_SHOWN || was.has(name)',
    '++placed > 0',
  ]),
  files('CLI F24: another name where one is taken', 'saves although the name is taken', [
    'if (rename) return nextFree(free, isTaken)',
    '',
  ]),
  files('CLI F12: a link that a person chose', 'has a name of its own for each thing', [
    'found.add(await realTarget(path), name)',
    'found.add((await realTarget(path)) && path, name)',
  ]),
  cliFolders('CLI F20: an executable stays one', 'of 2,000 small files arrives exactly', [
    'const mode = this.#modeOf(x === true)',
    'const mode = this.#modeOf(false)',
  ]),
  partial('CLI F31: a partial goes on under another name', 'goes on under the name that it gets now', [
    'wasBegun ||= await takeOver(directory, token, things)',
    'wasBegun ||= await takeOver(directory, `${token}AA`, things)',
  ]),
  httpSocket('what waits for its call was not sent', 'is reported when its call begins', [
    'channel?.outbox.push({ ...frame, onLeaving })',
    'onLeaving(), channel?.outbox.push({ ...frame, onLeaving })',
  ]),
  files('CLI F28: room is looked for before anybody is asked', 'because there is no room says how much it takes', [
    'disk.bavail * disk.bsize >= rest',
    'disk.bavail * disk.bsize >= 0',
  ]),
  settings('CLI F65: the relay of the settings', 'the relay to use is that of --relay', [
    'relay === undefined ? DEFAULT_RELAY :',
    'relay !== "" ? DEFAULT_RELAY :',
  ]),
  settings('CLI F65: settings that are wrong', 'is not guessed where the settings are wrong', [
    'if (!wrong) return settings as Settings',
    'if (!wrong || text) return (settings ?? {}) as Settings',
  ]),
  completion('CLI F73: completion', 'gives commands, options, choices and files', [
    'COMPREPLY=($(compgen -W "$1" -- "$cur"))',
    ':',
  ]),
  usage('CLI F56: one line to paste', 'both sides print plain lines on stderr', [
    'terminal.say(`\\n  ${commandFor(code, relay)}\\n`)',
    '',
  ]),
  progress('CLI F67: a program is told how far it is', 'is told at least twice a second while something moves', [
    'const EVENT_EVERY_MS = 400',
    'const EVENT_EVERY_MS = 5_000',
  ]),
  staying('a receiver takes one offer', 'takes one offer and says goodbye', [
    'else void state.device.close().catch(() => {})',
    '',
  ]),
  staying('--keep outlives what is declined', 'stays with --keep when it declines one', [
    'if (!options.keep || state.over || signal.aborted) throw error',
    'throw error',
  ]),
  staying('CLI F31: --timeout of a sender', 'a sender whose receiver takes nothing more is exit 5', [
    'await Promise.race([work, this.ended])',
    'await work',
  ]),
  usage('CLI F59: a proxy that is not used', 'it is said that the proxy is not used', [
    "if (!proxy || proxy.isUsed) return ''",
    "if (proxy !== null) return ''",
  ]),
  usage('CLI F68: a Node that is too old', 'a Node that is too old is named', [
    "if (process.versions.node.localeCompare(needed, 'en', { numeric: true }) < 0) {",
    'if (process.argv.length < 0) {',
  ]),
]

export const OPERATOR = [
  limits('Security 4: joins and creates of one address', 'beyond the limit of a client address are rate_limited', [
    'if (!count.isAllowed && count.isExceeded) throw refusal(count.ttlInSeconds)',
    '',
  ]),
  access('opening a session takes a token where there are any', 'takes a token of the file', [
    "if (!tokens.has(token)) throw new RelayError('unauthorized', 'the access token is not one of this relay')",
    '',
  ]),
  access('opening a session takes a network of CREATE_FROM', 'takes a client of the networks', [
    "if (isFromNetworks?.(request) === false) throw new RelayError('access_denied')",
    '',
  ]),
  proxyProtocol('a proxy that has to name its clients', 'resets a connection of the proxy without a header', [
    "if (header.kind === 'wrong') return miss()",
    "if (header.kind === 'wrong') return serve(socket)",
  ]),
  server('a wrong beginning on a unix socket', 'on a unix socket outlives attackers', [
    'if (socket.remoteAddress === undefined) socket.destroy()\n  else socket.resetAndDestroy()',
    'socket.resetAndDestroy()',
  ]),
  limits('attaches of one address, by a socket', 'by sockets and over HTTP count together', [
    'await rates.attach?.(request)',
    '',
  ]),
  limits('attaches of one address, over HTTP', 'by sockets and over HTTP count together', [
    'onRequest: asked(rates.attach, tokenBeforeBody(relay, SessionParams))',
    'onRequest: tokenBeforeBody(relay, SessionParams)',
  ]),
  limits('a code that an address has used up is no guess', 'has used up are no unknown codes', [
    '&& !(error instanceof CodeUsedUp)',
    '',
  ]),
  limits('a limit names TRUST_PROXY for a proxy that it leaves out', 'names TRUST_PROXY where all clients', [
    'BY_ADDRESS.has(kind) && this.#addresses.isOne',
    'false',
  ]),
  config('a network of everybody is too wide', 'has no network of everybody, or of half of them', [
    'return prefix !== undefined && prefix.bits >= WIDEST[prefix.kind]',
    'return prefix !== undefined',
  ]),
  start('a small heap beside a small budget', 'is little beside a small budget', [
    'const isShort = budgetBytes < LARGE_BUDGET_BYTES ||',
    'const isShort =',
  ]),
  tarpit('Security 4: an address that asks too often', 'an address that is refused too often waits for its answer', [
    'if (isStopping() || !seconds.exceeds(request.clientAddress, reply.statusCode >= 400)) return done(null, payload)',
    'return done(null, payload)',
  ]),
  deaf(
    'Security 8: a message on the bus that is none ends nothing',
    'a node that heard what is no message hears and says',
    [
      'if (!message.success) return',
      `if (!message.success || this.#publish === undefined) {
      this.#publish = undefined
      return
    }`,
    ],
  ),
  deaf('Security 8: a node that is deaf', 'a node that does not hear itself for 5 s is deaf', [
    'return this.#own.now() - this.#heardAt > DEAF_MS',
    'return this.#heardAt < 0',
  ]),
  frames('Security 9: the token before the body', 'of a token do not wait for a body', [
    'const onRequest = tokenBeforeBody(relay, FrameParams, FrameQuery)',
    'const onRequest = async () => {}',
  ]),
  route('Security 9: the length of a first message', 'whose first message is longer than an attach may be', [
    'export const ATTACH_MAX_BYTES = 4096',
    'export const ATTACH_MAX_BYTES = 1_000_000',
  ]),
  deploy('Security 11, Relay X6: single addresses are trusted', 'trusts single addresses that no client can have', [
    'TRUST_PROXY: 172.28.83.1',
    'TRUST_PROXY: 172.28.83.0/28',
  ]),
  digests('Security 12: a digest has a key', 'is not found by an attacker who tries addresses without the key', [
    "return createHmac('sha256', key)",
    "return createHmac('sha256', '')",
  ]),
  origins('Security 14: pages of other sites', 'from a page of another site is forbidden', [
    'if (isOriginOf(origin, headers.host)) return',
    'return',
  ]),
  origins('Security 14: a name that was rebound', 'a name can be rebound', [
    "return name !== '' && (names.has(name) ||",
    "return name !== '' && (name.length > 0 ||",
  ]),
  limits('Relay D7: unknown codes', 'with unknown codes beyond their limit make every join wait', [
    'asked(rates.unknownCode.check, rates.join)',
    'asked(rates.join)',
  ]),
  addresses('Relay X1: an address with a port', 'that a trusted proxy writes as', [
    '/^\\[([^\\]]+)\\](?::\\d{1,5})?$/.exec(trimmed) ?? /^(\\d+\\.\\d+\\.\\d+\\.\\d+):\\d{1,5}$/.exec(trimmed) ?? []',
    '[]',
  ]),
  addresses('Relay X5, X7: headers that are not read', 'is worth a warning when it names another address', [
    'if (named.length > 0 && !named.some(',
    'if (named.length < 0 && !named.some(',
  ]),
  addresses('Relay P19: a proxy that says nothing', 'that a trusted proxy leaves out', [
    "if (told === undefined && request.url?.startsWith('/v1/')) yield 'silent'",
    '',
  ]),
  operations('Relay P24: idle connections', 'the time-outs are the documented ones', [
    'export const KEEP_ALIVE_TIMEOUT_MS = 125_000',
    'export const KEEP_ALIVE_TIMEOUT_MS = 5_000',
  ]),
  operations('tokens that are drawn ahead', 'an attacker who reads memory finds none', [
    'drawn.fill(0, used, used + bytes)',
    '',
  ]),
  config('Relay E1: a refused value is shown', 'an error shows the value on one line', [
    '${wrongValue(variable, value)}',
    '',
  ]),
  config('Relay E2: spaces in a list', 'CORS_ORIGINS has its form, and anything else is refused by name', [
    "value.split(',').map((item) => item.trim())))",
    "value.split(',')))",
  ]),
  start('Relay E4: a misspelt setting', 'environment variables that look like a setting', [
    'distance <= (plain.length > 5 ? 2 : 1) ? 0',
    'distance < 0 ? 0',
  ]),
  config('Relay E5: a secret in a file', 'REDIS_URL_FILE is a file that has REDIS_URL in it', [
    'readFile(path).trim()',
    "''",
  ]),
  config('Relay E9: how a URL is written', 'a REDIS_URL of another kind is refused with the reason', [
    "return 'a unix socket is not supported'",
    'return undefined',
  ]),
  server('Relay E11: what a proxy says on a unix socket', 'on a unix socket believes what its proxy says', [
    'if (!client.isTrusted) break',
    'if (!client.address || !client.isTrusted) break',
  ]),
  server('Relay I11: transfers that run may end', 'on SIGTERM lets a transfer end within DRAIN_SECONDS', [
    '!err && relay.figures.approved > 0;',
    '!err && relay.figures.approved > 1e9;',
  ]),
  relayApi('Relay P12: a path that is not taken off', 'a path that a proxy has not taken off is told in words', [
    "error.code === 'not_found' ? NO_SUCH_PATH",
    "error.code === 'teapot' ? NO_SUCH_PATH",
  ]),
  httpSocket(
    'Relay P16: a call that a limit on rates refused is made again',
    'the call is made again, later each time',
    ['if (!isOfRate(error) || tries === TRIES) throw error', 'throw error'],
  ),
  settings('an access token of the settings goes to its relay alone', 'an attacker’s gets none', [
    'return kept !== undefined && relayUrl(kept) === relay ? file : undefined',
    'return file',
  ]),
  doctor('Relay P16: a proxy that limits rates', 'nginx that limits rates', [
    'if (first === undefined) return { check, says: `${BURST} calls at once are answered.` }',
    "if (first !== 'x') return { check, says: `${BURST} calls at once are answered.` }",
  ]),
  doctor('Relay P24: who ends an idle connection', 'nginx that keeps idle connections for longer', [
    'this.#isKept ||= this.isTrusted(remoteAddress)',
    'this.isTrusted(remoteAddress)',
  ]),
  doctor('Relay X6: an address that a client has made up', 'whose clients are in a network of TRUST_PROXY', [
    "if (range !== 'loopback' && range !== forged?.range && forged?.range === 'reserved')",
    "if (range === 'never')",
  ]),
  server('Relay E13: the settings in force', 'says at the start which settings are in force', [
    '...settingsInForce(process.env),',
    '',
  ]),
  server('Relay E14: ready is said when it is true', 'that does not reach its Redis does not say that it is ready', [
    "while (relay.unready === 'unavailable') await delay(LOOK_MS, undefined, { ref: false }) if (!relay.unready) logger",
    'logger',
  ]),
  start('Relay R2: the end of an outage', 'has the start and the end of each outage', [
    'if (isReachable && this.#awaySince !== undefined) {',
    'if (!isReachable && this.#awaySince === -1) {',
  ]),
  cluster('Relay R3: a server that forgets', 'that forgets keys when it is full is said in the log', [
    "if (policy === 'noeviction' ||",
    "if (policy !== '' ||",
  ]),
  redis('Relay R3: sessions that are not there make room', 'a full set makes room for the sessions in it', [
    "if (dead.length > 0) await this.#redis.command('ZREM', set, ...dead)",
    '',
  ]),
  redisNetwork('an own disconnect is no failure of Redis', 'that the node itself gives up with a command in flight', [
    'if (!(error instanceof DisconnectsClientError)) options.onError(error)',
    'options.onError(error)',
  ]),
  redisClock('Relay R5: a clock that jumps', 'moves no deadline, at any node', [
    'if (Math.abs(jumped) <= JUMP_MS) {',
    'if (Math.abs(jumped) >= 0) {',
  ]),
  deploy('Relay I5: a health check without a second Node', 'is healthy when the relay says 200, and not', [
    '[[ $status == 200 ]]',
    '[[ -n $status ]]',
  ]),
  image('Relay I6: what the image says it is', 'says what it is, of which version and licence', [
    'image.licenses="MIT"',
    'image.licenses=""',
  ]),
  unit('Relay I7: a user of its own for the service', 'the unit for systemd has no mistake', ['DynamicUser=yes', '']),
  deploy('Relay I4: the image’s user is a number', 'runs as a user with a number', ['USER 1000', 'USER node']),
  server('Relay I9: a hang-up without a terminal', 'without a terminal ignores SIGHUP', [
    "(['SIGHUP', 'SIGUSR2'] as const).filter(",
    "(['SIGUSR2'] as ('SIGHUP' | 'SIGUSR2')[]).filter(",
  ]),
  start('Relay I15: a budget fits its container', 'has to have room for its budget beside the process', [
    'if (container === undefined || budgetBytes + PROCESS_BYTES <= container) return undefined',
    'if (budgetBytes > 0) return undefined',
  ]),
  start('Relay I16: connections and descriptors', 'is of connections what file descriptors allow', [
    'if (descriptors === undefined) return wanted',
    'if (wanted > 0) return wanted',
  ]),
  limits('Relay I16: connections beyond the maximum', 'beyond the maximum are answered with at_capacity', [
    'if (!beyond.has(raw.socket)) return done()',
    'if (beyond) return done()',
  ]),
]
