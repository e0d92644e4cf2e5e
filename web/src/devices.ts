// Cameras, microphones and loudspeakers, without the media client: the form before the class needs them as well.
import { useEffect, useState } from "react";
import type { Texts } from "./texts";

export type Kind = "camera" | "microphone";
export type Wishes = { camera: boolean; microphone: boolean; cameraId: string; microphoneId: string };

export const firstWishes: Wishes = { camera: true, microphone: true, cameraId: "", microphoneId: "" };

// The text that says why a device did not start.
export function whyNot(kind: Kind, error: unknown): keyof Texts {
  const name = error instanceof Error ? error.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") return kind === "camera" ? "cameraDenied" : "microphoneDenied";
  if (name === "NotFoundError" || name === "OverconstrainedError") return kind === "camera" ? "cameraMissing" : "microphoneMissing";
  return kind === "camera" ? "cameraBusy" : "microphoneBusy";
}

// The devices of one kind, as long as the browser names them; `again` makes it look once more.
export function useDevices(kind: MediaDeviceKind, again: unknown): MediaDeviceInfo[] {
  const [devices, setDevices] = useState<MediaDeviceInfo[]>([]);
  useEffect(() => {
    let over = false;
    const look = () =>
      void navigator.mediaDevices?.enumerateDevices().then((all) => {
        if (!over) setDevices(all.filter((device) => device.kind === kind && device.deviceId));
      });
    look();
    navigator.mediaDevices?.addEventListener("devicechange", look);
    return () => {
      over = true;
      navigator.mediaDevices?.removeEventListener("devicechange", look);
    };
  }, [kind, again]);
  return devices;
}

// Whether the browser has already allowed both, so that a preview needs no question.
export async function alreadyAllowed(): Promise<boolean> {
  try {
    const names = ["camera", "microphone"] as PermissionName[];
    const states = await Promise.all(names.map((name) => navigator.permissions.query({ name })));
    return states.every((status) => status.state === "granted");
  } catch {
    return false;
  }
}
