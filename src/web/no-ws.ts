/** Stands in for the package of Node: a browser has its own WebSocket. */
export const WebSocket = globalThis.WebSocket
