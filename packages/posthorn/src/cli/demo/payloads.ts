/** Real input: the webhook payloads that GitHub documents, as the package @octokit/webhooks-examples has them. */
import { createRequire } from "node:module";
import { CliError, EXIT_CODES } from "../exit-code.ts";

export interface DemoEvent {
  readonly eventType: string;
  /** JSON text. */
  readonly data: string;
}

interface Example {
  readonly name: string;
  readonly examples: readonly { readonly action?: string }[];
}

/** All payloads, as `github.<name>` or `github.<name>.<action>`. */
export function loadPayloads(): DemoEvent[] {
  const examples = demoPackage<readonly Example[]>("@octokit/webhooks-examples");
  return examples.flatMap(({ name, examples: payloads }) =>
    payloads.map((payload) => ({
      eventType: typeof payload.action === "string" ? `github.${name}.${payload.action}` : `github.${name}`,
      data: JSON.stringify(payload),
    })),
  );
}

/** What the demo needs and the package does not depend on. */
export function demoPackage<Module>(name: string): Module {
  try {
    return createRequire(import.meta.url)(name) as Module;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND") throw error;
    throw new CliError(
      EXIT_CODES.failure,
      `The demo needs ${name}, which only the repository of Posthorn installs by itself.`,
      { hint: "Install it: npm install @octokit/webhooks-examples standardwebhooks", cause: error },
    );
  }
}
