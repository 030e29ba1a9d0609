# Sourced by build.sh and check.sh. What is compiled is shared only between builds with equal flags.
# The forks of k3s are not in the checksum database; go.sum pins them.
export GOTOOLCHAIN=local GOFLAGS=-trimpath CGO_ENABLED=1 GOWORK=off
export GONOSUMDB="${GONOSUMDB:+$GONOSUMDB,}github.com/k3s-io"
