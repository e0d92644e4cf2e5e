import type { TrackReference } from "@livekit/components-react";
import { useEffect, useRef } from "react";

export function Sound({ sound }: { sound: TrackReference }) {
  const element = useRef<HTMLAudioElement>(null);
  const track = sound.publication.track;
  useEffect(() => {
    const played = element.current;
    if (!track || !played) return;
    track.attach(played);
    return () => void track.detach(played);
  }, [track]);
  return <audio ref={element} data-participant={sound.participant.name} autoPlay />;
}
