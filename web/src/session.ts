// The connection to the join service: one WebSocket per person, from the waiting room to the end of the class.
export type WaitReason = "teacher" | "admission";
export type OverReason = "removed" | "refused" | "locked" | "ended" | "full" | "elsewhere" | "lost";
// What the media server is entered with; the token is valid for seconds only.
export type Entrance = { token: string; url: string; identity: string; name: string };
export type Guest = { identity: string; name: string; since: number };
export type Answer = { ok: true; muted?: number } | { ok: false; error: string };

export type Events = {
  waiting: (why: WaitReason) => void;
  enter: (entrance: Entrance) => void;
  guests: (people: Guest[]) => void;
  // The service's sealed state, which teachers' pages return to a service that was restarted.
  handback: (sealed: string) => void;
  over: (why: OverReason) => void;
  online: (online: boolean) => void;
};

export const FIRST_RETRY = 500;
export const LONGEST_RETRY = 5000;
export const ANSWER_WITHIN = 10_000;
export const PING_EVERY = 15_000;
const BAD_TICKET = 4001;
const ELSEWHERE = 4002;
const OVER = 4003;
const ENDED = ["removed", "refused", "locked", "ended", "full"];
const NOT_SENT: Answer = { ok: false, error: "unreachable" };

type Frame = Record<string, unknown>;

function parsed(data: unknown): Frame {
  try {
    const found: unknown = JSON.parse(String(data));
    return typeof found === "object" && found !== null ? (found as Frame) : {};
  } catch {
    return {};
  }
}

const isText = (value: unknown): value is string => typeof value === "string" && value !== "";
const isGuest = (value: unknown): value is Guest => isText((value as Guest | null)?.identity) && isText((value as Guest).name);

export function address(page: Location): string {
  return `${page.protocol === "https:" ? "wss" : "ws"}://${page.host}/api/class`;
}

export class Session {
  readonly #ticket: string;
  readonly #events: Events;
  readonly #open: () => WebSocket;
  readonly #pending = new Map<number, (answer: Answer) => void>();
  #handback: string | undefined;
  #socket: WebSocket | null = null;
  #greeted = false;
  #failures = 0;
  #last = 0;
  #over = false;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #ping: ReturnType<typeof setInterval> | undefined;

  constructor(ticket: string, events: Events, handback?: string, open: () => WebSocket = () => new WebSocket(address(location))) {
    this.#ticket = ticket;
    this.#events = events;
    this.#handback = handback;
    this.#open = open;
  }

  start(): void {
    if (this.#over || this.#socket) return;
    clearTimeout(this.#retry);
    const socket = this.#open();
    this.#socket = socket;
    socket.onopen = () => {
      if (socket === this.#socket) socket.send(JSON.stringify({ type: "hello", ticket: this.#ticket, ...(this.#handback && { handback: this.#handback }) }));
    };
    socket.onmessage = ({ data }) => {
      if (socket === this.#socket) this.#receive(parsed(data));
    };
    socket.onclose = ({ code }) => {
      if (socket === this.#socket) this.#closed(code);
    };
    clearInterval(this.#ping);
    this.#ping = setInterval(() => void this.check(), PING_EVERY);
  }

  // Close for good, without a report: there are no listeners any more.
  stop(): void {
    this.#over = true;
    this.#drop();
  }

  // Leave the class, so that the place is free at once.
  async leave(): Promise<void> {
    this.#over = true;
    await Promise.race([this.request("leave"), new Promise((done) => setTimeout(done, 1000))]);
    this.#drop();
  }

  // Connect at once if there is no connection, and find out whether an open one still works.
  async check(): Promise<void> {
    if (!this.#socket) return this.start();
    const socket = this.#socket;
    const opened = this.#greeted;
    const answer = opened ? await this.request("ping") : NOT_SENT;
    if (opened && !answer.ok && socket === this.#socket) this.#closed();
  }

  request(type: string, content: Record<string, unknown> = {}): Promise<Answer> {
    const socket = this.#socket;
    if (!socket || !this.#greeted) return Promise.resolve(NOT_SENT);
    const re = (this.#last = (this.#last + 1) % 2 ** 31);
    return new Promise((resolve) => {
      const timer = setTimeout(() => answered(NOT_SENT), ANSWER_WITHIN);
      const answered = (answer: Answer) => {
        clearTimeout(timer);
        this.#pending.delete(re);
        resolve(answer);
      };
      this.#pending.set(re, answered);
      socket.send(JSON.stringify({ type, re, ...content }));
    });
  }

  #receive(frame: Frame): void {
    const { type, why } = frame;
    if (type === "answer") return this.#pending.get(Number(frame.re))?.(frame.ok === true ? (frame as Answer) : { ok: false, error: String(frame.error) });
    if (type === "over") return this.#end(ENDED.includes(String(why)) ? (why as OverReason) : "lost");
    if (type === "waiting" || type === "enter") this.#arrived();
    if (type === "waiting" && (why === "teacher" || why === "admission")) this.#events.waiting(why);
    if (type === "enter" && isText(frame.token) && isText(frame.url)) this.#events.enter(frame as Entrance);
    if (type === "waiting_list" && Array.isArray(frame.people)) this.#events.guests(frame.people.filter(isGuest));
    if (type === "handback" && isText(frame.sealed)) {
      this.#handback = frame.sealed;
      this.#events.handback(frame.sealed);
    }
  }

  #arrived(): void {
    this.#failures = 0;
    if (this.#greeted) return;
    this.#greeted = true;
    this.#events.online(true);
  }

  #closed(code?: number): void {
    this.#drop();
    if (this.#over) return;
    if (code === ELSEWHERE) return this.#end("elsewhere");
    if (code === BAD_TICKET || code === OVER) return this.#end("lost");
    this.#events.online(false);
    const wait = Math.min(LONGEST_RETRY, FIRST_RETRY * 2 ** this.#failures++);
    // At different moments, so that a restarted service does not get all classes at once.
    this.#retry = setTimeout(() => this.start(), wait * (0.5 + Math.random() / 2));
  }

  #end(why: OverReason): void {
    if (this.#over) return;
    this.stop();
    this.#events.over(why);
  }

  #drop(): void {
    clearTimeout(this.#retry);
    clearInterval(this.#ping);
    const socket = this.#socket;
    this.#socket = null;
    this.#greeted = false;
    for (const answered of [...this.#pending.values()]) answered(NOT_SENT);
    socket?.close();
  }
}
