/** Publications of users' own transactions that cannot become events. */
import type { PublicationId } from "../../../base/ids.ts";
import type { PublicationProblem } from "../../../domain/publication.ts";
import type { Context } from "../context.ts";

export async function refusePublication(
  { connections }: Context,
  id: PublicationId,
  { code, message, pointer }: PublicationProblem,
): Promise<boolean> {
  const rows = await connections.run(
    "work",
    {
      text: `UPDATE posthorn.publications SET refused_at_ms = posthorn.now_ms(), problem = $2
        WHERE id = $1 AND refused_at_ms IS NULL RETURNING 1`,
    },
    [id, JSON.stringify({ code, message, pointer })],
  );
  return rows.length === 1;
}
