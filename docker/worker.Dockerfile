# The worker, with the demo model. Built from the repository's root:
#   docker build --file docker/worker.Dockerfile --tag stable-diffusion-cpu-worker:0.1.0 .
# BASE is a Debian with Node and npm in /usr/local; docs/images.md says how to fix it by digest.
ARG BASE=docker.io/library/node:24.21.0-trixie-slim

# The same in all three images, so that they share the layer.
FROM ${BASE} AS runtime
COPY docker/make-runtime.sh /build/
RUN sh /build/make-runtime.sh /runtime

FROM ${BASE} AS dependencies
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc \
    npm install --global --ignore-scripts --no-audit --no-fund pnpm@12.21.0
WORKDIR /app
COPY package.json pnpm-lock.yaml pnpm-workspace.yaml ./
COPY packages/contract/package.json packages/contract/
COPY packages/diffusion/package.json packages/diffusion/
COPY packages/model-compiler/package.json packages/model-compiler/
COPY packages/pictures/package.json packages/pictures/
COPY packages/redis/package.json packages/redis/
COPY packages/safety/package.json packages/safety/
COPY apps/worker/package.json apps/worker/
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc \
    --mount=type=cache,id=sdcpu-pnpm,target=/pnpm \
    pnpm install --frozen-lockfile --prod --filter "@sdcpu/worker..." --store-dir /pnpm
COPY docker/trim-dependencies.sh docker/complete-sbom.ts /build/
COPY --from=runtime /runtime/var/lib/dpkg/status.d /build/packages
RUN --mount=type=cache,id=sdcpu-pnpm,target=/pnpm \
    pnpm sbom --prod --filter @sdcpu/worker --sbom-type application --sbom-format cyclonedx --sbom-spec-version 1.6 --store-dir /pnpm --out /build/sbom.json \
    && node /build/complete-sbom.ts /build/sbom.json /build/packages > sbom.cdx.json \
    && sh /build/trim-dependencies.sh /app

FROM ${BASE} AS sources
WORKDIR /app
COPY models/demo models/demo
COPY packages/contract/src packages/contract/src
COPY packages/diffusion/src packages/diffusion/src
COPY packages/model-compiler/assets packages/model-compiler/assets
COPY packages/model-compiler/src packages/model-compiler/src
COPY packages/pictures/src packages/pictures/src
COPY packages/redis/src packages/redis/src
COPY packages/safety/src packages/safety/src
COPY apps/worker/src apps/worker/src
COPY docker/end-early.ts docker/healthcheck.ts docker/
# A checkout may be private to whoever made it; the image's user is somebody else.
RUN chmod --recursive a+rX,go-w . && mkdir /data

FROM scratch
COPY --from=runtime /runtime /
COPY --from=dependencies /app /app
COPY --from=sources /app /app
# What it downloads and compiles: a volume, since the rest may be read-only.
COPY --from=sources --chown=10001:10001 /data /data
# ONNX Runtime's official builds report to Microsoft unless they are told not to before they start.
ENV PATH=/usr/local/bin \
    DATA_DIR=/data \
    ORT_DISABLE_TELEMETRY=1
WORKDIR /app
USER 10001:10001
EXPOSE 5002
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["node", "docker/healthcheck.ts", "WORKER_PORT", "5002", "/healthz"]
ENTRYPOINT ["node", "--import", "/app/docker/end-early.ts"]
CMD ["apps/worker/src/main.ts"]
# Last, because another revision should not cost new layers.
ARG BASE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="stable-diffusion-cpu-worker" \
      org.opencontainers.image.description="Worker of text-to-image on CPU nodes: takes jobs from the queue and draws" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"
