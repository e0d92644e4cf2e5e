import { useLocalParticipant } from "@livekit/components-react";
import { type LocalTrackPublication, Track } from "livekit-client";
import type { ReactNode } from "react";
import { type Wishes, whyNot } from "./devices";
import { Icon, type IconName } from "./Icon";
import type { Texts } from "./texts";

export type Panel = "chat" | "people" | "settings";

type Props = {
  text: Texts;
  teacher: boolean;
  locked: boolean;
  mayPublish: boolean;
  handUp: boolean;
  unread: number;
  hands: number;
  waiting: number;
  panel: Panel | null;
  onPanel: (panel: Panel) => void;
  onHand: () => void;
  onMuteAll: () => void;
  onLock: () => void;
  onRaid: () => void;
  onWishes: (change: Partial<Wishes>) => void;
  onLeave: () => void;
  onProblem: (why: keyof Texts) => void;
};

// A switch keeps its name and has a state; its tooltip says what a click does.
type ButtonProps = { id: string; icon: IconName; label: string; click: () => void; tip?: string; on?: boolean; off?: boolean; kind?: string; opens?: Panel; badge?: ReactNode; disabled?: boolean };

function Button({ id, icon, label, click, tip, on, off = false, kind = "", opens, badge, disabled }: ButtonProps) {
  const state = opens ? { "aria-expanded": on, "aria-controls": `panel-${opens}` } : on === undefined ? {} : { "aria-pressed": on };
  return (
    <button type="button" data-testid={id} className={`control ${kind} ${on ? "on" : ""} ${off ? "off" : ""}`} title={tip ?? label} disabled={disabled} onClick={click} {...state}>
      <span className="round">
        <Icon name={icon} off={off} />
      </span>
      <span className="label">{label}</span>
      {badge}
    </button>
  );
}

export function Controls(props: Props) {
  const { text, teacher, locked, mayPublish, handUp, unread, hands, waiting, panel, onPanel, onHand, onMuteAll, onLock, onRaid, onWishes, onLeave, onProblem } = props;
  const { localParticipant, isMicrophoneEnabled, isCameraEnabled, isScreenShareEnabled } = useLocalParticipant();

  const microphone = async () => {
    const publication = localParticipant.getTrackPublication(Track.Source.Microphone) as (LocalTrackPublication & { byOwner?: boolean }) | undefined;
    if (publication) publication.byOwner = isMicrophoneEnabled;
    try {
      await localParticipant.setMicrophoneEnabled(!isMicrophoneEnabled);
      onWishes({ microphone: !isMicrophoneEnabled });
    } catch (error) {
      onProblem(whyNot("microphone", error));
    } finally {
      if (publication) publication.byOwner = false;
    }
  };
  const camera = () =>
    localParticipant.setCameraEnabled(!isCameraEnabled).then(
      () => onWishes({ camera: !isCameraEnabled }),
      (error: unknown) => onProblem(whyNot("camera", error)),
    );
  const screen = () =>
    localParticipant
      .setScreenShareEnabled(!isScreenShareEnabled, { audio: true, selfBrowserSurface: "include", contentHint: "detail" })
      // Closing the browser's own window of choice is not a failure.
      .catch((error: Error) => error.name === "NotAllowedError" || onProblem("screenFailed"));
  const canShare = teacher && typeof navigator.mediaDevices?.getDisplayMedia === "function";

  return (
    <nav className="controls" aria-label={text.controls}>
      <div className="group">
        <Button
          id="mic"
          icon="microphone"
          label={text.microphone}
          tip={!mayPublish ? text.paused : isMicrophoneEnabled ? text.microphoneOff : text.microphoneOn}
          disabled={!mayPublish}
          on={isMicrophoneEnabled}
          off={!isMicrophoneEnabled}
          click={() => void microphone()}
        />
        <Button
          id="camera"
          icon="camera"
          label={text.camera}
          tip={!mayPublish ? text.paused : isCameraEnabled ? text.cameraOff : text.cameraOn}
          disabled={!mayPublish}
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
            <>
              {hands > 0 && (
                <span className="badge hands">
                  <Icon name="hand" />
                  <span aria-hidden="true">{hands}</span>
                  <span className="unseen">{text.handsUp(hands)}</span>
                </span>
              )}
              {waiting > 0 && (
                <span className="badge guests" data-testid="guests-count">
                  <span aria-hidden="true">{waiting}</span>
                  <span className="unseen">{text.waitingCount(waiting)}</span>
                </span>
              )}
            </>
          }
        />
        <Button id="settings-toggle" icon="settings" label={text.settings} on={panel === "settings"} opens="settings" click={() => onPanel("settings")} />
      </div>
      {teacher && (
        <div className="group" role="group" aria-label={text.forTeachers}>
          <Button id="mute-all" icon="microphone" off kind="act" label={text.muteAll} tip={text.muteAllLong} click={onMuteAll} />
          <Button id="lock" icon="lock" label={text.lock} tip={locked ? text.lockOff : text.lockOn} on={locked} click={onLock} />
          <Button id="raid" icon="shield" kind="act" label={text.raid} tip={text.raidLong} click={onRaid} />
        </div>
      )}
      <div className="group">
        <Button id="leave" icon="leave" kind="leave" label={text.leave} click={onLeave} />
      </div>
    </nav>
  );
}
