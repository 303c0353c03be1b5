import { Argument, InvalidArgumentError, Option } from 'commander'
import { TTL_MAX_SECONDS, TTL_MIN_SECONDS } from '../protocol/limits.ts'
import type { CommandSpec } from './command-spec.ts'

const relay = new Option(
  '--relay <url>',
  'the relay to use (default: $PAIRLAY_RELAY, or the one that pairlay config has, or one on this machine)',
)
const TTL = `${TTL_MIN_SECONDS} to ${TTL_MAX_SECONDS}`
const receivers = new Option('--receivers <n>', 'how many devices may be approved; a pipe has one')
const json = new Option('--json', 'print one event a line, as JSON, on stdout')
const quiet = new Option('-q, --quiet', 'show the code, questions and errors alone')
const plain = new Option('--plain', 'draw nothing again, without colours or blocks (also: $PAIRLAY_PLAIN)')
const timeout = new Option('--timeout <seconds>', 'end when nothing has happened for so long').argParser(
  wholeNumber(1, TTL_MAX_SECONDS),
)
const ANSWERS =
  'Answers read from a pipe count in advance: `echo y |` trusts as --yes does. At a terminal only what is typed after a ' +
  'question answers it.'

export const COMMANDS: readonly CommandSpec[] = [
  {
    name: 'send',
    does: 'show a code, pair with the device that enters it, and send',
    arguments: [new Argument('[path...]', 'files and folders to send, or - for stdin')],
    options: [
      relay,
      new Option('--access-token-file <path>', 'the file of the access token that this relay wants'),
      receivers.argParser(wholeNumber(1, 8)).default(1),
      new Option('--ttl <seconds>', `how long the session may take, ${TTL}; a relay may grant less`).argParser(
        wholeNumber(TTL_MIN_SECONDS, TTL_MAX_SECONDS),
      ),
      new Option('--text [text]', 'send a text instead: this one, or one that is asked for or read from stdin'),
      new Option('--name <name>', 'the name of what comes from stdin'),
      new Option('--yes', 'approve without asking: trusts every device that enters the code, up to --receivers'),
      timeout,
      json,
      quiet,
      plain,
      new Option('--no-qr', 'print no QR code'),
    ],
    note: ANSWERS,
    examples: {
      'pairlay send photo.jpg folder': 'a file and a folder, to the device that enters the code',
      'pg_dump db | pairlay send - --name db.sql': 'what a command prints',
      'pairlay send --text "hello"': 'a text',
    },
    load: async () => (await import('./send.ts')).send,
  },
  {
    name: 'receive',
    does: 'enter a code, and receive what its sender sends',
    arguments: [
      new Argument(
        '[code]',
        'the code or the link; asked for when missing, which is safer: other users of this machine can see a command line',
      ),
    ],
    options: [
      relay,
      new Option('-o, --output <path>', 'save as this file or into this directory; - writes to stdout'),
      new Option('--into <dir>', 'save into this directory, which is made if it is not there').conflicts('output'),
      new Option('--rename', 'give another name to what is there already, such as photo (2).jpg'),
      new Option('--overwrite', 'replace files that are there already').conflicts('rename'),
      new Option('--mode <octal>', 'the mode of what is saved, such as 644 (default: 600, for nobody else)').argParser(
        fileMode,
      ),
      new Option('--name <name>', "what the sender sees beside the number (default: the host name; '' for none)"),
      new Option('--yes', 'accept without asking: trusts whoever made the code to send what it likes'),
      new Option('--keep', 'stay for what else the sender offers, until it says goodbye'),
      timeout,
      json,
      quiet,
      plain,
    ],
    note: ANSWERS,
    examples: {
      'pairlay receive': 'asks for the code, and saves here',
      'pairlay receive --into ~/Downloads --rename': 'saves there, whatever is there',
      'pairlay receive --keep --yes': 'saves all that this sender offers, until it says goodbye',
      'pairlay receive -o - | tar x': 'unpacks an archive',
    },
    load: async () => (await import('./receive.ts')).receive,
  },
  {
    name: 'serve',
    does: 'run a relay; docs/operate.md lists the environment variables it reads',
    options: [
      new Option('--host <address>', 'the address to listen on').argParser(address),
      new Option('--port <number>', 'the port to listen on').argParser(wholeNumber(0, 65_535)),
    ],
    examples: { 'pairlay serve --host 0.0.0.0': 'a relay that other machines reach too' },
    load: async () => (await import('./serve.ts')).serve,
  },
  {
    name: 'verify',
    does: 'compare the page that a relay serves with that of this build',
    arguments: [new Argument('<url>', 'the relay, such as https://relay.example')],
    options: [],
    examples: { 'pairlay verify https://relay.example': 'says whether its page is the published one' },
    load: async () => (await import('./verify.ts')).verify,
  },
  {
    name: 'doctor',
    does: 'look at a relay through its proxy, and say what to change',
    arguments: [new Argument('<url>', 'the relay, such as https://relay.example')],
    options: [
      new Option('--access-token-file <path>', 'the file of the access token that this relay wants'),
      new Option('--origin <origin>', 'an origin whose pages are to call, such as https://app.example').argParser(
        origin,
      ),
      new Option('--idle [seconds]', 'also whether a silent connection stands, for a minute').argParser(
        wholeNumber(1, 3600),
      ),
    ],
    examples: {
      'pairlay doctor https://relay.example': 'what is well and what is not, a line each',
      'pairlay doctor https://relay.example --idle': 'the same, and a minute of silence',
    },
    load: async () => (await import('./doctor.ts')).doctor,
  },
  {
    name: 'token',
    does: 'make an access token, for a relay that opens sessions for those alone who have one',
    arguments: [new Argument('<action>', 'what to do').choices(['new']), new Argument('<name>', 'whoever gets it')],
    options: [],
    examples: {
      'pairlay token new ada >> tokens': 'shows a token for Ada, and adds its line to an ACCESS_TOKENS_FILE',
    },
    load: async () => (await import('./token.ts')).token,
  },
  {
    name: 'config',
    does: 'show, set or remove a setting: the relay to use, and the file of its access token',
    arguments: [
      new Argument('[name]', 'the setting').choices(['relay', 'access-token-file']),
      new Argument('[value]', 'what it is from now on, such as https://relay.example'),
    ],
    options: [new Option('--unset', 'remove the setting')],
    examples: {
      'pairlay config relay https://relay.example': 'the relay to use from now on',
      'pairlay config relay': 'shows it',
      'pairlay config access-token-file token': 'the file of the access token that this relay wants',
      'pairlay config --unset relay': 'removes it',
    },
    load: async () => (await import('./config.ts')).config,
  },
  {
    name: 'completion',
    does: 'print a script with which a shell completes command lines',
    arguments: [new Argument('<shell>', 'the shell').choices(['bash', 'zsh', 'fish'])],
    options: [],
    examples: {
      'source <(pairlay completion bash)': 'in ~/.bashrc; in ~/.zshrc the same with zsh, below compinit',
      'pairlay completion fish > ~/.config/fish/completions/pairlay.fish': 'once, for fish',
    },
    load: async () => {
      const { completion } = await import('./completion.ts')
      return (shell: Parameters<typeof completion>[0]) => completion(shell, COMMANDS)
    },
  },
]

function address(text: string): string {
  if (/^[A-Za-z0-9.:_-]+$/.test(text)) return text
  throw new InvalidArgumentError('It is an address such as 0.0.0.0 or ::.')
}

function origin(text: string): string {
  if (URL.canParse(text) && new URL(text).origin === text) return text
  throw new InvalidArgumentError('It is an origin such as https://app.example, without a path.')
}

function fileMode(text: string): number {
  if (/^0?[0-7]{3}$/.test(text)) return Number.parseInt(text, 8)
  throw new InvalidArgumentError('It is three octal digits such as 644: no file gets the rights of another user.')
}

function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= min && value <= max) return value
    throw new InvalidArgumentError(`It is a whole number from ${min} to ${max}.`)
  }
}
