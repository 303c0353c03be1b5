const { Receiver, Sender, textSource } = require('pairlay')
const { safeName } = require('pairlay/node')
const { TestClock } = require('pairlay/testing')
const { handOver } = require('./hand-over.cjs')

if (new TestClock().outstanding !== 0 || safeName('a/b').includes('/')) throw new Error('a part is another one')
handOver({ Receiver, Sender, textSource }, process.env.RELAY).then((text) => {
  console.log(text)
  process.exit()
})
