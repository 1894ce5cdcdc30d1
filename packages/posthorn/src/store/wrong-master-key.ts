/** The refusal of both stores to open when the master key is not the one that their secrets are sealed under. */

/** Its message is whole sentences; whoever knows where the key was looked for adds that. */
export class WrongMasterKeyError extends Error {
  override readonly name = "WrongMasterKeyError";
  /** In words for people, without a secret: "the store in /var/lib/posthorn", "the database shop at db:5432". */
  readonly store: string;
  constructor(store: string) {
    super(
      `The secrets in ${store} are sealed under another master key than the one given: without that key none of them opens. Nothing in it was changed.`,
    );
    this.store = store;
  }
}

/** Whether two check values of master keys (security/master-key.ts) are the same. */
export function isSameCheck(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
