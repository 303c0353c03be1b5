#!/usr/bin/env node
import module from 'node:module'

// Code stays compiled from one start to the next, where Node can keep it: from 22.1 on.
module.enableCompileCache?.()
await import('../dist/cli/main.js')
