/** What the process tells the shell. `posthorn --help` shows this table. */
export const EXIT_CODES = {
  ok: 0,
  failure: 1,
  usage: 2,
  auth: 3,
  notFound: 4,
  conflict: 5,
  rateLimited: 6,
  network: 7,
  partial: 8,
  interrupted: 130,
  terminated: 143,
} as const;
export type ExitCode = (typeof EXIT_CODES)[keyof typeof EXIT_CODES];

export const EXIT_CODES_HELP = `Exit codes:
  0 done   1 failure   2 wrong usage or input   3 key missing or refused   4 not found   5 conflict
  6 rate-limited   7 server not reached, or too late   8 some of a batch failed   130, 143 stopped by a signal`;

/** Ends the command with a line for people on stderr. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: ExitCode;
  /** What to do about it, on a line of its own. */
  readonly hint: string | undefined;

  constructor(exitCode: ExitCode, message: string, facts: { hint?: string; cause?: unknown } = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.exitCode = exitCode;
    this.hint = facts.hint;
  }
}

/** The exit code for an answer of the API that is no success. */
export function exitCodeOf(status: number): ExitCode {
  switch (status) {
    case 400:
    case 413:
    case 415:
    case 422:
      return EXIT_CODES.usage;
    case 401:
    case 403:
      return EXIT_CODES.auth;
    case 404:
      return EXIT_CODES.notFound;
    case 409:
      return EXIT_CODES.conflict;
    case 429:
      return EXIT_CODES.rateLimited;
    default:
      return EXIT_CODES.failure;
  }
}
