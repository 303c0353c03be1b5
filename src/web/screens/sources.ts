import { button, h } from '../dom.ts'
import { WORDS } from '../words.ts'
import type { Context } from './parts.ts'

/** Buttons to choose what to send, in a place that also takes what is dropped. */
export function chooser({ controller }: Context, invitation: string): HTMLElement {
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
    { class: 'drop', 'data-keep': invitation },
    files,
    folder,
    h('p', {}, invitation),
    h(
      'div',
      { class: 'buttons' },
      button(WORDS.chooseFiles, () => files.click(), 'main'),
      hasFolders && button(WORDS.chooseFolder, () => folder.click()),
      button(WORDS.writeText, () => controller.tell({ is: 'write' })),
    ),
  )
}

/** Takes what is dropped or pasted anywhere on the page. */
export function takeDropsAndPastes(controller: Context['controller'], isWelcome: () => boolean): void {
  const body = document.body
  addEventListener('dragover', (event) => {
    event.preventDefault()
    if (isWelcome()) body.classList.add('dragging')
  })
  addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) body.classList.remove('dragging')
  })
  addEventListener('drop', async (event) => {
    event.preventDefault()
    body.classList.remove('dragging')
    if (!isWelcome() || !event.dataTransfer) return
    const files = await filesIn(event.dataTransfer)
    if (files.length > 0) await controller.addFiles(files)
    else addText(controller, event.dataTransfer.getData('text'))
  })
  addEventListener('paste', (event) => {
    const isField = (event.target as Element | null)?.closest('input, textarea')
    if (!isWelcome() || isField || !event.clipboardData) return
    event.preventDefault()
    const pasted = [...event.clipboardData.files].map((file) => ({ file, path: pastedName(file) }))
    if (pasted.length > 0) void controller.addFiles(pasted)
    else addText(controller, event.clipboardData.getData('text'))
  })
}

function addText(controller: Context['controller'], text: string): void {
  if (text !== '') controller.addText(text, WORDS.aText)
}

/** A picture in the clipboard is always called image.png. */
function pastedName(file: File): string {
  if (file.name !== 'image.png') return file.name
  const now = new Date()
  const two = (part: number) => String(part).padStart(2, '0')
  const day = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`
  return `Pasted ${day} ${two(now.getHours())}-${two(now.getMinutes())}.png`
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
