# Latchkey in server mode. How to run it: docs/deployment.md.
ARG NODE_VERSION=26.10

FROM node:${NODE_VERSION}-slim AS build
WORKDIR /build
COPY package.json package-lock.json tsconfig.base.json tsconfig.build.json ./
COPY shared/package.json shared/
COPY vault/package.json vault/
COPY gateway/package.json gateway/
# The lock file names all workspaces, so npm wants to see these too.
COPY tests/package.json tests/
COPY bench/package.json bench/
# The base image brings Node; what scripts of packages would fetch is not needed to compile.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY shared shared
COPY vault vault
COPY gateway gateway
RUN npm run build

FROM node:${NODE_VERSION}-slim AS dependencies
WORKDIR /build
COPY package.json package-lock.json ./
COPY shared/package.json shared/
COPY vault/package.json vault/
COPY gateway/package.json gateway/
COPY tests/package.json tests/
COPY bench/package.json bench/
# Without the binaries of the embedded Postgres, which are optional dependencies: a container is given a DATABASE_URL.
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund --workspace @latchkey/gateway

FROM node:${NODE_VERSION}-slim
LABEL org.opencontainers.image.title="Latchkey" \
      org.opencontainers.image.description="A reverse-proxy gateway for LLM providers with a key vault" \
      org.opencontainers.image.version="0.1.0"
WORKDIR /app
COPY --from=dependencies /build/node_modules node_modules
COPY --from=build /build/shared/package.json shared/
COPY --from=build /build/shared/dist shared/dist
COPY --from=build /build/vault/package.json vault/
COPY --from=build /build/vault/dist vault/dist
COPY --from=build /build/gateway/package.json gateway/
COPY --from=build /build/gateway/dist gateway/dist
# The command line, for CMD and for `docker exec`, and the directories that are written to.
RUN printf '#!/bin/sh\nMALLOC_ARENA_MAX=1 exec node --no-memory-reducer --min-semi-space-size=16 --max-semi-space-size=16 /app/gateway/dist/cli/latchkey.js "$@"\n' > /usr/local/bin/latchkey \
 && chmod 755 /usr/local/bin/latchkey \
 && install -d -o node -g node -m 700 /var/lib/latchkey /var/lib/latchkey-root-key
USER node
ENV NODE_ENV=production \
    LATCHKEY_HOST=0.0.0.0 \
    LATCHKEY_DATA_DIR=/var/lib/latchkey
VOLUME /var/lib/latchkey
EXPOSE 8787 8788
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.LATCHKEY_PORT || 8787}/readyz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
CMD ["latchkey", "serve"]
