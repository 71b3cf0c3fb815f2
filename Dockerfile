# image/build.sh makes an image with the same content without a container engine.
FROM docker.io/library/rust:1.95-bookworm AS build
WORKDIR /lockstep
# The image's own toolchain, without what rust-toolchain.toml adds for development.
ENV RUSTUP_TOOLCHAIN=1.95.0
COPY . .
RUN cp "$(image/binary.sh)" /lockstep.bin

# One file, and no shell.
FROM scratch
LABEL org.opencontainers.image.title=lockstep \
      org.opencontainers.image.licenses=Apache-2.0 \
      org.opencontainers.image.source=https://github.com/lockstep-dev/lockstep
COPY --from=build --chmod=0555 /lockstep.bin /lockstep
# Large buffers go back to the system when they are freed. By default, glibc keeps them for later ones: under load, the resident
# set was larger by half.
ENV GLIBC_TUNABLES=glibc.malloc.mmap_threshold=131072:glibc.malloc.trim_threshold=262144
USER 65532:65532
EXPOSE 8443 8080 8081
ENTRYPOINT ["/lockstep"]
