package main

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/pion/turn/v5"
)

var (
	errQuota = errors.New("this person has as many relays as are allowed")
	errPeer  = errors.New("the relay does not send to this address and port")
	errTCP   = errors.New("relayed TCP connections are not offered")
)

// quota counts the relays of each person.
type quota struct {
	mutex   sync.Mutex
	limit   int
	persons map[string]int
}

func newQuota(limit int) *quota {
	return &quota{limit: limit, persons: make(map[string]int)}
}

// left returns whether a person may have another relay.
func (q *quota) left(person string) bool {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	return q.persons[person] < q.limit
}

// take counts one more relay of a person; false if that is over the limit.
func (q *quota) take(person string) bool {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	if q.persons[person] >= q.limit {
		return false
	}
	q.persons[person]++
	return true
}

func (q *quota) release(person string) {
	q.mutex.Lock()
	defer q.mutex.Unlock()
	if q.persons[person]--; q.persons[person] <= 0 {
		delete(q.persons, person)
	}
}

// reach is where relays may send to, and receive from.
type reach struct {
	networks    []netip.Prefix
	first, last uint16
}

// permits returns whether a peer is in one of the networks; an IPv4 address in the form of IPv6 counts as itself.
func (r reach) permits(peer net.IP) bool {
	address, ok := netip.AddrFromSlice(peer)
	return ok && slices.ContainsFunc(r.networks, func(one netip.Prefix) bool { return one.Contains(address.Unmap()) })
}

// includes returns whether a peer is in one of the networks and has one of the ports.
func (r reach) includes(peer net.Addr) bool {
	address, ok := peer.(*net.UDPAddr)
	return ok && int(r.first) <= address.Port && address.Port <= int(r.last) && r.permits(address.IP)
}

// relays opens the sockets of relays: UDP only, at most as many for each person as the quota allows.
type relays struct {
	turn.RelayAddressGenerator
	quota *quota
	peers reach
}

// AllocatePacketConn opens the UDP socket of a relay.
func (r *relays) AllocatePacketConn(config turn.AllocateListenerConfig) (net.PacketConn, net.Addr, error) {
	if !r.quota.take(config.UserID) {
		return nil, nil, errQuota
	}
	socket, address, err := r.RelayAddressGenerator.AllocatePacketConn(config)
	if err != nil {
		r.quota.release(config.UserID)
		return nil, nil, err
	}
	release := sync.OnceFunc(func() { r.quota.release(config.UserID) })
	return &relay{PacketConn: socket, release: release, peers: r.peers}, address, nil
}

// AllocateListener refuses a relay for TCP (RFC 6062).
func (r *relays) AllocateListener(turn.AllocateListenerConfig) (net.Listener, net.Addr, error) {
	return nil, nil, errTCP
}

// AllocateConn refuses a connection from a relay (RFC 6062).
func (r *relays) AllocateConn(turn.AllocateConnConfig) (net.Conn, error) {
	return nil, errTCP
}

// relay is the UDP socket of one relay: it sends to its peers alone, and receives from nowhere else.
type relay struct {
	net.PacketConn
	release func()
	peers   reach
}

// WriteTo sends a packet to a peer; one to another address or port is dropped without harm to the relay.
func (r *relay) WriteTo(data []byte, to net.Addr) (int, error) {
	if !r.peers.includes(to) {
		return 0, errPeer
	}
	return r.PacketConn.WriteTo(data, to)
}

// ReadFrom returns the next packet from a peer.
func (r *relay) ReadFrom(data []byte) (int, net.Addr, error) {
	for {
		number, from, err := r.PacketConn.ReadFrom(data)
		if err != nil || r.peers.includes(from) {
			return number, from, err
		}
	}
}

// Close closes the socket; its person may have another relay.
func (r *relay) Close() error {
	defer r.release()
	return r.PacketConn.Close()
}
