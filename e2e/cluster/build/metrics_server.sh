#!/bin/bash
# metrics_server.sh OUT: OUT/metrics-server.tar, the image of Kubernetes' metrics-server from its Go module (3 min).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
CGO_ENABLED=0 GOBIN=$1 go install -trimpath -ldflags "-s -w" sigs.k8s.io/metrics-server/cmd/metrics-server@v0.9.0
python3 "$SCRIPTS/build/pack_image.py" "$1/metrics-server.tar" "$METRICS_SERVER_IMAGE" \
  '{"Entrypoint": ["/metrics-server"]}' "metrics-server=$1/metrics-server" tmp/
