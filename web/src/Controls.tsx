import { useLocalParticipant } from "@livekit/components-react";
import { type LocalTrackPublication, Track } from "livekit-client";
import type { ReactNode } from "react";
import { whyNot } from "./devices";
import { Icon, type IconName } from "./Icon";
import type { Texts } from "./texts";

export type Panel = "chat" | "people" | "settings";

type Props = {
  text: Texts;
  teacher: boolean;
  locked: boolean;
  handUp: boolean;
  unread: number;
  hands: number;
  panel: Panel | null;
  onPanel: (panel: Panel) => void;
  onHand: () => void;
  onMuteAll: () => void;
  onLock: () => void;
  onLeave: () => void;
  onProblem: (why: keyof Texts) => void;
};

// A switch keeps its name and tells its state; what a click would do stands in the tooltip.
type ButtonProps = { id: string; icon: IconName; label: string; click: () => void; tip?: string; on?: boolean; off?: boolean; kind?: string; opens?: Panel; badge?: ReactNode };

function Button({ id, icon, label, click, tip, on, off = false, kind = "", opens, badge }: ButtonProps) {
  const state = opens ? { "aria-expanded": on, "aria-controls": `panel-${opens}` } : on === undefined ? {} : { "aria-pressed": on };
  return (
    <button type="button" data-testid={id} className={`control ${kind} ${on ? "on" : ""} ${off ? "off" : ""}`} title={tip ?? label} onClick={click} {...state}>
      <span className="round">
        <Icon name={icon} off={off} />
      </span>
      <span className="label">{label}</span>
      {badge}
    </button>
  );
}

export function Controls(props: Props) {
  const { text, teacher, locked, handUp, unread, hands, panel, onPanel, onHand, onMuteAll, onLock, onLeave, onProblem } = props;
  const { localParticipant, isMicrophoneEnabled, isCameraEnabled, isScreenShareEnabled } = useLocalParticipant();

  const microphone = async () => {
    const publication = localParticipant.getTrackPublication(Track.Source.Microphone) as (LocalTrackPublication & { byOwner?: boolean }) | undefined;
    if (publication) publication.byOwner = isMicrophoneEnabled;
    try {
      await localParticipant.setMicrophoneEnabled(!isMicrophoneEnabled);
    } catch (error) {
      onProblem(whyNot("microphone", error));
    } finally {
      if (publication) publication.byOwner = false;
    }
  };
  const camera = () => localParticipant.setCameraEnabled(!isCameraEnabled).catch((error: unknown) => onProblem(whyNot("camera", error)));
  const screen = () =>
    localParticipant
      .setScreenShareEnabled(!isScreenShareEnabled, { audio: true, selfBrowserSurface: "include", contentHint: "detail" })
      // Closing the browser's own window of choice is no failure.
      .catch((error: Error) => error.name === "NotAllowedError" || onProblem("screenFailed"));
  const canShare = teacher && typeof navigator.mediaDevices?.getDisplayMedia === "function";

  return (
    <nav className="controls" aria-label={text.controls}>
      <div className="group">
        <Button
          id="mic"
          icon="microphone"
          label={text.microphone}
          tip={isMicrophoneEnabled ? text.microphoneOff : text.microphoneOn}
          on={isMicrophoneEnabled}
          off={!isMicrophoneEnabled}
          click={() => void microphone()}
        />
        <Button
          id="camera"
          icon="camera"
          label={text.camera}
          tip={isCameraEnabled ? text.cameraOff : text.cameraOn}
          on={isCameraEnabled}
          off={!isCameraEnabled}
          click={() => void camera()}
        />
        {canShare && (
          <Button id="screen" icon="screen" label={text.share} tip={isScreenShareEnabled ? text.shareOff : text.shareOn} on={isScreenShareEnabled} click={() => void screen()} />
        )}
        {!teacher && <Button id="hand" icon="hand" label={text.hand} tip={handUp ? text.handDown : text.handUp} on={handUp} click={onHand} />}
      </div>
      <div className="group">
        <Button
          id="chat-toggle"
          icon="chat"
          label={text.chat}
          on={panel === "chat"}
          opens="chat"
          click={() => onPanel("chat")}
          badge={
            unread > 0 && (
              <span className="badge" data-testid="unread">
                <span aria-hidden="true">{unread}</span>
                <span className="unseen">{text.unread(unread)}</span>
              </span>
            )
          }
        />
        <Button
          id="people-toggle"
          icon="people"
          label={text.peopleShort}
          tip={text.people}
          on={panel === "people"}
          opens="people"
          click={() => onPanel("people")}
          badge={
            hands > 0 && (
              <span className="badge hands">
                <Icon name="hand" />
                <span aria-hidden="true">{hands}</span>
                <span className="unseen">{`${text.handIsUp} : ${hands}`}</span>
              </span>
            )
          }
        />
        <Button id="settings-toggle" icon="settings" label={text.settings} on={panel === "settings"} opens="settings" click={() => onPanel("settings")} />
      </div>
      {teacher && (
        <div className="group" role="group" aria-label={text.forTeachers}>
          <Button id="mute-all" icon="microphone" off kind="act" label={text.muteAll} tip={text.muteAllLong} click={onMuteAll} />
          <Button id="lock" icon="lock" label={text.lock} tip={locked ? text.lockOff : text.lockOn} on={locked} click={onLock} />
        </div>
      )}
      <div className="group">
        <Button id="leave" icon="leave" kind="leave" label={text.leave} click={onLeave} />
      </div>
    </nav>
  );
}
