/** Hands a text from one device to another through a relay, and resolves with it as it has arrived. */
exports.handOver = async ({ Receiver, Sender, textSource }, relay) => {
  const sender = await Sender.open({ relay })
  const receiver = await Receiver.join({ relay, code: sender.code })
  const taken = (async () => {
    let text
    for await (const offer of receiver.offers()) {
      for await (const { stream } of offer.accept()) text = await new Response(stream).text()
    }
    return text
  })()
  for await (const _ of sender.requests()) await sender.approveNumber(await receiver.verified)
  await sender.send([textSource('from one device to another')])
  await sender.close()
  return taken
}
