import { button, buttons, h } from '../dom.ts'
import { WORDS } from '../words.ts'
import type { Context } from './parts.ts'

/** Buttons to choose what to send. `large` is a place that invites to drop something; `small` is a line. */
export function chooser({ controller }: Context, kind: 'large' | 'small', invitation: string): HTMLElement {
  const files = h('input', { type: 'file', multiple: true, hidden: true })
  const folder = h('input', { type: 'file', hidden: true, webkitdirectory: true })
  for (const input of [files, folder]) {
    input.onchange = () => {
      const chosen = [...(input.files ?? [])].map((file) => ({ file, path: file.webkitRelativePath || file.name }))
      input.value = ''
      if (chosen.length > 0) void controller.addFiles(chosen)
    }
  }
  const hasFolders = 'webkitdirectory' in folder && matchMedia('(pointer: fine)').matches
  return h(
    'div',
    { class: `chooser ${kind}`, 'data-keep': `chooser ${kind}` },
    files,
    folder,
    h('p', {}, invitation),
    buttons(
      button(WORDS.chooseFiles, () => files.click(), kind === 'large' ? 'main' : 'plain'),
      hasFolders && button(WORDS.chooseFolder, () => folder.click()),
      button(WORDS.writeText, () => controller.tell({ is: 'write' })),
    ),
    shrinksPhotos() && h('p', { class: 'quiet' }, WORDS.keepPhotos),
  )
}

/** Reports whether the picker makes photos smaller unless it is told not to: iOS alone knows this property. */
function shrinksPhotos(): boolean {
  return CSS.supports('-webkit-touch-callout', 'none')
}

/** Takes what is dropped or pasted anywhere on the page, while there is somewhere to put it. */
export function takeDropsAndPastes(controller: Context['controller']): void {
  const isWelcome = () => ['start', 'chosen', 'connected'].includes(controller.state.screen.is)
  const { classList } = document.body
  addEventListener('dragover', (event) => {
    event.preventDefault()
    classList.toggle('dragging', isWelcome())
  })
  addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) classList.remove('dragging')
  })
  addEventListener('drop', async (event) => {
    event.preventDefault()
    classList.remove('dragging')
    if (!isWelcome() || !event.dataTransfer) return
    const text = event.dataTransfer.getData('text')
    const files = await filesIn(event.dataTransfer)
    if (files.length > 0) await controller.addFiles(files)
    else if (text !== '') controller.write(text)
  })
  addEventListener('paste', (event) => {
    const isField = event.target instanceof Element && event.target.closest('input, textarea')
    if (!isWelcome() || isField || !event.clipboardData) return
    event.preventDefault()
    const pasted = [...event.clipboardData.files].map((file) => ({ file, path: pastedName(file.name, new Date()) }))
    const text = event.clipboardData.getData('text')
    if (pasted.length > 0) void controller.addFiles(pasted)
    else if (text !== '') controller.write(text)
  })
}

/** A name for what was in the clipboard: a picture there is always called image.png. */
export function pastedName(name: string, now: Date): string {
  if (name !== 'image.png') return name
  const two = (part: number) => String(part).padStart(2, '0')
  const day = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`
  return `${WORDS.pasted.replace('{when}', `${day} ${two(now.getHours())}-${two(now.getMinutes())}`)}.png`
}

type Found = { readonly file: File; readonly path: string }

/** Files of a drop, with those in folders that were dropped. */
async function filesIn(data: DataTransfer): Promise<Found[]> {
  // All entries are asked for first: the list is empty after the first wait.
  const entries = [...data.items].map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry != null)
  if (entries.length === 0) return [...data.files].map((file) => ({ file, path: file.name }))
  const found: Found[] = []
  for (const entry of entries) await walk(entry, entry.name, found)
  return found
}

async function walk(entry: FileSystemEntry, path: string, found: Found[]): Promise<void> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject))
    found.push({ file, path })
    return
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject))
    if (some.length === 0) return
    for (const each of some) await walk(each, `${path}/${each.name}`, found)
  }
}
