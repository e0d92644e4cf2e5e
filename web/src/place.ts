// One's place in the class: kept by the tab until it closes or leaves, so that a reload takes the same place back.
import type { Wishes } from "./devices";
import type { Ticket } from "./portal";

export type Place = Ticket & { link: string; wishes: Wishes; handback?: string };

const KEY = "place";

export function keptPlace(): Place | null {
  try {
    const found = JSON.parse(sessionStorage.getItem(KEY) ?? "null") as Place | null;
    // Another link in the same tab is another class.
    if (found?.ticket && found.wishes && found.link === location.hash) return found;
  } catch {
    // a browser that refuses storage, or content of another version: the form is shown
  }
  return null;
}

export function keepPlace(place: Place): void {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(place));
  } catch {
    // then a reload shows the form
  }
}

export function dropPlace(): void {
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // nothing was kept
  }
}
