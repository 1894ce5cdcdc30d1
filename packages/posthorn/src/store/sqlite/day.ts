/** Days of quotas: 0:00 to 24:00 UTC. */
export const DAY_MS = 86_400_000;

export function startOfDayMs(atMs: number): number {
  return atMs - (atMs % DAY_MS);
}
