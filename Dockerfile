# The server in an image. It makes its sandboxes on the Docker whose socket it is
# given, and reaches their APIs on the loopback interface, so it shares the
# host's network:
#
#   make server-image
#   docker run --network host -v /var/run/docker.sock:/var/run/docker.sock \
#     -v netpol-lab-data:/data netpol-lab/server
#
# Whoever may use the socket is root on the host: run it where that is meant.
# The program is built outside (bin/netpol-lab is static), so that this file needs
# nothing but a Debian base: the public one, or the one that `make node-image`
# makes where no image registry is in reach.
ARG BASE=debian:bookworm-slim
FROM ${BASE}
RUN apt-get update \
 && apt-get install -y --no-install-recommends docker.io ca-certificates \
 && rm -rf /var/lib/apt/lists/*
COPY bin/netpol-lab /usr/local/bin/netpol-lab
ENV NETPOL_LAB_DATA=/data NETPOL_LAB_LISTEN=127.0.0.1:8080 NETPOL_LAB_SANDBOX=kind
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["netpol-lab"]
CMD ["serve"]
