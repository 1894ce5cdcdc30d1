/** The OpenAPI 3.1 description, made from the route table. */
import { z } from "zod";
import { COOKIE } from "./browser.ts";
import { PROBLEM_CONTENT_TYPE } from "./problem.ts";
import type { Route } from "./route.ts";

type Json = Readonly<Record<string, unknown>>;

export interface OpenApi {
  readonly openapi: "3.1.0";
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Json>>; readonly securitySchemes: Json };
}

export interface Operation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary: string;
  readonly security: readonly Json[];
  readonly parameters: readonly Parameter[];
  readonly requestBody?: {
    readonly required: boolean;
    readonly content: Readonly<Record<string, { schema: Json }>>;
  };
  readonly responses: Readonly<Record<string, Json>>;
}

export interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly required: boolean;
  readonly description?: string;
  readonly schema: Json;
}

const problemView = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number(),
    detail: z.string().describe("What was wrong, with the value, and what to do"),
    code: z.string(),
    requestId: z.string().optional(),
    retryAfterSeconds: z.number().optional(),
    errors: z
      .array(z.object({ pointer: z.string(), value: z.unknown().optional(), detail: z.string() }))
      .optional()
      .describe("The field at fault: an RFC 6901 pointer into the body or the query"),
  })
  .meta({ id: "Problem" });

export function describeApi(routes: readonly Route[], version: string): OpenApi {
  const schemas: Record<string, Json> = {};
  const problem = { "application/problem+json": { schema: toSchema(problemView, "output", schemas) } };
  const paths: Record<string, Record<string, Operation>> = {};
  for (const route of routes) {
    const operation = describeRoute(route, schemas, problem);
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operation };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Posthorn",
      version,
      description: `Publish an event, and it arrives, signed, exactly as accepted. Errors are ${PROBLEM_CONTENT_TYPE.split(";")[0]} (RFC 9457).`,
    },
    paths,
    components: {
      schemas,
      securitySchemes: {
        key: { type: "http", scheme: "bearer", description: "An API key, `phk_...`" },
        session: { type: "apiKey", in: "cookie", name: COOKIE, description: "A browser's session" },
      },
    },
  };
}

function describeRoute(route: Route, schemas: Record<string, Json>, problem: Json): Operation {
  const responses: Record<string, Json> = {};
  for (const { status, description, schema, contentType = "application/json" } of route.answers) {
    const body = schema === undefined ? { type: "string" } : toSchema(schema, "output", schemas);
    responses[status] = {
      description,
      ...(status === 204 ? {} : { content: { [contentType]: { schema: body } } }),
    };
  }
  responses.default = { description: "What was wrong", content: problem };
  return {
    operationId: operationId(route),
    tags: [route.tag],
    summary: route.summary,
    security: route.access === "open" ? [] : [route.door === "console" ? { session: [] } : { key: [] }],
    parameters: [...pathParameters(route), ...queryParameters(route), ...headerParameters(route)],
    ...(route.body === undefined ? {} : { requestBody: requestBody(route.body, schemas) }),
    responses,
  };
}

function requestBody(
  { schema, required, contentTypes = ["application/json"] }: NonNullable<Route["body"]>,
  schemas: Record<string, Json>,
) {
  const body = { schema: toSchema(schema, "input", schemas) };
  return { required, content: Object.fromEntries(contentTypes.map((type) => [type, body])) };
}

/** `post /v1/apps/{app}/endpoints` is `postAppsEndpoints`. */
function operationId({ method, path }: Route): string {
  const words = path.replace(/^\/v1/, "").match(/[a-z]+(?![a-z]*\})/g) ?? [];
  const one = path.endsWith("}") ? "One" : "";
  return method.toLowerCase() + words.map((word) => word[0]?.toUpperCase() + word.slice(1)).join("") + one;
}

export function parameterNames(path: string): string[] {
  return [...path.matchAll(/\{([a-zA-Z]+)\}/g)].map(([, name]) => name as string);
}

function pathParameters({ path }: Route): Parameter[] {
  return parameterNames(path).map((name) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
}

function queryParameters({ query }: Route): Parameter[] {
  if (query === undefined) return [];
  const { properties = {} } = z.toJSONSchema(query, { io: "input" });
  return Object.entries(properties).map(([name, property]) => {
    const { description, ...schema } = property as { description?: string };
    return {
      name,
      in: "query",
      required: false,
      ...(description === undefined ? {} : { description }),
      schema,
    };
  });
}

function headerParameters({ requestHeaders = {} }: Route): Parameter[] {
  return Object.entries(requestHeaders).map(([name, description]) => ({
    name,
    in: "header",
    required: false,
    description,
    schema: { type: "string" },
  }));
}

/** JSON Schema of a zod schema; what has a name of its own goes to the components and is referred to. */
function toSchema(schema: z.ZodType, io: "input" | "output", schemas: Record<string, Json>): Json {
  const { $schema: _, $defs = {}, ...root } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  for (const [name, definition] of Object.entries($defs)) schemas[name] = refer(definition);
  const { id, ...own } = refer(root) as Json & { id?: string };
  if (id === undefined) return own;
  schemas[id] = own;
  return { $ref: `#/components/schemas/${id}` };
}

function refer(schema: unknown): Json {
  const text = JSON.stringify(schema).replaceAll('"#/$defs/', '"#/components/schemas/');
  return JSON.parse(text) as Json;
}
