/** Variables of the environment that the CLI minds. docs/cli.md and the man page print this table. */
export const ENVIRONMENT: Readonly<Record<string, string>> = {
  PAIRLAY_RELAY: 'the relay to use, unless --relay names one',
  PAIRLAY_ACCESS_TOKEN_FILE: 'the file of the access token that the relay wants, unless --access-token-file names one',
  PAIRLAY_PLAIN: 'anything: as --plain',
  NO_COLOR: 'anything: the QR code has no colours of its own',
  NODE_EXTRA_CA_CERTS: 'a PEM file with certificate authorities of your own, which are trusted beside the others',
  NODE_USE_ENV_PROXY: '1: the proxy that HTTPS_PROXY or HTTP_PROXY names is used, from Node 24 on',
  XDG_CONFIG_HOME: 'the folder that pairlay/config.json is in',
  XDG_STATE_HOME: 'the folder that pairlay/transfers and pairlay/tries are in',
}

/** Files of the CLI, where no variable says otherwise. */
export const FILES: Readonly<Record<string, string>> = {
  '~/.config/pairlay/config.json':
    'what pairlay config has set. On macOS it is in ~/Library/Application Support, on Windows in %APPDATA%',
  '~/.local/state/pairlay/transfers/':
    'what send needs to go on with a transfer that was cut: the newest 64, each for 30 days',
  '~/.local/state/pairlay/tries/': 'how often receive has tried each code',
  'NAME.TOKEN.part': 'what has come so far, beside where it is saved',
}
