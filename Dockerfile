FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json tsconfig.base.json tsconfig.json LICENSE ./
COPY packages ./packages
COPY bench/package.json ./bench/
RUN npm ci --omit=dev --ignore-scripts
COPY scripts ./scripts
COPY docs ./docs
COPY examples ./examples
COPY src ./src
RUN npm run build && npm ci --workspace pairlay-relay --omit=dev --ignore-scripts

FROM node:24-bookworm-slim
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080
WORKDIR /app
LABEL org.opencontainers.image.title=pairlay org.opencontainers.image.licenses=MIT
COPY LICENSE ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/packages/relay ./packages/relay
# The user `node` by its number, which is how a Kubernetes cluster can tell that it is not root.
USER 1000
EXPOSE 8080
# The relay writes nothing: run it with --read-only.
HEALTHCHECK --interval=30s --timeout=3s --start-period=5s CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.PORT + '/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "packages/relay/bin/pairlay-relay.js"]
