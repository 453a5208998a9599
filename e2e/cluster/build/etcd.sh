#!/bin/bash
# etcd.sh OUT: etcd from its Go module (25 s). `go install` refuses it because of its replace directives.
set -euo pipefail
out=$1
version=v3.6.16
export CGO_ENABLED=0

mkdir "$out/module"
cd "$out/module"
printf 'module yurt.local/etcd\n\ngo 1.24\n\nrequire go.etcd.io/etcd/server/v3 %s\n' $version >go.mod
printf '//go:build tools\n\npackage tools\n\nimport _ "go.etcd.io/etcd/server/v3"\n' >tools.go
go mod tidy
go build -trimpath -ldflags "-s -w" -o "$out/etcd" go.etcd.io/etcd/server/v3
