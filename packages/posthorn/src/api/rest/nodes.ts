/** /v1/nodes: the nodes that share the store, what each holds and how far behind it is. */
import { z } from "zod";
import { NODE_ROLES, type Node } from "../../domain/node.ts";
import type { Engine } from "../../engine/engine.ts";
import { iso, json, pageAnswer, pageOf, pageQuery, READ_ALL, type Route, route, timeView } from "./route.ts";

const nodeView = z
  .object({
    id: z.string(),
    name: z.string(),
    version: z.string(),
    roles: z.array(z.enum(NODE_ROLES)),
    state: z
      .enum(["alive", "silent", "retired"])
      .describe(
        "`silent`: not heard of lately, and given up soon, or already. `retired`: stopped in good order",
      ),
    startedAt: timeView,
    beatAgoMs: z.number().describe("How long ago it was last heard of"),
    leased: z.number().describe("Deliveries that it holds"),
    ownedLanes: z.number().describe("Endpoints that it alone sends to"),
    lagMs: z
      .number()
      .nullable()
      .describe("For how long the one of them that is due for longest has been; null: it holds none"),
  })
  .meta({ id: "Node" });

function viewNode({ startedAtMs, ...node }: Node): z.input<typeof nodeView> {
  const { id, name, version, roles, state, beatAgoMs, leased, ownedLanes, lagMs } = node;
  const startedAt = iso(startedAtMs);
  return { id, name, version, roles: [...roles], state, startedAt, beatAgoMs, leased, ownedLanes, lagMs };
}

export function nodeRoutes({ nodes }: Pick<Engine, "nodes">): Route[] {
  const tag = "Nodes";
  return [
    route({
      method: "GET",
      path: "/v1/nodes",
      tag,
      summary: "List the nodes, newest first; those that ended stay for a while",
      access: READ_ALL,
      query: pageQuery,
      answers: [{ status: 200, description: "A page of nodes", schema: pageOf(nodeView) }],
      handle: async ({ query }) => pageAnswer(await nodes.list(query), viewNode),
    }),
    route({
      method: "GET",
      path: "/v1/nodes/{node}",
      tag,
      summary: "One node, by its id",
      access: READ_ALL,
      answers: [{ status: 200, description: "The node", schema: nodeView }],
      handle: async ({ params }) => json(200, viewNode(await nodes.get(params.node))),
    }),
  ];
}
