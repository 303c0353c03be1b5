/** All states that a model can reach from `start`, each once, with whether it can move on. Ends by itself: at most `most`. */
export function explore<S>(
  start: S,
  moves: (state: S) => readonly S[],
  most = 500_000,
): { state: S; isEnd: boolean }[] {
  const seen = new Set([JSON.stringify(start)])
  const found: { state: S; isEnd: boolean }[] = []
  const open = [start]
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    const next = moves(state)
    found.push({ state, isEnd: next.length === 0 })
    for (const each of next) {
      const key = JSON.stringify(each)
      if (seen.has(key)) continue
      if (seen.size >= most) throw new Error(`the model has more than ${most} states`)
      seen.add(key)
      open.push(each)
    }
  }
  return found
}
