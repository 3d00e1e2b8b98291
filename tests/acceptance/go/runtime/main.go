// Command runtime calls CNI plugins as containerd does, through go-cni, and once in a
// way that no runtime does yet: GC with the attachments that are still in use.
//
//	runtime setup|serially|remove|check ID NETNS
//	runtime status
//	runtime gc NETWORK [ID/IFNAME ...]
//
// Configurations come from $NETCONFPATH, plugins from $CNI_PATH or else /opt/cni/bin;
// $CAPABILITIES is an object of capability arguments. The result is printed as JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	gocni "github.com/containerd/go-cni"
	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, command string, arguments []string) error {
	if command == "gc" {
		return collect(ctx, arguments[0], arguments[1:])
	}
	cni, err := load(command)
	if err != nil {
		return err
	}
	if command == "status" {
		return cni.Status()
	}
	id, netns := arguments[0], arguments[1]
	capabilities, err := capabilities()
	if err != nil {
		return err
	}
	switch command {
	case "setup":
		return show(cni.Setup(ctx, id, netns, capabilities...))
	case "serially":
		return show(cni.SetupSerially(ctx, id, netns, capabilities...))
	case "check":
		return cni.Check(ctx, id, netns, capabilities...)
	case "remove":
		return cni.Remove(ctx, id, netns, capabilities...)
	}
	return fmt.Errorf("unknown command %s", command)
}

// load reads loopback and the configuration that sorts first, as containerd does. For
// check it leaves out go-cni's loopback, whose version 0.3.1 has no CHECK.
func load(command string) (gocni.CNI, error) {
	networks := []gocni.Opt{gocni.WithLoNetwork, gocni.WithDefaultConf}
	if command == "check" {
		networks = networks[1:]
	}
	options := []gocni.Opt{
		gocni.WithMinNetworkCount(len(networks)),
		gocni.WithPluginConfDir(os.Getenv("NETCONFPATH")),
	}
	if path := os.Getenv("CNI_PATH"); path != "" {
		options = append(options, gocni.WithPluginDir(filepath.SplitList(path)))
	}
	cni, err := gocni.New(options...)
	if err != nil {
		return nil, err
	}
	return cni, cni.Load(networks...)
}

func capabilities() ([]gocni.NamespaceOpts, error) {
	text := os.Getenv("CAPABILITIES")
	if text == "" {
		return nil, nil
	}
	var values map[string]any
	if err := json.Unmarshal([]byte(text), &values); err != nil {
		return nil, err
	}
	var options []gocni.NamespaceOpts
	for name, value := range values {
		options = append(options, gocni.WithCapability(name, value))
	}
	return options, nil
}

func show(result *gocni.Result, err error) error {
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

func collect(ctx context.Context, name string, valid []string) error {
	list, err := libcni.LoadNetworkConf(os.Getenv("NETCONFPATH"), name)
	if err != nil {
		return err
	}
	attachments := []types.GCAttachment{}
	for _, text := range valid {
		id, ifname, _ := strings.Cut(text, "/")
		attachments = append(attachments, types.GCAttachment{ContainerID: id, IfName: ifname})
	}
	path := filepath.SplitList(os.Getenv("CNI_PATH"))
	cni := libcni.NewCNIConfig(path, nil)
	return cni.GCNetworkList(ctx, list, &libcni.GCArgs{ValidAttachments: attachments})
}
