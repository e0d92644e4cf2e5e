// Command load puts load on an open class: `classroom-load joins` (see joins.go) or `classroom-load lecture`.
//
// `lecture` joins a room with one publisher of simulcast video and many subscribers, and counts what these receive. It reads lines of JSON from standard input and answers each with one. The first has the `url` of the media server's signalling and a
// token of the `publisher`; answer: {"published": true}. The second has tokens of the `subscribers`; answer, when every one of them receives
// video: {"ready": N}. For each further line, it prints what the subscribers received since the line before ({"packets": N, "bytes": N,
// "lost": N}). At the end of standard input it leaves the room.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

// FRAMES is the frame rate; a key frame follows after a second at the latest when a subscriber asks for one.
const FRAMES = 25

var layers = []struct {
	quality                livekit.VideoQuality
	width, height, bitRate int
}{
	{livekit.VideoQuality_LOW, 320, 180, 150_000},
	{livekit.VideoQuality_MEDIUM, 640, 360, 500_000},
	{livekit.VideoQuality_HIGH, 1280, 720, 1_700_000},
}

type job struct {
	URL         string   `json:"url"`
	Publisher   string   `json:"publisher"`
	Subscribers []string `json:"subscribers"`
}

var packets, octets, lost atomic.Int64

// frames provides VP8 frames whose header is valid and whose picture is noise: the server forwards them, and no subscriber decodes.
type frames struct {
	width, height, bitRate int
	key                    atomic.Bool
	count                  int
}

func (f *frames) OnBind() error { return nil }

func (f *frames) OnUnbind() error { return nil }

func (f *frames) Close() error { return nil }

func (f *frames) NextSample(_ context.Context) (media.Sample, error) {
	payload := make([]byte, f.bitRate/8/FRAMES)
	key := f.key.Swap(false) || f.count%(FRAMES*10) == 0
	f.count++
	if key {
		payload = append(payload, make([]byte, 2*len(payload))...)
		// Frame tag (bit 0 clear: key frame), start code, width and height: RFC 6386, section 9.1.
		copy(payload, []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, byte(f.width), byte(f.width >> 8), byte(f.height), byte(f.height >> 8)})
	} else {
		payload[0] = 0x11
	}
	return media.Sample{Data: payload, Duration: time.Second / FRAMES}, nil
}

func receive(track *webrtc.TrackRemote, first func()) {
	var last uint16
	for begun := false; ; {
		packet, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		if begun {
			if gap := int16(packet.SequenceNumber - last); gap > 1 {
				lost.Add(int64(gap - 1))
			} else if gap < 0 {
				lost.Add(-1)
				continue
			}
		} else {
			first()
		}
		begun, last = true, packet.SequenceNumber
		packets.Add(1)
		octets.Add(int64(len(packet.Payload)))
	}
}

func publish(room *lksdk.Room) error {
	var tracks []*lksdk.LocalTrack
	for _, layer := range layers {
		source := &frames{width: layer.width, height: layer.height, bitRate: layer.bitRate}
		track, err := lksdk.NewLocalTrack(
			webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: []webrtc.RTCPFeedback{{Type: "nack"}, {Type: "nack", Parameter: "pli"}}},
			lksdk.WithSimulcast("camera", &livekit.VideoLayer{Quality: layer.quality, Width: uint32(layer.width), Height: uint32(layer.height), Bitrate: uint32(layer.bitRate)}),
			lksdk.WithRTCPHandler(func(packet rtcp.Packet) {
				if asksKeyFrame(packet) {
					source.key.Store(true)
				}
			}),
		)
		if err != nil {
			return err
		}
		track.OnBind(func() { _ = track.StartWrite(source, nil) })
		tracks = append(tracks, track)
	}
	_, err := room.LocalParticipant.PublishSimulcastTrack(tracks, &lksdk.TrackPublicationOptions{Name: "camera", Source: livekit.TrackSource_CAMERA})
	return err
}

// asksKeyFrame returns whether a feedback packet asks the publisher for a key frame.
func asksKeyFrame(packet rtcp.Packet) bool {
	switch packet.(type) {
	case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
		return true
	}
	return false
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func main() {
	commands := map[string]func(){"joins": joins, "lecture": lecture}
	if len(os.Args) != 2 || commands[os.Args[1]] == nil {
		fail(fmt.Errorf("usage: classroom-load joins|lecture"))
	}
	commands[os.Args[1]]()
}

func lecture() {
	lksdk.SetLogger(logger.GetDiscardLogger())
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, 1<<24)
	output := json.NewEncoder(os.Stdout)
	var wanted job
	read := func() {
		input.Scan()
		if err := json.Unmarshal(input.Bytes(), &wanted); err != nil {
			fail(err)
		}
	}
	read()
	publisher, err := lksdk.ConnectToRoomWithToken(wanted.URL, wanted.Publisher, &lksdk.RoomCallback{}, lksdk.WithAutoSubscribe(false))
	if err != nil {
		fail(err)
	}
	defer publisher.Disconnect()
	if err := publish(publisher); err != nil {
		fail(err)
	}
	_ = output.Encode(map[string]bool{"published": true})
	read()
	var ready sync.WaitGroup
	for _, token := range wanted.Subscribers {
		ready.Add(1)
		var once sync.Once
		callback := &lksdk.RoomCallback{ParticipantCallback: lksdk.ParticipantCallback{
			OnTrackSubscribed: func(track *webrtc.TrackRemote, _ *lksdk.RemoteTrackPublication, _ *lksdk.RemoteParticipant) {
				go receive(track, func() { once.Do(ready.Done) })
			},
		}}
		room, err := lksdk.ConnectToRoomWithToken(wanted.URL, token, callback)
		if err != nil {
			fail(err)
		}
		defer room.Disconnect()
	}
	done := make(chan struct{})
	go func() { ready.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(60 * time.Second):
		fail(fmt.Errorf("not every subscriber received video within 60 s"))
	}
	_ = output.Encode(map[string]int{"ready": len(wanted.Subscribers)})
	for input.Scan() {
		_ = output.Encode(map[string]int64{"packets": packets.Swap(0), "bytes": octets.Swap(0), "lost": lost.Swap(0)})
	}
}
