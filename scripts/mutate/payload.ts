// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are pieces of source text
import { connection, lies, messages, operator, relayApi, written, wrongCode } from './files.ts'
import { protection } from './mutation.ts'

const tenSteps = protection('test/e2e/ten-steps.test.ts')
const receivers = protection('test/e2e/receivers.test.ts')
const stream = protection('test/crypto/stream.test.ts')
const attacks = protection('test/crypto/stream-attacks.test.ts')
const transfer = protection('test/client/transfer/transfer.test.ts')
const channel = protection('test/client/link/channel.test.ts')

const OPENED = 'this.#aead.open(this.#key, this.#nonces.next(last && i === chunks - 1), chunk, output)'
const CHECKED = 'await this.#transfer.finish()'
const CONFIRMED = "this.#state = 'complete' if (await this.#confirm(bytes)) this.#state = 'confirmed'"
const WHOLE = 'const whole = Promise.all([receipt, this.#writing])'

export const PAYLOAD = [
  operator('message index in the key', 'splice the first transfer for the second, against the receiver', [
    'lv(`${LABEL}msg`, index)',
    'lv(`${LABEL}msg`)',
  ]),
  messages('chunk counter in the nonce', 'can drop, repeat, cut or swap no chunk', [
    'this.#view.setBigUint64(3, BigInt(this.#used++))',
    'this.#used++',
  ]),
  operator('last-chunk flag in the nonce', 'truncate to 1 of 3 chunks, claim the last, against the receiver', [
    'this.#nonce[11] = last ? LAST : MORE',
    '',
  ]),
  operator('the flag is not believed', 'truncate to 1 of 3 chunks, claim the last, against the receiver', [
    OPENED,
    `const nonce = this.#nonces.next(last && i === chunks - 1)
        try {
          this.#aead.open(this.#key, nonce, chunk, output)
        } catch {
          nonce[11] = 1 - (nonce[11] ?? 0)
          this.#aead.open(this.#key, nonce, chunk, output)
        }`,
  ]),
  operator('a frame has a chunk', 'leave only the flag of the last chunk, against the receiver', [
    'const fits = length > 0 &&',
    'const fits =',
  ]),
  attacks('flags are 00 and 01', 'cannot lie with the flag', ['|| (flag !== MORE && flag !== LAST)', '']),
  operator(
    'tag of a chunk, and the test of the cipher',
    'truncate to 2 of 3 chunks, claim the last, against the receiver',
    ['decipher.final()', ''],
    ['&& refusesForgery(candidate)', ''],
  ),
  stream('nothing after the last chunk', 'takes back that it finished when something follows the end', [
    "this.#state = 'broken' // something after the end: not the message that was sent throw new StreamError('The message is over.')",
    'return { plaintext: new Uint8Array(), last: true }',
  ]),
  lies('the approval comes first', 'C5: ', [
    "if (Object(await approval.readJson()).type !== 'approved') throw new PairingError('corrupt')",
    'await approval.readJson()',
  ]),
  lies('the end counts the transfers', 'with an end that counts', [
    "if (messages !== transfers) throw new PairingError('incomplete')",
    '',
  ]),
  transfer('surplus bytes in a transfer', 'the first surplus byte is corrupt', [
    "if (this.#rest.length > 0 || (await this.#body.read()) !== undefined) throw new PairingError('corrupt')",
    '',
  ]),
  lies('the receipt goes out after all was checked', 'is not taken, and gets no receipt', [
    `${CHECKED} await options.beforeReceipt?.() ${CONFIRMED}`,
    `await options.beforeReceipt?.()
      this.#state = 'complete'
      if (await this.#confirm(bytes)) this.#state = 'confirmed'
      ${CHECKED}`,
  ]),
  transfer(
    'the header’s length is checked before it is read',
    'a length above 64 KiB is refused before anything is read',
    ["if (length > TRANSFER_HEADER_MAX_BYTES) throw new PairingError('corrupt')", ''],
  ),
  operator('frames have room for a chunk', 'grant frames too small for a chunk, against the sender', [
    "if (room < 1) throw new PairingError('relay_misbehaved')",
    '',
  ]),
  written('a frame is acked when it was dealt with', 'a frame is acked only when the one after it is asked for', [
    'if (frame) return this.#opener.openFrame(frame).plaintext',
    `if (frame) {
          this.#channel.processed()
          return this.#opener.openFrame(frame).plaintext
        }`,
  ]),
  operator('"Delivered" needs the receipt', 'drop the receipt and what follows, against the sender', [
    WHOLE,
    'const whole = this.#writing.then((all): [unknown, number] => [all - header.length, all])',
  ]),
  operator('an ack is not delivery', 'forge acks and drop the payload, against the sender', [
    WHOLE,
    `const acked = async (): Promise<[unknown, number]> => {
      const all = await this.#writing
      await this.#run.channel.flushed()
      return [all - header.length, all]
    }
    const whole = acked()`,
  ]),
  operator('a row that says `done` is not delivery', 'forge done in the place of the receipt, against the sender', [
    'const error = run.over ?? errorOfAccident(thrown)',
    `const error = run.over ?? errorOfAccident(thrown)
      if (error.code === 'not_delivered') return { receiverCode, matchNumber, delivered: true, bytes: 0, ms: 0 }`,
  ]),
  lies('the receipt’s message index', 'counts for nothing', [
    "if (index !== this.#index) throw new PairingError('corrupt')",
    '',
  ]),
  lies('the receipt’s bytes', 'counts for nothing', ["if (received !== bytes) throw new PairingError('corrupt')", '']),
  stream('stream keys after a failure', 'are copied, so that the caller can wipe its own', [
    'stream.wipe() throw error instanceof StreamError',
    'throw error instanceof StreamError',
  ]),
  stream('stream keys after the last chunk', 'are copied, so that the caller can wipe its own', [
    'if (last) this.wipe() return frame',
    'return frame',
  ]),
]

