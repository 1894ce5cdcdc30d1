/** Nodes: their starts, their ends, and the duties that one of them has at a time. That they live is the heartbeat's. */
import { type IncarnationId, newId } from "../../../base/ids.ts";
import type { ExclusiveDuty, NewNode } from "../../store.ts";
import type { Statement } from "../connections.ts";
import { type Context, numberOf } from "../context.ts";

// May be sent twice: the id is made here.
const ENLIST: Statement = {
  text: `INSERT INTO posthorn.incarnations (id, name, version, roles, started_at_ms, beat_at_ms, steady_since_ms)
    SELECT $1, $2, $3, $4, now, now, now FROM posthorn.now_ms() AS now
    ON CONFLICT (id) DO UPDATE SET name = excluded.name
    RETURNING number`,
};

export async function enlist(context: Context, { name, version, roles }: NewNode): Promise<IncarnationId> {
  const id = newId("inc");
  const values = [id, name, version, roles];
  const [row] = await context.connections.runSafely<{ number: number }>("work", ENLIST, values);
  if (row === undefined) throw new Error("The database gave the node no number.");
  context.numbers.set(id, row.number);
  return id;
}

const RETIRE: Statement = {
  text: `UPDATE posthorn.incarnations SET voided_at_ms = posthorn.now_ms(), ended = 'retired'
    WHERE id = $1 AND voided_at_ms IS NULL RETURNING number`,
};
const GIVE_UP_LANES: Statement = {
  text: `UPDATE posthorn.lanes SET owner = NULL, epoch = epoch + 1
    WHERE endpoint_id IN (
      SELECT endpoint_id FROM posthorn.lanes WHERE owner = $1 ORDER BY endpoint_id FOR NO KEY UPDATE
    )`,
};
const GIVE_UP_DUTIES: Statement = { text: "UPDATE posthorn.duties SET holder = NULL WHERE holder = $1" };

/** Its leases stay its own until `rescue` finds that it is gone. */
export async function retire(context: Context, incarnation: IncarnationId): Promise<void> {
  await context.connections.transaction("work", async (run) => {
    const [row] = await run<{ number: number }>(RETIRE, [incarnation]);
    if (row === undefined) return;
    await run(GIVE_UP_LANES, [row.number]);
    await run(GIVE_UP_DUTIES, [row.number]);
  });
  context.wake({ kind: "due" });
}

// Whoever has the duty, or sees that someone who lives has it, writes nothing: it is asked many times a second.
const TAKE_DUTY: Statement = {
  name: "take_duty",
  text: `WITH me AS (
      SELECT number FROM posthorn.incarnations WHERE number = $2 AND voided_at_ms IS NULL
    ), taken AS (
      INSERT INTO posthorn.duties AS duty (name, holder)
      SELECT $1, me.number FROM me
      WHERE NOT EXISTS (
        SELECT FROM posthorn.duties JOIN posthorn.incarnations ON number = holder
        WHERE duties.name = $1 AND voided_at_ms IS NULL
      )
      ON CONFLICT (name) DO UPDATE SET holder = excluded.holder
      WHERE NOT EXISTS (
        SELECT FROM posthorn.incarnations WHERE number = duty.holder AND voided_at_ms IS NULL
      )
      RETURNING holder
    )
    SELECT EXISTS (SELECT FROM taken)
      OR EXISTS (SELECT FROM posthorn.duties, me WHERE name = $1 AND holder = me.number) AS mine`,
};

export async function takeDuty(
  context: Context,
  duty: ExclusiveDuty,
  incarnation: IncarnationId,
): Promise<boolean> {
  const values = [duty, numberOf(context, incarnation)];
  const [row] = await context.connections.runSafely<{ mine: boolean }>("work", TAKE_DUTY, values);
  return row?.mine ?? false;
}
