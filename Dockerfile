# The image of hmacd: Node, the source as it stands, and the packages it runs on. No compiler and no package manager
# is used in it, it runs as an ordinary user, and nothing in it needs to be written.

# Both stages make files that are the same on every platform, so they run on the builder's own.
FROM --platform=$BUILDPLATFORM node:24-trixie-slim AS generate
WORKDIR /hmacd
# What changes least comes first, so that a change of the source installs nothing again.
COPY package.json package-lock.json ./
# No install script runs: none is needed, and what a package does while it is installed is nothing we have read.
RUN --mount=type=cache,target=/root/.npm npm ci --ignore-scripts
COPY buf.yaml buf.gen.yaml ./
COPY proto proto
RUN npm run generate

FROM --platform=$BUILDPLATFORM node:24-trixie-slim AS dependencies
WORKDIR /hmacd
COPY package.json package-lock.json ./
# The optional packages are copies of Node for machines that have an older one; the image has its own.
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --omit=optional --ignore-scripts

FROM node:24-trixie-slim
ARG VERSION=unreleased
ARG REVISION=unknown
LABEL org.opencontainers.image.title="hmacd" \
      org.opencontainers.image.description="A self-hosted HMAC key service: GenerateMac and VerifyMac over gRPC, Connect and gRPC-Web" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.base.name="docker.io/library/node:24-trixie-slim"

# A new volume takes the owner of the folder it is mounted on. /run/hmacd is for root keys that are kept apart from
# their store; data, in the working folder, is where hmacd looks for both when it is told nothing.
RUN install -d -o node -g node -m 0700 /run/hmacd /var/lib/hmacd/data

# Owned by root: the service cannot change its own code.
WORKDIR /hmacd
COPY LICENSE package.json ./
COPY --from=dependencies /hmacd/node_modules node_modules
COPY src src
COPY --from=generate /hmacd/src/gen src/gen

# What V8 makes of the source, kept for every start to come; it is only read then, and simply not found by another user.
ENV NODE_ENV=production NODE_COMPILE_CACHE=/hmacd/.compile-cache
RUN install -d -o node -g node "$NODE_COMPILE_CACHE" \
 && setpriv --reuid=1000 --regid=1000 --clear-groups \
      node --input-type=module --eval 'for (const command of process.argv.slice(1)) await import(command)' \
      /hmacd/src/commands/serve.ts /hmacd/src/commands/healthcheck.ts \
 && chown -R root:root "$NODE_COMPILE_CACHE" && chmod -R a+rX "$NODE_COMPILE_CACHE"

# By number, because Kubernetes' runAsNonRoot cannot look a name up.
USER 1000:1000
WORKDIR /var/lib/hmacd
EXPOSE 50051 8080 9090
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD ["node", "/hmacd/src/main.ts", "healthcheck"]
ENTRYPOINT ["node", "/hmacd/src/main.ts"]
