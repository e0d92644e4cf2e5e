// The OpenStack resource plugin: Pulumi's Terraform bridge round the published OpenStack provider, both as pinned Go
// modules. It maps just the resources that the classroom uses to the tokens of the published Python SDK.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	"github.com/hashicorp/terraform-plugin-sdk/v2/diag"
	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
	"github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfbridge"
	shim "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim"
	shimv2 "github.com/pulumi/pulumi-terraform-bridge/v3/pkg/tfshim/sdk-v2"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/terraform-provider-openstack/terraform-provider-openstack/openstack"
)

// The version of the Python SDK whose tokens are served; the engine asks plugins for it.
const version = "5.5.3"

var resources = map[string]string{
	"openstack_compute_instance_v2":                "compute/instance:Instance",
	"openstack_compute_keypair_v2":                 "compute/keypair:Keypair",
	"openstack_compute_servergroup_v2":             "compute/serverGroup:ServerGroup",
	"openstack_networking_floatingip_associate_v2": "networking/floatingIpAssociate:FloatingIpAssociate",
	"openstack_networking_floatingip_v2":           "networking/floatingIp:FloatingIp",
	"openstack_networking_network_v2":              "networking/network:Network",
	"openstack_networking_port_v2":                 "networking/port:Port",
	"openstack_networking_router_interface_v2":     "networking/routerInterface:RouterInterface",
	"openstack_networking_router_v2":               "networking/router:Router",
	"openstack_networking_secgroup_rule_v2":        "networking/secGroupRule:SecGroupRule",
	"openstack_networking_secgroup_v2":             "networking/secGroup:SecGroup",
	"openstack_networking_subnet_v2":               "networking/subnet:Subnet",
}

func main() {
	provider := openstack.Provider()
	// Its default alone causes a warning, in every run, of load balancers, which no classroom has.
	provider.Schema["use_octavia"].Deprecated = ""
	followNoRedirect(provider)
	info := tfbridge.ProviderInfo{
		P:         shimv2.NewProvider(provider),
		Name:      "openstack",
		Version:   version,
		Resources: map[string]*tfbridge.ResourceInfo{},
	}
	for name, token := range resources {
		info.Resources[name] = &tfbridge.ResourceInfo{Tok: tokens.Type("openstack:" + token)}
	}
	if len(os.Args) == 2 && os.Args[1] == "-properties" {
		json.NewEncoder(os.Stdout).Encode(properties(info))
		return
	}
	schema := []byte(`{"name":"openstack","version":"` + version + `"}`)
	tfbridge.Main("openstack", version, info, schema)
}

// Make every request of a provider stay at the host that the policy has checked: Go's client would follow a redirect to another
// host with the token, and send a password there again. A token is requested late, when the client has this rule.
func followNoRedirect(provider *schema.Provider) {
	provider.Schema["delayed_auth"].DefaultFunc = nil
	provider.Schema["delayed_auth"].Default = true
	configure := provider.ConfigureContextFunc
	provider.ConfigureContextFunc = func(ctx context.Context, data *schema.ResourceData) (interface{}, diag.Diagnostics) {
		found, faults := configure(ctx, data)
		if config, ok := found.(*openstack.Config); ok && config.OsClient != nil {
			config.OsClient.HTTPClient.CheckRedirect = checkRedirect
		}
		return found, faults
	}
}

// Refuse a redirect to another host, or from HTTPS to HTTP, as the preflight does; ten redirects are the limit of Go's own rule.
func checkRedirect(next *http.Request, before []*http.Request) error {
	last := before[len(before)-1].URL
	if next.URL.Hostname() != last.Hostname() || (last.Scheme == "https" && next.URL.Scheme != "https") {
		return fmt.Errorf(
			"the cloud redirects from '%s://%s' to '%s://%s', which the policy has not checked, so the redirect is not followed",
			last.Scheme, last.Host, next.URL.Scheme, next.URL.Host,
		)
	}
	if len(before) >= 10 {
		return fmt.Errorf("the cloud redirects more than ten times")
	}
	return nil
}

// A property of a resource under its name in Pulumi, as this plugin serves it.
type property struct {
	Type     string `json:"type"`
	Input    bool   `json:"input"`
	Required bool   `json:"required"`
	Replaces bool   `json:"replaces"`
}

// What every resource served here takes and gives, for a comparison with the published SDK.
func properties(info tfbridge.ProviderInfo) map[string]map[string]property {
	found := map[string]map[string]property{}
	for name, resource := range info.Resources {
		fields := info.P.ResourcesMap().Get(name).Schema()
		served := map[string]property{}
		fields.Range(func(key string, field shim.Schema) bool {
			served[tfbridge.TerraformToPulumiNameV2(key, fields, resource.Fields)] = property{
				Type:     field.Type().String(),
				Input:    field.Optional() || field.Required(),
				Required: field.Required(),
				Replaces: field.ForceNew(),
			}
			return true
		})
		found[string(resource.Tok)] = served
	}
	return found
}
