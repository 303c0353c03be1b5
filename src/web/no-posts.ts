import { PairingError } from '../client/index.ts'

/** Stands in for the posts of the SDK: the page says none, and allows none. */
export class Posts {
  readonly granted = 0
  allow() {}
  close() {}
  finish() {}
  end() {}

  open(): never {
    throw new PairingError('corrupt')
  }
}
