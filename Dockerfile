# The index of this base for all its platforms. Another is given by --build-arg NODE_IMAGE=node:24-bookworm-slim@sha256:…, where
# `docker buildx imagetools inspect node:24-bookworm-slim` shows the newest. An image of other origin needs Node, npm and bash.
ARG NODE_IMAGE=docker.io/library/node:24.21.0-bookworm-slim@sha256:0e0ff40c39bc087845bfb27465a0df4ea419520094bc35842ff83dd8cbe6f9b6

FROM ${NODE_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json tsconfig.base.json tsconfig.json LICENSE ./
COPY packages ./packages
COPY bench/package.json ./bench/
RUN npm ci --omit=dev --ignore-scripts
COPY scripts ./scripts
COPY docs ./docs
COPY examples ./examples
COPY src ./src
# The package of the relay, which has nothing that decrypts, with a list of what is bundled into it, beside a compiled package that makes it faster.
RUN npm run build \
  && node_modules/.bin/tsx scripts/sbom.ts pairlay-relay > /tmp/sbom \
  && npm ci --workspace pairlay-relay --omit=dev --ignore-scripts \
  && cp -R packages/relay /image \
  && mv node_modules /image/ \
  && cd /image \
  && rm -rf node_modules/.package-lock.json node_modules/pairlay-relay \
  && find . -type f '(' -name '*.ts' -o -name '*.?ts' -o -name '*.map' ')' -delete \
  && find node_modules -type d '(' -name test -o -name tests -o -name __tests__ -o -name benchmark -o -name .github -o -name .bin ')' -prune -exec rm -rf '{}' + \
  && mv /tmp/sbom sbom.cdx.json

FROM ${NODE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION
LABEL org.opencontainers.image.title="pairlay" \
  org.opencontainers.image.description="A relay where two devices pair with a short code and hand data over, end to end encrypted." \
  org.opencontainers.image.licenses="MIT" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}"
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8080
WORKDIR /app
COPY --from=build /image ./
COPY --chmod=0755 deploy/image/health /usr/local/bin/pairlay-health
# The user `node` by its number, which is how a Kubernetes cluster can tell that it is not root. Any other does as well.
USER 1000
EXPOSE 8080
# The relay writes nothing: run it with --read-only.
HEALTHCHECK --interval=30s --timeout=3s --start-period=5s CMD ["/usr/local/bin/pairlay-health"]
# Process 1 is the relay, which ends at SIGTERM and SIGINT by itself, and starts no process that it would have to wait for.
ENTRYPOINT ["node", "/app/bin/pairlay-relay.js"]
CMD []
