import type { Room } from "livekit-client";
import { useState } from "react";
import { DeviceChoice } from "./DeviceChoice";
import { useDevices, type Wishes, whyNot } from "./devices";
import { PanelFrame } from "./PanelFrame";
import type { Texts } from "./texts";

type Props = { text: Texts; wishes: Wishes; onWishes: (change: Partial<Wishes>) => void; room: Room; onClose: () => void };

export function Devices({ text, wishes, onWishes, room, onClose }: Props) {
  const [problem, setProblem] = useState<keyof Texts | null>(null);
  const cameras = useDevices("videoinput", room.localParticipant.isCameraEnabled);
  const microphones = useDevices("audioinput", room.localParticipant.isMicrophoneEnabled);
  const speakers = useDevices("audiooutput", null);
  const choose = (kind: MediaDeviceKind, id: string, after: () => void) =>
    void room.switchActiveDevice(kind, id).then(
      () => {
        setProblem(null);
        after();
      },
      (error: unknown) => setProblem(kind === "audiooutput" ? "failed" : whyNot(kind === "videoinput" ? "camera" : "microphone", error)),
    );
  const used = (kind: MediaDeviceKind, wished: string) => room.getActiveDevice(kind) ?? wished;
  return (
    <PanelFrame text={text} id="settings" title={text.settings} onClose={onClose}>
      <DeviceChoice
        text={text}
        label={text.camera}
        devices={cameras}
        value={used("videoinput", wishes.cameraId)}
        onChoose={(id) => choose("videoinput", id, () => onWishes({ cameraId: id }))}
      />
      <DeviceChoice
        text={text}
        label={text.microphone}
        devices={microphones}
        value={used("audioinput", wishes.microphoneId)}
        onChoose={(id) => choose("audioinput", id, () => onWishes({ microphoneId: id }))}
      />
      {"setSinkId" in HTMLMediaElement.prototype && (
        <DeviceChoice text={text} label={text.speaker} devices={speakers} value={used("audiooutput", "")} onChoose={(id) => choose("audiooutput", id, () => undefined)} />
      )}
      <p role="alert" className="problem">
        {problem && (text[problem] as string)}
      </p>
    </PanelFrame>
  );
}
