import { useId } from "react";
import type { Texts } from "./texts";

type Props = { text: Texts; label: string; devices: MediaDeviceInfo[]; value: string; onChoose: (id: string) => void };

export function DeviceChoice({ text, label, devices, value, onChoose }: Props) {
  const id = useId();
  if (devices.length === 0) return null;
  const known = devices.some((device) => device.deviceId === value);
  return (
    <div className="device">
      <label htmlFor={id}>{label}</label>
      <select id={id} value={known ? value : ""} onChange={(event) => onChoose(event.target.value)}>
        {!known && <option value="">{text.byDefault}</option>}
        {devices.map((device, index) => (
          <option key={device.deviceId} value={device.deviceId}>
            {device.label || text.device(index + 1)}
          </option>
        ))}
      </select>
    </div>
  );
}
