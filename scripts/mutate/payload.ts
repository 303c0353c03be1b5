// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are pieces of source text
import { connection, corrupt, lies, messages, operator, partial, relayApi, wrongCode } from './files.ts'
import { protection } from './mutation.ts'

const tenSteps = protection('test/e2e/ten-steps.test.ts')
const receivers = protection('test/e2e/receivers.test.ts')
const stream = protection('test/crypto/stream.test.ts')
const beside = protection('test/crypto/async-aead.test.ts')
const attacks = protection('test/crypto/stream-attacks.test.ts')
const model = protection('test/client/transfer/offer-model.test.ts')
const resumed = protection('test/client/transfer/resume.test.ts')
const folders = protection('test/node/folders.test.ts')
const saving = protection('test/client/transfer/saving.test.ts')
const rules = protection('test/client/transfer/rules.test.ts')
const keeping = protection('test/deep/browser/keeping.test.ts')
const channel = protection('test/client/link/channel.test.ts')

const OPENED = 'this.#aead.open(this.#key, nonce, chunk, output)'
export const PAYLOAD = [
  operator('message index in the key', 'splice the first transfer for the second, against the receiver', [
    'lv(`${LABEL}msg`, index)',
    'lv(`${LABEL}msg`)',
  ]),
  messages('chunk counter in the nonce', 'can drop, repeat, cut or swap no chunk', [
    'new DataView(nonce.buffer).setBigUint64(3, BigInt(this.#used++))',
    'this.#used++',
  ]),
  operator('last-chunk flag in the nonce', 'truncate to 1 of 3 chunks, claim the last, against the receiver', [
    'nonce[11] = last ? LAST : MORE',
    '',
  ]),
  operator('the flag is not believed', 'truncate to 1 of 3 chunks, claim the last, against the receiver', [
    OPENED,
    `{
        try {
          this.#aead.open(this.#key, nonce, chunk, output)
        } catch {
          nonce[11] = 1 - (nonce[11] ?? 0)
          this.#aead.open(this.#key, nonce, chunk, output)
        }
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
  beside('the test of a cipher beside the thread', 'it does not look at the tag', ['&& (await isForgeryRefused)', '']),
  beside('nothing of a message that was wiped meanwhile', 'under way when the message was wiped', [
    "if (this.#state !== 'running') throw new StreamError('The message is over.') if (last)",
    'if (last)',
  ]),
  stream('nothing after the last chunk', 'takes back that it finished when something follows the end', [
    "this.#state = 'broken' // something after the end: not the message that was sent throw new StreamError('The message is over.')",
    'return { plaintext: new Uint8Array(), last: true }',
  ]),
  corrupt('the hello comes first, and once', 'hello', [
    "if ((head.kind === 'hello') === (this.#hello !== undefined)) throw new PairingError('corrupt')",
    '',
  ]),
  corrupt('surplus bytes of content', 'content beyond what was announced', [
    "if (this.#entry === this.#entries.length) throw new PairingError('corrupt')",
    'if (this.#entry === this.#entries.length) return pieces',
  ]),
  corrupt('content needs a yes', 'content without a yes', [
    "if (life.is !== 'running' || life.received + bytes > life.through) throw corrupt()",
    "if (life.is !== 'running') return life",
  ]),
  corrupt('the length of what was sent', 'sent with another number than came', [
    "if (life.is !== 'running' || word.bytes !== life.received) throw corrupt()",
    "if (life.is !== 'running') throw corrupt()",
  ]),
  corrupt('every entry is whole at the end', 'sent while an entry is not whole', [
    "if (word.kind === 'sent' && before.is === 'running' && !this.#position.mayEnd) throw new PairingError('corrupt')",
    '',
  ]),
  corrupt('paths stay below their folder', 'two dots as a segment', ["segment !== '..' &&", '']),
  corrupt('one path for one entry', 'a path twice', ['if (clash === undefined) return undefined', 'return undefined']),
  corrupt('open offers are bounded', 'a second undecided offer', [
    'offer !== this.#offersHeard + 1 || isFull(this.incoming)',
    'offer !== this.#offersHeard + 1',
  ]),
  corrupt('posts stay within their allowance', 'posts above the allowance', [
    "if (this.#heard > this.#granted) throw new PairingError('corrupt')",
    '',
  ]),
  partial(
    'nothing is overwritten',
    'never takes the place of a file',
    ["if (error.code === 'EEXIST') throw error", ''],
    ['await requireFree(path) try {', 'try {'],
  ),
  partial(
    'no link is written through',
    'is not written through a link in its place',
    ['const flags = constants.O_WRONLY | constants.O_NOFOLLOW', 'const flags = constants.O_WRONLY'],
    ['if (where === undefined || where === path) return file', 'return file'],
  ),
  partial('no link is followed on the way', 'is not written where a link leads that was put in its way', [
    'if (where === undefined || where === path) return file',
    'return file',
  ]),
  partial('a link in the place of a file gets no name', 'gets no name where something else is in its place', [
    'await requireOwn(part, isFolder)',
    '',
  ]),
  partial('a folder of a partial is one of ours', 'is in a folder that was made for it, or nowhere', [
    'if (!info.isDirectory() || !isThisUsers(info)) throw error',
    '',
  ]),
  partial('no two files have one partial', 'with a long name is another one than that of a name', [
    'return `${beginning(name, maxBytes - DIGEST_SYMBOLS - 1)}~${digest}`',
    'return beginning(name, maxBytes)',
  ]),
  keeping('one page at a time has a transfer', 'has a transfer in one of them', [
    'navigator.locks.request(`${ROOT}:${token}`, options, held)',
    'navigator.locks.request(`${ROOT}:${token}:${Math.random()}`, options, held)',
  ]),
  saving('a file is whole before it has its name', 'all are whole before they get their names', [
    'await writing.ended() onSaving?.() await partial.finish',
    'onSaving?.() await partial.finish',
  ]),
  partial('a large file is on the disk before it has its name', 'of 1 MiB or more is on the disk before', [
    'if (at >= KEPT_FROM_BYTES) await flush(file)',
    '',
  ]),
  rules('nothing follows a withdrawal', 'that withdraws says nothing more', [
    "life.is === 'running' && !life.withdrawn ? life.through",
    "life.is === 'running' ? life.through",
  ]),
  rules('progress is what the other app has taken', 'counts as progress what the other app has taken', [
    'this.#life = say(this.#life, length)',
    'this.#life = say(this.#life, length); this.#tellProgress(length)',
  ]),
  rules('a post is held once it was acked', 'are held by the other device', [
    '{ onAcked: () => resolve(number) }',
    '{ onSent: () => resolve(number) }',
  ]),
  rules('an offer that crosses a goodbye has an answer', 'answers an offer that crossed it', [
    "if (this.#saidBye) return incoming.decline('closing')",
    '',
  ]),
  partial('a partial is written that is ours alone', 'is not written where it has another name', [
    'isOwnFile(info) && info.size >= bytes',
    'info.size >= bytes',
  ]),
  folders('a link in a partial makes it none', 'with a link put into what is there begins anew', [
    'return info.isFile() && info.nlink === 1 && isThisUsers(info)',
    'return true',
  ]),
  resumed('both sides have the same bytes', 'begins at 0 where the offerer', [
    'theirs(part.entry)?.sha256 === part.sha256',
    'theirs(part.entry)',
  ]),
  operator('frames have room for a chunk', 'grant frames too small for a chunk, against the sender', [
    "if (room < 1) throw new PairingError('relay_misbehaved')",
    '',
  ]),
  model('"Delivered" needs the receipt', 'is unconfirmed only after everything went out', [
    "return life.is === 'sent' ? { is: 'unconfirmed' } :",
    "return life.is === 'sent' ? { is: 'delivered', bytes: life.said, skipped: 0 } :",
  ]),
  lies('an ack is not delivery', 'into none: it acks everything itself', [
    'this.#outbox.say({ ...head, token: this.#token, resumes }, this.#lines)',
    `this.#outbox.say({ ...head, token: this.#token, resumes }, this.#lines, () => {
      this.#life = { is: 'over', outcome: { is: 'delivered', bytes: 0, skipped: 0 } }
      this.#settle()
    })`,
  ]),
  lies('the receipt’s offer, its moment and its bytes', 'counts for nothing', [
    "if (life.is !== 'sent' || word.bytes !== life.said) throw corrupt()",
    '',
  ]),
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
