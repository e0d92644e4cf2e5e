package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// STEP is the time after which a step of a join has failed.
const STEP = 10 * time.Second

// crowd is the input of `joins`: people come at `rate` a second for `seconds`, with the `codes` by turns, to the class page at `url`.
// Further authorities come from the variable SSL_CERT_FILE.
type crowd struct {
	URL     string   `json:"url"`
	Codes   []string `json:"codes"`
	Rate    int      `json:"rate"`
	Seconds int      `json:"seconds"`
}

// joins lets people join at a constant rate, each of whom leaves at once. It prints one line of JSON: `joins`, `failed` (number by
// reason), `median` and `p99` in milliseconds. A join is that of a browser: a request with code and name on a new connection, then a
// WebSocket on another one, which may resume the TLS session, until the portal says whether the person enters or waits.
func joins() {
	debug.SetGCPercent(400) // the machine is shared with the servers
	var wanted crowd
	if err := json.NewDecoder(os.Stdin).Decode(&wanted); err != nil {
		fail(err)
	}
	page, err := url.Parse(strings.TrimSuffix(wanted.URL, "/"))
	if err != nil {
		fail(err)
	}
	// Looked up once, as the browsers of one school find the address in a cache.
	addresses, err := net.LookupHost(page.Hostname())
	if err != nil {
		fail(err)
	}
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		_, port, _ := net.SplitHostPort(address)
		return (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(addresses[0], port))
	}
	var (
		lock  sync.Mutex
		group sync.WaitGroup
		took  []time.Duration
	)
	failed := map[string]int{}
	begin := time.Now()
	for number := range wanted.Rate * wanted.Seconds {
		time.Sleep(time.Until(begin.Add(time.Duration(number) * time.Second / time.Duration(wanted.Rate))))
		group.Add(1)
		go func() {
			defer group.Done()
			start := time.Now()
			err := join(page, wanted.Codes[number%len(wanted.Codes)], fmt.Sprintf("Pupil %d", number), dial)
			lock.Lock()
			defer lock.Unlock()
			if err != nil {
				failed[err.Error()]++
			} else {
				took = append(took, time.Since(start))
			}
		}()
	}
	group.Wait()
	slices.Sort(took)
	share := func(percent int) any {
		if len(took) == 0 {
			return nil
		}
		return float64(took[len(took)*percent/100].Microseconds()) / 1000
	}
	_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"joins": len(took), "failed": failed, "median": share(50), "p99": share(99)})
}

// join lets one person join and leave again.
func join(page *url.URL, code, name string, dial func(context.Context, string, string) (net.Conn, error)) error {
	// The hybrid key exchange of newest browsers would take a third more of the client's processor time, which the servers share here.
	curves := []tls.CurveID{tls.X25519}
	security := &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(1), CurvePreferences: curves}
	transport := &http.Transport{TLSClientConfig: security, DialContext: dial}
	defer transport.CloseIdleConnections()
	body, _ := json.Marshal(map[string]string{"code": code, "name": name})
	client := http.Client{Transport: transport, Timeout: STEP}
	answer, err := client.Post(page.JoinPath("api/join").String(), "application/json", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	text, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil || answer.StatusCode != http.StatusOK {
		return fmt.Errorf("request: status %d, %v", answer.StatusCode, err)
	}
	var admission struct {
		Ticket string `json:"ticket"`
	}
	if err := json.Unmarshal(text, &admission); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	dialer := websocket.Dialer{TLSClientConfig: security, HandshakeTimeout: STEP, NetDialContext: dial}
	socket, _, err := dialer.Dial("wss"+strings.TrimPrefix(page.JoinPath("api/class").String(), "https"), nil)
	if err != nil {
		return fmt.Errorf("WebSocket: %w", err)
	}
	defer socket.Close()
	_ = socket.SetReadDeadline(time.Now().Add(STEP))
	if err := socket.WriteJSON(map[string]string{"type": "hello", "ticket": admission.Ticket}); err != nil {
		return fmt.Errorf("hello: %w", err)
	}
	for {
		var frame struct {
			Type string `json:"type"`
		}
		if err := socket.ReadJSON(&frame); err != nil {
			return fmt.Errorf("frame: %w", err)
		}
		if frame.Type == "enter" || frame.Type == "waiting" {
			return nil
		}
	}
}
