export default { test: { include: ['test/**/*.test.ts'], testTimeout: 120000, hookTimeout: 120000 } }
