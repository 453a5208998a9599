#!/bin/bash
# helm.sh OUT: Helm from its Go module (110 s).
set -euo pipefail
CGO_ENABLED=0 GOBIN=$1 go install -trimpath -ldflags "-s -w" helm.sh/helm/v4/cmd/helm@v4.3.1
