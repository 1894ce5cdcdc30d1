// Stands between a sender and a receiver, and can lose answers: what a crash does that comes after the commit and before the answer.
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

export class AnswerGate {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #lost: PromiseWithResolvers<void> | undefined;

  static async listen(receiverPort: number): Promise<AnswerGate> {
    const gate = new AnswerGate(receiverPort);
    gate.#server.listen(0, "127.0.0.1");
    await once(gate.#server, "listening");
    return gate;
  }

  private constructor(receiverPort: number) {
    this.#server = createServer((sender) => this.#join(sender, connect(receiverPort, "127.0.0.1")));
  }

  /** Where the sender sends to. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** From now on no answer gets through. Resolves once one was lost. */
  loseAnswers(): Promise<void> {
    this.#lost ??= Promise.withResolvers();
    return this.#lost.promise;
  }

  letThrough(): void {
    this.#lost = undefined;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #join(sender: Socket, receiver: Socket): void {
    for (const [one, other] of [
      [sender, receiver],
      [receiver, sender],
    ] as const) {
      this.#sockets.add(one);
      // Whatever ends one of them, a connection that is refused among it, ends the other.
      one.on("error", () => {});
      one.on("close", () => {
        this.#sockets.delete(one);
        other.destroy();
      });
    }
    sender.on("data", (chunk) => receiver.write(chunk));
    receiver.on("data", (chunk) => {
      if (this.#lost === undefined) sender.write(chunk);
      else this.#lost.resolve();
    });
  }
}
