# An image with one file in it: docker build --tag ringfence .
# Configuration and key are mounted, readable for user 65532; what the daemon writes belongs in /var/lib/ringfence.
#
#   docker run --network host --volume /etc/ringfence:/etc/ringfence:ro ringfence
#
# The host's network: SIP names addresses in its messages, and admission goes by the source address; a NAT in between hides both.
#
# No HEALTHCHECK: there is nothing in here that could ask, and whoever runs it asks better from outside. /healthz of [admin] says
# whether the message loop turns, /readyz whether calls are taken.

ARG RUST_VERSION=1.95
FROM rust:${RUST_VERSION}-slim-bookworm AS build
WORKDIR /src
COPY . .
# Linked statically, so that the last stage needs no libraries. The target must be named: without one the flag would hold for
# procedural macros too, which cannot be static.
RUN target="$(uname -m)-unknown-linux-gnu" \
    && RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target "$target" \
    && install -D --strip --mode 0755 "target/$target/release/ringfence" /out/usr/bin/ringfence \
    && install -D --mode 0644 --target-directory /out/usr/share/doc/ringfence LICENSE-MIT LICENSE-APACHE \
    && install -d --owner 65532 --group 65532 --mode 0700 /out/var/lib/ringfence

FROM scratch
LABEL org.opencontainers.image.title="ringfence" \
      org.opencontainers.image.description="A SIP region-endpoint proxy: calls that must not leave a region, do not" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=build /out /
USER 65532:65532
EXPOSE 5060/udp 5060/tcp 9090/tcp
# SIGTERM drains. Give it longer than [timers] drain, 40 s: docker stop --timeout 60.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/ringfence"]
CMD ["run", "-c", "/etc/ringfence/ringfence.toml"]
