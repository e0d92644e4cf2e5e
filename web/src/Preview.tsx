import { useEffect, useRef, useState } from "react";
import { DeviceChoice } from "./DeviceChoice";
import { alreadyAllowed, type Kind, useDevices, type Wishes, whyNot } from "./devices";
import { Icon } from "./Icon";
import type { Texts } from "./texts";

type Props = { text: Texts; wishes: Wishes; onWishes: (wishes: Wishes) => void };
type Problem = Partial<Record<Kind, keyof Texts>>;

const constraintsOf: Record<Kind, (id: string) => MediaStreamConstraints> = {
  camera: (id) => ({ video: { deviceId: id ? { exact: id } : undefined, width: { ideal: 960 }, aspectRatio: { ideal: 16 / 9 } } }),
  microphone: (id) => ({ audio: { deviceId: id ? { exact: id } : undefined } }),
};

const deviceOf = (stream: MediaStream) => stream.getTracks()[0]?.getSettings().deviceId ?? "";

// One device while it is wanted: its stream, or why there is none.
function useStream(kind: Kind, on: boolean, id: string, onProblem: (why?: keyof Texts) => void): MediaStream | null {
  const [stream, setStream] = useState<MediaStream | null>(null);
  useEffect(() => {
    if (!on) return;
    let over = false;
    let opened: MediaStream | null = null;
    const stop = () => opened?.getTracks().forEach((track) => track.stop());
    navigator.mediaDevices.getUserMedia(constraintsOf[kind](id)).then(
      (found) => {
        opened = found;
        if (over) stop();
        else {
          onProblem(undefined);
          setStream(found);
        }
      },
      (error: unknown) => {
        if (!over) onProblem(whyNot(kind, error));
      },
    );
    return () => {
      over = true;
      stop();
      setStream(null);
    };
    // The complaint goes to whoever listens now; it is no reason to start again.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [kind, on, id]);
  return stream;
}

export function Preview({ text, wishes, onWishes }: Props) {
  const [trying, setTrying] = useState(false);
  const [problem, setProblem] = useState<Problem>({});
  const able = typeof navigator.mediaDevices?.getUserMedia === "function";
  const camera = useStream("camera", trying && wishes.camera, wishes.cameraId, (why) => setProblem((p) => ({ ...p, camera: why })));
  const microphone = useStream("microphone", trying && wishes.microphone, wishes.microphoneId, (why) => setProblem((p) => ({ ...p, microphone: why })));
  const cameras = useDevices("videoinput", camera);
  const microphones = useDevices("audioinput", microphone);
  const picture = useRef<HTMLVideoElement>(null);

  useEffect(() => {
    // The browser asks for permission only on request.
    let over = false;
    if (able) void alreadyAllowed().then((allowed) => allowed && !over && setTrying(true));
    return () => {
      over = true;
    };
  }, [able]);
  // Both at once first, so that the browser asks one question; a refusal is reported by each device on its own.
  const askForBoth = async () => {
    try {
      const both = await navigator.mediaDevices.getUserMedia({ video: true, audio: true });
      both.getTracks().forEach((track) => track.stop());
    } finally {
      setTrying(true);
    }
  };
  useEffect(() => {
    if (picture.current) picture.current.srcObject = camera;
  }, [camera]);

  const wish = (kind: Kind, label: string) => (
    <label className="choice">
      <input type="checkbox" role="switch" data-testid={`with-${kind}`} checked={wishes[kind]} onChange={(e) => onWishes({ ...wishes, [kind]: e.target.checked })} />
      <Icon name={kind} off={!wishes[kind]} />
      {label}
    </label>
  );
  const asking = trying && ((wishes.camera && !camera && !problem.camera) || (wishes.microphone && !microphone && !problem.microphone));
  return (
    <fieldset className="preview">
      <legend>{text.preview}</legend>
      <div className="mirror">
        {camera && <video ref={picture} className="mirrored" aria-label={text.yourPicture} autoPlay playsInline muted />}
        {!camera && trying && <p>{asking ? text.asking : text.previewIsOff}</p>}
        {!trying && able && (
          <button type="button" className="second" data-testid="try" onClick={() => void askForBoth().catch(() => undefined)}>
            {text.tryDevices}
          </button>
        )}
      </div>
      {microphone && <Level label={text.level} stream={microphone} />}
      <p role="status" className="problem">
        {[wishes.camera && problem.camera, wishes.microphone && problem.microphone]
          .filter((why): why is keyof Texts => !!why)
          .map((why) => text[why] as string)
          .join(" ")}
      </p>
      <div className="choices">
        {wish("camera", text.withCamera)}
        {camera && <DeviceChoice text={text} label={text.camera} devices={cameras} value={deviceOf(camera)} onChoose={(cameraId) => onWishes({ ...wishes, cameraId })} />}
        {wish("microphone", text.withMicrophone)}
        {microphone && (
          <DeviceChoice text={text} label={text.microphone} devices={microphones} value={deviceOf(microphone)} onChoose={(microphoneId) => onWishes({ ...wishes, microphoneId })} />
        )}
      </div>
    </fieldset>
  );
}

// How loud the microphone is, ten times a second.
function Level({ label, stream }: { label: string; stream: MediaStream }) {
  const shown = useRef<HTMLMeterElement>(null);
  useEffect(() => {
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    analyser.fftSize = 512;
    context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    const timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
      if (shown.current) shown.current.value = Math.min(1, Math.sqrt(power) * 4);
    }, 100);
    return () => {
      clearInterval(timer);
      void context.close();
    };
  }, [stream]);
  return <meter ref={shown} className="level" min={0} max={1} aria-label={label} />;
}