const ENDED = 'else { run.end(run.over ?? endOf(run, row)) this.#runs.delete(channel) }'
const ended = (condition: string) => `else if (${condition}) {
        run.end(run.over ?? endOf(run, row))
        this.#runs.delete(channel)
      }`
const PINNED = 'row.receiverCode === pinned.receiverCode && row.channel === pinned.channel'

export const VIEWS = [
  operator('sender: a view of the other role', 'show the view of the other role, against the sender', [
    "view.role !== 'sender' || rows.size",
    'rows.size',
  ]),
  operator('sender: pinned receiver code', 'show another receiver code, against the sender', [
    `const samePlace = ${PINNED}`,
    'const samePlace = true',
  ]),
  operator('sender: pinned key', 'show another key, against the sender', [
    'const sameKey = row.publicKey === undefined || row.publicKey === pinned.publicKey',
    'const sameKey = true',
  ]),
  operator('sender: one row for a channel', 'show a second row of the same channel, against the sender', [
    'rows.size < view.receivers.length ||',
    '',
  ]),
  operator('sender: a row that is missing', 'show no receiver, against the sender', [ENDED, ended('row')]),
  operator('sender: a denial it did not give', 'forge denied, against the sender', [
    ENDED,
    ended("row?.state !== 'denied'"),
  ]),
  operator('sender: only pending rows begin', 'forge approval from the first view on, against the sender', [
    "const pending = view.receivers.filter(({ state }) => state === 'pending')",
    'const pending = view.receivers',
  ]),
  operator('receiver: a view of the other role', 'show the view of the other role, against the receiver', [
    "view.role !== 'receiver' || surplus",
    'surplus',
  ]),
  operator('receiver: one row', 'show a second receiver, against the receiver', ['surplus || !row ||', '!row ||']),
  operator('receiver: own code', 'show another receiver code, against the receiver', [
    PINNED,
    'row.channel === pinned.channel',
  ]),
  operator('receiver: own channel', 'show another channel, against the receiver', [
    PINNED,
    'row.receiverCode === pinned.receiverCode',
  ]),
  operator('receiver: own key', 'show another key, against the receiver', [
    'const sameKey = row.publicKey === undefined || row.publicKey === pinned.publicKey',
    'const sameKey = true',
  ]),
  operator('receiver: a denial ends it', 'forge denied, rejected, against the receiver', [
    "const ended = view.state === 'closed' ? undefined : errorOfRow(row)",
    'const ended = undefined',
  ]),
  operator('a closed session ends it', 'close, completed, against the receiver', [
    "if (view.state === 'closed') return this.end(errorOfCloseReason(view.reason))",
    '',
  ]),
  operator('views are parsed', 'say a view of another form, against the sender', [
    "const { data: view } = View.safeParse(parseJson(text)) if (!view) throw new PairingError('relay_misbehaved')",
    'const view = (View.safeParse(parseJson(text)).data ?? parseJson(text)) as View',
  ]),
  operator('nonsense ends the connection', 'say text that is not JSON, against the sender', [
    'try { work() } catch (error) { this.crash(error) }',
    'try { work() } catch {}',
  ]),
  connection('no frame before the first view', 'C6: a frame before the first view', [
    "if (this.#state.at !== 'attached') throw new PairingError('relay_misbehaved')",
    '',
  ]),
  operator('a number that came is dropped', 'duplicate every frame under its number, against the sender', [
    'if (frame.seq <= this.#received) return',
    '',
  ]),
  channel('a gap in the numbers', 'a gap is refused', ['if (isGap || this.#inboxCost', 'if (this.#inboxCost']),
  channel('more than the window, to a reader', 'C2: more than', ['this.#inboxCost > room ||', '']),
  channel('more than the handshake’s window, to a reader', 'before it is verified it takes 4,096 of cost', [
    'isHandshake ? HANDSHAKE_WINDOW_BYTES : this.#windowMax',
    'this.#windowMax',
  ]),
  operator('more than the window, from a writer', 'grant a window too small for a frame, against the sender', [
    'next && this.#sentCost + next.cost <= this.#window',
    'next',
  ]),
  connection('64 MiB at most, whatever the window', 'never is larger than what this client takes', [
    'const granted = Math.min(window, this.#windowMax)',
    'const granted = window',
  ]),
  operator('ack of more than was sent', 'ack more than was sent, against the sender', [
    "if (seq > this.#everSent || seq > this.#lastSeq) throw new PairingError('peer_misbehaved')",
    '',
  ]),
  operator('resume: more received than sent', 'resume with more received than was sent, against the sender', [
    "if (received > this.#everSent) throw new PairingError('peer_misbehaved')",
    '',
  ]),
  operator('resume: more acked than received', 'resume with more acked than received, against the sender', [
    'if (received < this.#acked || acked > received)',
    'if (received < this.#acked)',
  ]),
  operator('resume: less received than acked', 'resume with less received than was acked, against the sender', [
    'if (received < this.#acked || acked > received)',
    'if (acked > received)',
  ]),
  relayApi('an answer’s length', 'long', ['if (length - headroom > maxBytes) {', 'if (length < 0) {']),
  relayApi('codes of refusals are cleaned', 'a code that is not a word reaches neither message nor cause', [
    "return /^[a-z_]{1,40}$/.test(code) ? code : 'something_else'",
    'return code',
  ]),
]

