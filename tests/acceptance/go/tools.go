//go:build tools

// Package acceptance pins the programs that drive the plugin as a runtime does.
package acceptance

import (
	_ "github.com/containernetworking/cni/cnitool"
	_ "github.com/containernetworking/cni/plugins/test/noop"
)
