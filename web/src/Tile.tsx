import { isTrackReference, type TrackReference, type TrackReferenceOrPlaceholder, useIsMuted, useIsSpeaking } from "@livekit/components-react";
import { Track } from "livekit-client";
import { useEffect, useRef } from "react";
import { Icon } from "./Icon";
import type { Texts } from "./texts";

export function Tile({ text, video }: { text: Texts; video: TrackReferenceOrPlaceholder }) {
  const { participant, source } = video;
  const screen = source === Track.Source.ScreenShare;
  const off = useIsMuted(video) || !isTrackReference(video);
  const quiet = useIsMuted({ participant, source: Track.Source.Microphone });
  const speaking = useIsSpeaking(participant);
  const name = participant.name ?? "";
  const label = screen ? text.screenOf(name) : participant.isLocal ? text.me(name) : name;
  return (
    <figure className={`tile${screen ? " screen" : ""}${speaking && !screen ? " speaking" : ""}`} data-testid="tile">
      {off ? (
        <div className="initial" role="img" aria-label={`${label}, ${text.cameraIsOff}`}>
          {name.slice(0, 1).toUpperCase()}
        </div>
      ) : (
        <Picture video={video as TrackReference} label={label} />
      )}
      <figcaption>
        {!screen && quiet && (
          <span className="quiet">
            <Icon name="microphone" off />
            <span className="unseen">{text.microphoneIsOff}</span>
          </span>
        )}
        {label}
      </figcaption>
    </figure>
  );
}

function Picture({ video, label }: { video: TrackReference; label: string }) {
  const element = useRef<HTMLVideoElement>(null);
  const track = video.publication.track;
  useEffect(() => {
    const shown = element.current;
    if (!track || !shown) return;
    track.attach(shown);
    return () => void track.detach(shown);
  }, [track]);
  const { participant, source } = video;
  const camera = source === Track.Source.Camera;
  return (
    <video
      ref={element}
      className={participant.isLocal && camera ? "mirrored" : undefined}
      data-participant={participant.name}
      data-source={camera ? "camera" : "screen"}
      data-local={participant.isLocal}
      aria-label={label}
      autoPlay
      playsInline
      muted
    />
  );
}

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
