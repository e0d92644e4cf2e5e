import { useEffect } from "react";

// Keep a tablet's screen on: a sleeping one loses its place in the waiting room, and its class.
export function useStaysAwake() {
  useEffect(() => {
    let lock: WakeLockSentinel | undefined;
    const request = () => {
      if (document.visibilityState === "visible") void navigator.wakeLock?.request("screen").then((granted) => (lock = granted), () => undefined);
    };
    request();
    document.addEventListener("visibilitychange", request);
    return () => {
      document.removeEventListener("visibilitychange", request);
      void lock?.release();
    };
  }, []);
}
