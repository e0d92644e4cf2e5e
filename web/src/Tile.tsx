import { isTrackReference, type TrackReference, type TrackReferenceOrPlaceholder, useConnectionQualityIndicator, useIsMuted, useIsSpeaking, useParticipantAttributes } from "@livekit/components-react";
import { ConnectionQuality, Track } from "livekit-client";
import { useEffect, useRef } from "react";
import { Icon } from "./Icon";
import { Name, RoleBadge } from "./Name";
import { isolated, type Texts } from "./texts";

const COLOURS = 6;

// One person always has the same colour, to be recognised without a camera.
const colourOf = (identity: string) => [...identity].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 997, 7) % COLOURS;

export function Tile({ text, video }: { text: Texts; video: TrackReferenceOrPlaceholder }) {
  const { participant, source } = video;
  const frame = useRef<HTMLElement>(null);
  const screen = source === Track.Source.ScreenShare;
  const off = useIsMuted(video) || !isTrackReference(video);
  const quiet = useIsMuted({ participant, source: Track.Source.Microphone });
  const speaking = useIsSpeaking(participant) && !screen;
  const { attributes } = useParticipantAttributes({ participant });
  const { quality } = useConnectionQualityIndicator({ participant });
  const weak = quality === ConnectionQuality.Poor || quality === ConnectionQuality.Lost;
  const name = participant.name ?? "";
  const label = screen ? text.screenOf(isolated(name)) : participant.isLocal ? text.me(isolated(name)) : isolated(name);
  return (
    <figure ref={frame} className={`tile${screen ? " screen" : ""}${speaking ? " speaking" : ""}`} data-testid="tile">
      {off ? (
        <div className={`initial colour-${colourOf(participant.identity)}`} role="img" aria-label={`${label}, ${text.cameraIsOff}`}>
          <span aria-hidden="true">{[...name][0]?.toUpperCase()}</span>
        </div>
      ) : (
        <Picture video={video as TrackReference} label={label} />
      )}
      {attributes?.hand && !screen && (
        <span className="raised">
          <Icon name="hand" />
          <span className="unseen">{text.handIsUp}</span>
        </span>
      )}
      <figcaption>
        {!screen && quiet && (
          <span className="quiet">
            <Icon name="microphone" off />
            <span className="unseen">{text.microphoneIsOff}</span>
          </span>
        )}
        {screen ? <span className="name">{label}</span> : <Name text={text} name={name} me={participant.isLocal} />}
        {!screen && <RoleBadge role={attributes?.role} text={text} />}
        {weak && (
          <span className="weak" title={text.weak}>
            <Icon name="weak" />
            <span className="unseen">{text.weak}</span>
          </span>
        )}
      </figcaption>
      {screen && document.fullscreenEnabled && (
        <button type="button" className="enlarge" aria-label={text.fullScreen} title={text.fullScreen} onClick={() => void frame.current?.requestFullscreen()}>
          <Icon name="large" />
        </button>
      )}
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
