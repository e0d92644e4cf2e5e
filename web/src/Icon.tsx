// Drawn here, so that no picture has to be fetched. The words beside or behind an icon say what it means.
const paths = {
  microphone: "M12 4a2.5 2.5 0 0 1 2.500 2.500v5a2.500 2.500 0 0 1-5 0v-5A2.500 2.500 0 0 1 12 4zM6.500 11a5.500 5.500 0 0 0 11 0M12 16.500V20M9 20h6",
  camera: "M3.500 7h11v10h-11zM14.500 11l6-3.500v9l-6-3.500",
  screen: "M3.500 5h17v11h-17zM9 20h6M12 16v4",
  chat: "M4 5h16v11H10l-4 4v-4H4z",
  people: "M9 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM3.500 19a5.500 5.500 0 0 1 11 0M15.500 5.300a3 3 0 0 1 0 5.400M17 14.200A5.500 5.500 0 0 1 20.500 19",
  hand: "M7.500 12.500v-6a1.500 1.500 0 0 1 3 0V11M10.500 11V4.800a1.500 1.500 0 0 1 3 0V11M13.500 11V6a1.500 1.500 0 0 1 3 0v6M16.500 12V9.500a1.500 1.500 0 0 1 3 0V14a6.500 6.500 0 0 1-12 3.500L4.700 13.800a1.500 1.500 0 0 1 2.400-1.700l1.400 1.700",
  settings: "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.500a2.500 2.500 0 1 1 0 5 2.500 2.500 0 0 1 0-5zM9 14.500a2.500 2.500 0 1 1 0 5 2.500 2.500 0 0 1 0-5z",
  lock: "M6 11h12v9H6zM8.500 11V8a3.500 3.500 0 0 1 7 0v3",
  leave: "M10 5H5v14h5M10 12h10M16.500 8.500 20 12l-3.500 3.500",
  close: "M6 6l12 12M18 6 6 18",
  remove: "M10 11a3.200 3.200 0 1 0 0-6.400A3.200 3.200 0 0 0 10 11zM4 19.500a6 6 0 0 1 11-3.300M16.500 17l5 5M21.500 17l-5 5",
  send: "M4 12 20 4.500 15.500 20 11.500 13.500zM11.500 13.500 20 4.500",
  large: "M4.500 9V4.500H9M15 4.500h4.500V9M19.500 15v4.500H15M9 19.500H4.500V15",
  weak: "M5 19v-3M10 19v-6M15 19v-9M20 19V6",
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name, off = false }: { name: IconName; off?: boolean }) {
  return (
    <svg viewBox="0 0 24 24" aria-hidden="true" focusable="false" className="icon">
      <path d={paths[name]} />
      {off && <path d="M4 4l16 16" />}
    </svg>
  );
}
