// Drawn here, so that no picture has to be fetched. The words beside or behind an icon say what it means.
const paths: Record<string, string> = {
  microphone: "M12 4a2.5 2.5 0 0 1 2.5 2.5v5a2.5 2.5 0 0 1-5 0v-5A2.5 2.5 0 0 1 12 4zM6.5 11a5.5 5.5 0 0 0 11 0M12 16.5V20M9 20h6",
  camera: "M3.5 7h11v10h-11zM14.500 11l6-3.500v9l-6-3.500",
  screen: "M3.5 5h17v11h-17zM9 20h6M12 16v4",
  chat: "M4 5h16v11H10l-4 4v-4H4z",
  people: "M9 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM3.500 19a5.500 5.500 0 0 1 11 0M15.500 5.300a3 3 0 0 1 0 5.400M17 14.200A5.500 5.500 0 0 1 20.500 19",
  lock: "M6 11h12v9H6zM8.500 11V8a3.500 3.500 0 0 1 7 0v3",
  leave: "M10 5H5v14h5M10 12h10M16.500 8.500 20 12l-3.500 3.500",
  remove: "M6 6l12 12M18 6 6 18",
};

export function Icon({ name, off = false }: { name: string; off?: boolean }) {
  return (
    <svg viewBox="0 0 24 24" aria-hidden="true" focusable="false" className="icon">
      <path d={paths[name]} />
      {off && <path d="M4 4l16 16" />}
    </svg>
  );
}
