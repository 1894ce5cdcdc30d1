/** A lean HTTP/1.1 keep-alive connection for the load side: one request at a time, answers with a content-length. */
import { connect, type Socket } from "node:net";

export interface Response {
  readonly status: number;
  readonly retryAfterSeconds: number | null;
  readonly body: string;
}

export interface Target {
  readonly host: string;
  readonly port: number;
}

type Done = (error: Error | null, response: Response | null) => void;

export class HttpConnection {
  #target: Target;
  #socket: Socket | undefined;
  #waiting = "";
  #done: Done | undefined;

  constructor(target: Target) {
    this.#target = target;
  }

  get busy(): boolean {
    return this.#done !== undefined;
  }

  /** Opens the connection anew when it was lost. `done` is called exactly once; with an error the request may have been taken. */
  send(request: Buffer, done: Done): void {
    if (this.#done !== undefined) throw new Error("The connection is busy.");
    this.#done = done;
    this.#socket ??= this.#open();
    this.#socket.write(request);
  }

  close(): void {
    this.#socket?.destroy();
  }

  #open(): Socket {
    const socket = connect({ ...this.#target, noDelay: true });
    let reason = new Error("The server closed the connection.");
    socket.setEncoding("utf8");
    socket.on("data", (text) => this.#read(text as unknown as string));
    socket.on("error", (error) => {
      reason = error;
    });
    socket.on("close", () => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      this.#waiting = "";
      this.#finish(reason, null);
    });
    return socket;
  }

  #read(text: string): void {
    this.#waiting += text;
    const headEnd = this.#waiting.indexOf("\r\n\r\n");
    if (headEnd < 0) return;
    const head = this.#waiting.slice(0, headEnd).toLowerCase();
    const bodyBytes = Number(/\r\ncontent-length: *(\d+)/.exec(head)?.[1]);
    if (Number.isNaN(bodyBytes)) {
      this.#socket?.destroy(new Error("The server's answer has no content-length."));
      return;
    }
    const body = this.#waiting.slice(headEnd + 4);
    if (body.length < bodyBytes && Buffer.byteLength(body) < bodyBytes) return;
    this.#waiting = "";
    if (head.includes("\r\nconnection: close")) {
      this.#socket?.destroy();
      this.#socket = undefined;
    }
    const status = Number(head.slice(9, 12));
    const retryAfter = /\r\nretry-after: *(\d+)/.exec(head)?.[1];
    this.#finish(null, {
      status,
      retryAfterSeconds: retryAfter === undefined ? null : Number(retryAfter),
      body,
    });
  }

  #finish(error: Error | null, response: Response | null): void {
    const done = this.#done;
    this.#done = undefined;
    done?.(error, response);
  }
}

/** The whole request as it goes out. */
export function postRequest(
  target: Target,
  path: string,
  headers: Readonly<Record<string, string>>,
  body: string,
): Buffer {
  let head = `POST ${path} HTTP/1.1\r\nhost: ${target.host}:${target.port}\r\n`;
  for (const name in headers) head += `${name}: ${headers[name]}\r\n`;
  return Buffer.from(`${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}
