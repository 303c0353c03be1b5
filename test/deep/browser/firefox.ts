import { existsSync } from 'node:fs'
import { type Browser, firefox } from 'playwright-core'

const EXECUTABLE = process.env.FIREFOX || '/usr/bin/firefox-esr'

/** Why the tests that need a Firefox are skipped, as in chromium.ts. */
export const WITHOUT_FIREFOX =
  existsSync(EXECUTABLE) || process.env.REQUIRE_ALL === '1'
    ? undefined
    : `there is no ${EXECUTABLE}; set FIREFOX to the path of a Firefox`

/** Starts a headless Firefox as it is shipped, with a fresh profile, driven over WebDriver BiDi. What it downloads goes into a folder. */
export function startFirefox(downloadsPath: string): Promise<Browser> {
  return firefox.launch({ channel: 'moz-firefox', executablePath: EXECUTABLE, downloadsPath })
}
