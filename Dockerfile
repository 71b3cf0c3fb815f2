# The same image without a container engine: image/build.sh.
FROM docker.io/library/rust:1.95-bookworm AS build
WORKDIR /lockstep
COPY . .
RUN cp "$(image/binary.sh)" /lockstep.bin

# One file, and no shell.
FROM scratch
LABEL org.opencontainers.image.title=lockstep \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.source=https://github.com/lockstep-dev/lockstep
COPY --from=build --chmod=0555 /lockstep.bin /lockstep
USER 65532:65532
EXPOSE 8443 8080
ENTRYPOINT ["/lockstep"]
