// The TURN relay of a media host: `classroom-relay SETTINGS` relays between participants and the media server of this host alone.
//
// It logs nothing, as its library's messages contain addresses of participants.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/pion/logging"
	"github.com/pion/turn/v5"
)

// Address is an address at which the relay listens, and the public one that participants reach instead of it.
type Address struct {
	Listen string `json:"listen"`
	Public string `json:"public"`
}

// Settings are the contents of the file of settings.
type Settings struct {
	Addresses []Address      `json:"addresses"`
	UDPPort   int            `json:"udp_port"`
	TCPPort   int            `json:"tcp_port"` // plain, for what the front has decrypted
	Relays    [2]uint16      `json:"relay_ports"`
	Peers     []netip.Prefix `json:"peers"`
	PeerPorts [2]uint16      `json:"peer_ports"`
	PerPerson int            `json:"relays_per_person"`
	Secret    string         `json:"secret_file"`
}

const (
	realm = "classroom"
	tries = 50 // random ports that are tried for one relay
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "classroom-relay:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) != 1 {
		return fmt.Errorf("one argument is needed, the file of settings; got %d", len(arguments))
	}
	settings, secret, err := read(arguments[0])
	if err != nil {
		return err
	}
	server, err := start(settings, secret)
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
	return server.Close()
}

func read(path string) (Settings, string, error) {
	var settings Settings
	text, err := os.ReadFile(path)
	if err != nil {
		return settings, "", err
	}
	if err := json.Unmarshal(text, &settings); err != nil {
		return settings, "", fmt.Errorf("%s: %w", path, err)
	}
	secret, err := os.ReadFile(settings.Secret)
	if err != nil {
		return settings, "", err
	}
	if len(strings.TrimSpace(string(secret))) < 32 {
		return settings, "", fmt.Errorf("%s: the secret is shorter than 32 characters", settings.Secret)
	}
	return settings, strings.TrimSpace(string(secret)), nil
}

func start(settings Settings, secret string) (*turn.Server, error) {
	quota := newQuota(settings.PerPerson)
	peers := reach{networks: settings.Peers, first: settings.PeerPorts[0], last: settings.PeerPorts[1]}
	config := turn.ServerConfig{
		Realm:         realm,
		AuthHandler:   authenticate(secret),
		QuotaHandler:  func(person, _ string, _ net.Addr) bool { return quota.left(person) },
		LoggerFactory: &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled},
	}
	permitted := func(_ net.Addr, peer net.IP) bool { return peers.permits(peer) }
	for _, address := range settings.Addresses {
		relays := &relays{
			RelayAddressGenerator: &turn.RelayAddressGeneratorPortRange{
				RelayAddress: net.ParseIP(address.Public),
				Address:      address.Listen,
				MinPort:      settings.Relays[0],
				MaxPort:      settings.Relays[1],
				MaxRetries:   tries,
			},
			quota: quota,
			peers: peers,
		}
		packets, err := net.ListenPacket("udp", net.JoinHostPort(address.Listen, fmt.Sprint(settings.UDPPort)))
		if err != nil {
			return nil, err
		}
		connections, err := net.Listen("tcp", net.JoinHostPort(address.Listen, fmt.Sprint(settings.TCPPort)))
		if err != nil {
			return nil, err
		}
		config.PacketConnConfigs = append(config.PacketConnConfigs, turn.PacketConnConfig{
			PacketConn: packets, RelayAddressGenerator: relays, PermissionHandler: permitted,
		})
		config.ListenerConfigs = append(config.ListenerConfigs, turn.ListenerConfig{
			Listener: connections, RelayAddressGenerator: relays, PermissionHandler: permitted,
		})
	}
	return turn.NewServer(config)
}
