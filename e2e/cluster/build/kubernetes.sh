#!/bin/bash
# kubernetes.sh OUT: Kubernetes' servers, kubelet, kubectl and kubeadm, built from their Go module (6 min on 2 cores).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
out=$1
export CGO_ENABLED=0
programs="kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl kubeadm"

# The modules that live in Kubernetes' own tree have versions of their own; which ones there are changes over time.
staging_modules() {
  local go_mod
  go_mod=$(go mod download -json "k8s.io/kubernetes@v$K8S_VERSION" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
  sed -n 's#.*\(k8s.io/[^ ]*\) => ./staging/src/.*#\1#p' "$go_mod"
}

# A server that says v0.0.0 confuses every client.
version_flags() {
  local package minor
  minor=$(echo "$K8S_VERSION" | cut -d. -f2)
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    printf -- ' -X %s' "$package.gitVersion=v$K8S_VERSION" "$package.gitMajor=1" "$package.gitMinor=$minor" \
      "$package.gitTreeState=clean" "$package.gitCommit=$(printf '0%.0s' {1..40})" "$package.buildDate=2026-01-01T00:00:00Z"
  done
}

mkdir "$out/module"
cd "$out/module"
{
  printf 'module yurt.local/kubernetes\n\ngo 1.24\n\nrequire k8s.io/kubernetes v%s\n' "$K8S_VERSION"
  for module in $(staging_modules); do echo "replace $module => $module v0.${K8S_VERSION#1.}"; done
} >go.mod
{
  printf '//go:build tools\n\npackage tools\n\n'
  for program in $programs; do echo "import _ \"k8s.io/kubernetes/cmd/$program\""; done
} >tools.go
go mod tidy
go build -trimpath -ldflags "-s -w$(version_flags)" -o "$out/" $(printf 'k8s.io/kubernetes/cmd/%s ' $programs)
