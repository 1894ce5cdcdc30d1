/** How a command looks: examples come first in its help. */
import { Command } from "commander";

export function command(name: string, description: string, examples: readonly string[] = []): Command {
  const made = new Command(name).description(description).showHelpAfterError("(--help shows how)");
  if (examples.length > 0) {
    const lines = examples.map((example) => `  $ posthorn ${example}`);
    made.addHelpText("before", `Examples:\n${lines.join("\n")}\n`);
  }
  return made;
}
