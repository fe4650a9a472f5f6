# The page and the server that passes calls on to the API. Built from the repository's root:
#   docker build --file docker/web.Dockerfile --tag stable-diffusion-cpu-web:0.1.0 .
# BASE is a Debian with Node and npm in /usr/local; docs/images.md says how to fix it by digest.
ARG BASE=docker.io/library/node:24.21.0-trixie-slim

# The same in all three images, so that they share the layer.
FROM ${BASE} AS runtime
COPY docker/make-runtime.sh /build/
RUN sh /build/make-runtime.sh /runtime

FROM ${BASE} AS pnpm
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc \
    npm install --global --ignore-scripts --no-audit --no-fund pnpm@12.21.0
WORKDIR /app
COPY package.json pnpm-lock.yaml pnpm-workspace.yaml ./
COPY packages/contract/package.json packages/contract/
COPY apps/web/package.json apps/web/

# With the tools that build the page, none of which goes further than its files.
FROM pnpm AS page
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc \
    --mount=type=cache,id=sdcpu-pnpm,target=/pnpm \
    pnpm install --frozen-lockfile --filter "@sdcpu/web..." --store-dir /pnpm
COPY packages/contract/src packages/contract/src
COPY tsconfig.json ./
COPY apps/web apps/web
RUN pnpm --filter @sdcpu/web build
RUN --mount=type=cache,id=sdcpu-pnpm,target=/pnpm \
    pnpm sbom --filter @sdcpu/web --sbom-format cyclonedx --sbom-spec-version 1.6 --store-dir /pnpm --out /build/page.json

FROM pnpm AS dependencies
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc \
    --mount=type=cache,id=sdcpu-pnpm,target=/pnpm \
    pnpm install --frozen-lockfile --prod --filter "@sdcpu/web..." --store-dir /pnpm
COPY docker/trim-dependencies.sh docker/complete-sbom.ts /build/
COPY --from=runtime /runtime/var/lib/dpkg/status.d /build/packages
COPY --from=page /build/page.json /build/
RUN --mount=type=cache,id=sdcpu-pnpm,target=/pnpm \
    pnpm sbom --prod --filter @sdcpu/web --sbom-type application --sbom-format cyclonedx --sbom-spec-version 1.6 --store-dir /pnpm --out /build/sbom.json \
    && node /build/complete-sbom.ts /build/sbom.json /build/packages /build/page.json @fontsource-variable/geist @tanstack/react-query idb lucide-react react react-dom > sbom.cdx.json \
    && sh /build/trim-dependencies.sh /app

FROM ${BASE} AS sources
WORKDIR /app
COPY packages/contract/src packages/contract/src
COPY apps/web/src/server apps/web/src/server
COPY --from=page /app/apps/web/dist apps/web/dist
COPY docker/end-early.ts docker/healthcheck.ts docker/
# A checkout may be private to whoever made it; the image's user is somebody else.
RUN chmod --recursive a+rX,go-w .

FROM scratch
COPY --from=runtime /runtime /
COPY --from=dependencies /app /app
COPY --from=sources /app /app
ENV PATH=/usr/local/bin
WORKDIR /app
USER 10001:10001
EXPOSE 5001
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["node", "docker/healthcheck.ts", "WEB_PORT", "5001", "/healthz"]
ENTRYPOINT ["node", "--import", "/app/docker/end-early.ts"]
CMD ["apps/web/src/server/main.ts"]
# Last, because another revision should not cost new layers.
ARG BASE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="stable-diffusion-cpu-web" \
      org.opencontainers.image.description="Web page of text-to-image on CPU nodes, and the server that passes its calls on to the API" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"
