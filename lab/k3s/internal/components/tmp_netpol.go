package components

import (
	_ "github.com/cloudnativelabs/kube-router/v2/pkg/controllers/netpol"
	_ "github.com/k3s-io/kine/pkg/endpoint"
)
