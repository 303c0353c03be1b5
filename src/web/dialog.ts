import { button, buttons, h } from './dom.ts'

/** Asks in a dialog whose focus is on the harmless button. Escape is the harmless answer. */
export function confirm(question: string, yes: string, no: string): Promise<boolean> {
  return new Promise((resolve) => {
    const before = document.activeElement
    const close = (answer: boolean) => {
      dialog.close()
      dialog.remove()
      if (before instanceof HTMLElement && before.isConnected) before.focus()
      resolve(answer)
    }
    const harmless = button(no, () => close(false))
    harmless.autofocus = true
    const dialog = h(
      'dialog',
      { 'aria-label': question },
      h('p', {}, question),
      buttons(
        harmless,
        button(yes, () => close(true), 'main'),
      ),
    )
    dialog.addEventListener('cancel', (event) => {
      event.preventDefault()
      close(false)
    })
    document.body.append(dialog)
    dialog.showModal()
  })
}
