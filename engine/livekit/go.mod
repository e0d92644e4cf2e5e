module sovereign-classroom/livekit

go 1.26

require github.com/livekit/livekit-server v1.13.5

// Newer than what the media server asks for: up to 5.0.12 a repeated Connect to the same peer blocks TURN for everybody.
require github.com/pion/turn/v5 v5.0.13
