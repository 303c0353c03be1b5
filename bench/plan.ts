/** How much of everything a run does. Every size is bounded, and every section has a time after which it starts no round. */

const MIB = 1024 * 1024

/** Four chunks of 64 KiB and their overhead, and the frame's header: what the SDK sends. */
export const SDK_FRAME_BYTES = 262_217
/** A single such chunk. */
export const CHUNK_FRAME_BYTES = 65_561
/** 64 bytes of ciphertext and the header. */
export const SMALL_FRAME_BYTES = 72

export interface Plan {
  readonly relaying: { readonly bytes: number; readonly rounds: number; readonly secondsPerTable: number }
  readonly smallFrames: {
    readonly floodSeconds: number
    readonly pings: number
    readonly pingGapMs: number
    readonly rounds: number
    readonly secondsPerTable: number
  }
  readonly pairing: {
    readonly alone: number
    readonly together: number
    readonly withSdk: number
    readonly warmUp: number
    readonly commands: number
    readonly rounds: number
    readonly secondsPerTable: number
  }
  readonly holding: {
    readonly sessions: readonly number[]
    readonly sockets: readonly number[]
    readonly pairings: number
    readonly storeSessions: readonly number[]
    readonly storeOperations: number
    readonly rounds: number
    readonly secondsPerTable: number
  }
  readonly flatness: {
    readonly sessions: number
    readonly sockets: number
    readonly bytes: number
    readonly rounds: number
    readonly seconds: number
  }
  readonly misbehaving: {
    readonly fanOutBytes: number
    readonly stormSockets: number
    readonly floodSeconds: number
    readonly rounds: number
    readonly secondsPerTable: number
  }
  readonly nodes: {
    readonly bytes: number
    readonly pings: number
    readonly pingGapMs: number
    readonly pairings: number
    readonly warmUp: number
    readonly rounds: number
    readonly secondsPerTable: number
  }
  readonly builds: {
    readonly bytes: number
    readonly messages: number
    readonly commands: number
    readonly pairings: number
    readonly held: number
    /** Of each process, in each round. */
    readonly turns: number
    readonly rounds: number
    readonly seconds: number
  }
  readonly endToEnd: {
    readonly bytes: readonly number[]
    readonly rounds: number
    /** Of three bytes, and of starts. */
    readonly smallRounds: number
    readonly secondsPerSize: number
  }
  readonly browserPage: { readonly bytes: number; readonly rounds: number; readonly seconds: number }
  readonly folders: { readonly files: number; readonly rounds: number; readonly seconds: number }
}

export const FULL: Plan = {
  relaying: { bytes: 1024 * MIB, rounds: 5, secondsPerTable: 120 },
  smallFrames: { floodSeconds: 2, pings: 2000, pingGapMs: 2, rounds: 5, secondsPerTable: 75 },
  pairing: { alone: 300, together: 3000, withSdk: 100, warmUp: 4000, commands: 20_000, rounds: 5, secondsPerTable: 60 },
  holding: {
    sessions: [1000, 10_000, 100_000],
    sockets: [1000, 10_000, 50_000],
    pairings: 200,
    storeSessions: [1000, 10_000, 100_000, 1_000_000],
    storeOperations: 300_000,
    rounds: 3,
    secondsPerTable: 100,
  },
  flatness: { sessions: 100_000, sockets: 10_000, bytes: 1024 * MIB, rounds: 5, seconds: 90 },
  misbehaving: { fanOutBytes: 1024 * MIB, stormSockets: 10_000, floodSeconds: 10, rounds: 3, secondsPerTable: 75 },
  nodes: { bytes: 512 * MIB, pings: 2000, pingGapMs: 2, pairings: 1500, warmUp: 1000, rounds: 5, secondsPerTable: 60 },
  builds: {
    bytes: 192 * MIB,
    messages: 60_000,
    commands: 3000,
    pairings: 300,
    held: 2000,
    turns: 7,
    rounds: 3,
    seconds: 400,
  },
  endToEnd: { bytes: [512 * MIB, 2048 * MIB], rounds: 3, smallRounds: 7, secondsPerSize: 90 },
  browserPage: { bytes: 2048 * MIB, rounds: 2, seconds: 240 },
  folders: { files: 20_000, rounds: 5, seconds: 120 },
}

/** Every goal, in four minutes on two cores. */
export const QUICK: Plan = {
  relaying: { bytes: 192 * MIB, rounds: 2, secondsPerTable: 9 },
  smallFrames: { floodSeconds: 0.3, pings: 400, pingGapMs: 2, rounds: 1, secondsPerTable: 8 },
  pairing: { alone: 60, together: 400, withSdk: 12, warmUp: 1500, commands: 4000, rounds: 2, secondsPerTable: 6 },
  holding: {
    sessions: [1000, 10_000],
    sockets: [1000, 4000],
    pairings: 30,
    storeSessions: [1000, 10_000, 100_000],
    storeOperations: 40_000,
    rounds: 1,
    secondsPerTable: 10,
  },
  flatness: { sessions: 20_000, sockets: 2000, bytes: 192 * MIB, rounds: 2, seconds: 10 },
  misbehaving: { fanOutBytes: 192 * MIB, stormSockets: 2000, floodSeconds: 2, rounds: 1, secondsPerTable: 8 },
  nodes: { bytes: 48 * MIB, pings: 150, pingGapMs: 2, pairings: 120, warmUp: 120, rounds: 2, secondsPerTable: 3 },
  builds: {
    bytes: 64 * MIB,
    messages: 20_000,
    commands: 1000,
    pairings: 100,
    held: 300,
    turns: 1,
    rounds: 1,
    seconds: 10,
  },
  endToEnd: { bytes: [512 * MIB], rounds: 1, smallRounds: 3, secondsPerSize: 15 },
  browserPage: { bytes: 128 * MIB, rounds: 1, seconds: 20 },
  folders: { files: 10_000, rounds: 1, seconds: 20 },
}
