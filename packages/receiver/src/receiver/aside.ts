/** Calls something of the user's whose end nobody waits for. It may be async, and fail later. */
export function callAside(call: () => unknown, onFailure: (error: unknown) => void): void {
  try {
    Promise.resolve(call()).catch(onFailure);
  } catch (error) {
    onFailure(error);
  }
}
