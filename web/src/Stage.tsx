import type { TrackReferenceOrPlaceholder } from "@livekit/components-react";
import { Track } from "livekit-client";
import { type CSSProperties, type RefObject, useLayoutEffect, useRef, useState } from "react";
import { Boundary } from "./Boundary";
import type { Texts } from "./texts";
import { Tile } from "./Tile";

type Props = { text: Texts; videos: TrackReferenceOrPlaceholder[]; alone: boolean };

const GAP = 10;
const RATIO = 16 / 9;
const SMALLEST = 148;

// The widest tile, in pixels, with which `count` of them fit into a stage; with the smallest one the stage scrolls.
export function tileWidth(count: number, width: number, height: number): number {
  let best = 0;
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const byWidth = (width - GAP * (columns - 1)) / columns;
    const byHeight = ((height - GAP * (rows - 1)) / rows) * RATIO;
    best = Math.max(best, Math.min(byWidth, byHeight));
  }
  return Math.floor(Math.max(best, Math.min(width, SMALLEST)));
}

function useSize(element: RefObject<HTMLElement>): [number, number] {
  const [size, setSize] = useState<[number, number]>([0, 0]);
  useLayoutEffect(() => {
    if (!element.current) return;
    const watch = new ResizeObserver(([entry]) => {
      if (entry) setSize([entry.contentRect.width, entry.contentRect.height]);
    });
    watch.observe(element.current);
    return () => watch.disconnect();
  }, [element]);
  return size;
}

// Teachers first, oneself last, the others in order of arrival.
function order(a: TrackReferenceOrPlaceholder, b: TrackReferenceOrPlaceholder): number {
  const rank = ({ participant }: TrackReferenceOrPlaceholder) => (participant.isLocal ? 2 : participant.attributes.role === "teacher" ? 0 : 1);
  return rank(a) - rank(b) || (a.participant.joinedAt?.getTime() ?? 0) - (b.participant.joinedAt?.getTime() ?? 0);
}

export function Stage({ text, videos, alone }: Props) {
  const grid = useRef<HTMLDivElement>(null);
  const [width, height] = useSize(grid);
  const screens = videos.filter((video) => video.source === Track.Source.ScreenShare);
  const faces = videos.filter((video) => video.source !== Track.Source.ScreenShare).sort(order);
  const wide = tileWidth(faces.length, width, height);
  const tile = { "--tile": `${wide}px` } as CSSProperties;
  // What scrolls can be focused by keyboard.
  const scrolls = screens.length > 0 || wide <= SMALLEST;
  const reach = scrolls ? { tabIndex: 0, role: "group", "aria-label": text.people } : {};
  const key = (video: TrackReferenceOrPlaceholder) => `${video.participant.identity}/${video.source}`;
  const shown = (video: TrackReferenceOrPlaceholder) => (
    <Boundary key={key(video)} text={text} frame={(message) => <div className="tile">{message}</div>}>
      <Tile text={text} video={video} />
    </Boundary>
  );
  return (
    <main className={screens.length ? "stage sharing" : "stage"} aria-label={text.videos} data-count={faces.length}>
      {screens.length > 0 && (
        <div className="screens">{screens.map(shown)}</div>
      )}
      <div className="faces" ref={grid} style={tile} {...reach}>
        {faces.map(shown)}
      </div>
      {alone && <p className="hint alone">{text.alone}</p>}
    </main>
  );
}
