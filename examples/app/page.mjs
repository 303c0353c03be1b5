// examples/app/page.mjs: the same in a page, or in the window of Electron
import { enter, invite, listen, tell } from './pairing.mjs'

const $ = (/** @type {string} */ id) => /** @type {HTMLInputElement} */ (document.getElementById(id))

/** Takes what the person types next. @type {(text: string) => void} */
let take = () => {}
const ui = {
  // As text: nothing that comes from elsewhere is markup.
  say: (/** @type {string} */ text) => $('said').append(`${text}\n`),
  ask: (/** @type {string} */ question) => {
    ui.say(`${question}?`)
    return /** @type {Promise<string>} */ (
      new Promise((resolve) => {
        take = resolve
      })
    )
  },
}

$('form').addEventListener('submit', (event) => {
  event.preventDefault()
  take($('answer').value)
  $('answer').value = ''
})

$('start').addEventListener('click', async () => {
  $('start').disabled = true
  try {
    const [relay, code] = [$('relay').value, $('code').value]
    const device = code ? await enter(relay, code, ui) : await invite(relay, ui)
    ui.say('Paired.')
    take = (text) => void tell(device, text).catch((error) => ui.say(error.message))
    await listen(device, ui)
  } catch (error) {
    ui.say(/** @type {Error} */ (error).message)
  }
  $('start').disabled = false
})
