#!/bin/bash
# Builds a current etcd from its Go modules: bash deploy/dev/etcd.sh .tools/etcd
#
# etcd cannot be had by `go install`: its modules replace one another by paths of their own repository. Its
# package etcdmain can, and a program around it is three lines.
set -euo pipefail

VERSION=v3.6.16
target=$(realpath -m "$1")
command -v go > /dev/null || { echo 'etcd is built with Go: install Go, or name an etcd by TENURE_CURRENT_ETCD'; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir -p "$(dirname "$target")"
cd "$folder"
cat > main.go <<'END'
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
END
go mod init tenure.dev/etcd > go.log 2>&1 || { cat go.log; exit 1; }
go get "go.etcd.io/etcd/server/v3@$VERSION" > go.log 2>&1 || { cat go.log; exit 1; }
go build -o "$target" .
echo "built etcd $VERSION"
