/** The end of a command that runs until it is told to stop. */
import { messageOf } from "../base/errors.ts";
import { EXIT_CODES } from "./exit-code.ts";
import { say } from "./output/output.ts";

/**
 * On SIGTERM or SIGINT: stops, and ends the process with 0 once that is done.
 * @param first what ends before it does, such as `attempts under way`
 */
export function stopOnSignal(first: string, stop: () => Promise<void>): void {
  let stopping = false;
  for (const [signal, code] of [
    ["SIGTERM", EXIT_CODES.terminated],
    ["SIGINT", EXIT_CODES.interrupted],
  ] as const) {
    process.on(signal, () => {
      if (stopping) process.exit(code);
      stopping = true;
      say(`Stopping: ${first} end first. The same signal again stops at once.`);
      stop().then(
        () => process.exit(EXIT_CODES.ok),
        (error: unknown) => {
          say(`It did not stop cleanly: ${messageOf(error)}`);
          process.exit(EXIT_CODES.failure);
        },
      );
    });
  }
}
