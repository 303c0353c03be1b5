/** The relay that a person writes into the field. */
export function relayOfPage(): string {
  const field = document.querySelector<HTMLInputElement>('#relay')
  return field?.value.trim().replace(/\/$/, '') ?? ''
}
