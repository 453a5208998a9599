# The image of all our programs: static, and nothing that a node would have to trust beside them.
# `cargo xtask image` builds it without any engine. By hand, with the programs (static, mode 0755) in FOLDER:
#     docker build --file Dockerfile --build-arg VERSION=0.1.0 FOLDER
FROM scratch
ARG VERSION
LABEL org.opencontainers.image.title="yurt" \
      org.opencontainers.image.description="yurtctl, yurthub, yurt-controller-manager and yurt-tunnel: nodes of a Kubernetes cluster as edge nodes" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY yurtctl yurthub yurt-controller-manager yurt-tunnel /usr/local/bin/
# Nobody. The Jobs that change nodes ask for root themselves.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/yurtctl"]