export const APPROVALS = [
  wrongCode('a row before m4', 'is a row before m4 goes out', [
    'onVerified() await this.#steps.send(m4)',
    'await this.#steps.send(m4)\nonVerified()',
  ]),
  operator('a row never disappears', 'bring somebody with the code who leaves, against the sender', [
    'get verified(): readonly SenderRun[] { return this.#verified }',
    'get verified(): readonly SenderRun[] { return this.#verified.filter((run) => !run.over) }',
  ]),
  operator('two rows force typing', 'bring somebody with the code who leaves, against the sender', [
    'return this.#verified.length > 1 || wrongCode',
    'return wrongCode',
  ]),
  receivers('equal numbers approve nobody', 'of a number that two devices show is refused, for both', [
    "if (second) throw new PairingError('number_not_unique')",
    '',
  ]),
  receivers('the last approval retires the code', 'retires the code with the last device it allows', [
    'if (this.isFull) this.#options.room.retire()',
    '',
  ]),
  tenSteps('a denial retires the code', 'a denied one is told so, as the relay’s word, and the code is retired', [
    'room.retire() await room.dismiss',
    'await room.dismiss',
  ]),
  operator('payload only after the 204', 'refuse the approval, decision_made, against the sender', [
    "await api.decide(session, run.receiverCode, { decision: 'approved' })",
    "api.decide(session, run.receiverCode, { decision: 'approved' }).catch(() => {})",
  ]),
  operator('payload only for whom the person approved', 'forge approval, against the sender', [
    'const runs = approved.filter(',
    'const runs = this.#parts.room.verified.filter(',
  ]),
]
