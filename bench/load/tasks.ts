import { closeBulk, openBulk, runBulk, startBulk, stopBulk } from './bulk.ts'
import { flood, prepareJoins, runCommands, stopFlood } from './commands.ts'
import { closeFanOut, openFanOut, runFanOut } from './fan-out.ts'
import { attachSockets, connectSockets, holdSessions, release, storm } from './holding.ts'
import { listenAsBackend } from './links.ts'
import { floodFromOneAddress, stopOneAddress } from './one-address.ts'
import { runPairings } from './pairing.ts'
import { ping } from './ping.ts'
import { runSdkPairings } from './sdk.ts'

/** Tasks of a load generator. Arguments and results go between processes as they are. */
export const tasks = {
  listenAsBackend,
  openBulk,
  runBulk,
  startBulk,
  stopBulk,
  closeBulk,
  ping,
  runPairings,
  runSdkPairings,
  prepareJoins,
  runCommands,
  flood,
  stopFlood,
  floodFromOneAddress,
  stopOneAddress,
  holdSessions,
  attachSockets,
  connectSockets,
  storm,
  release,
  openFanOut,
  runFanOut,
  closeFanOut,
}
