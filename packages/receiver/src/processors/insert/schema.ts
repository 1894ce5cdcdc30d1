/** Column types from the JSON Schema of an event type's data. Pure. */
import type { Segment } from "../path.ts";
import type { ColumnType } from "./column-value.ts";

export type JsonSchema = { readonly [keyword: string]: unknown };

export interface Described {
  /** undefined: the schema leaves it open. */
  readonly type: ColumnType | undefined;
  /** Never missing, and never null. */
  readonly isRequired: boolean;
}

const REFERENCES_MAX = 32;

/** undefined: the schema says nothing of what is there. */
export function schemaAt(root: JsonSchema, segments: readonly Segment[]): Described | undefined {
  let schema: JsonSchema | undefined = followed(root, root);
  let isRequired = true;
  for (const segment of segments) {
    if (schema === undefined) return undefined;
    const isNamed: boolean =
      typeof segment === "string" && isStringList(schema.required) && schema.required.includes(segment);
    isRequired = isRequired && isNamed && !isNullable(schema);
    schema = followed(childOf(schema, segment), root);
  }
  return schema && { type: typeOf(schema), isRequired: isRequired && !isNullable(schema) };
}

/** The names of the top level, in the schema's order. */
export function propertiesOf(root: JsonSchema): readonly string[] {
  const { properties } = followed(root, root) ?? {};
  return isSchema(properties) ? Object.keys(properties) : [];
}

function childOf(schema: JsonSchema, segment: Segment): unknown {
  if (typeof segment === "number") {
    const { prefixItems, items } = schema;
    return (Array.isArray(prefixItems) ? prefixItems[segment] : undefined) ?? items;
  }
  const { properties } = schema;
  return isSchema(properties) && Object.hasOwn(properties, segment) ? properties[segment] : undefined;
}

/** Within this schema: `#/$defs/Order`. */
function followed(schema: unknown, root: JsonSchema): JsonSchema | undefined {
  let current = schema;
  for (let count = 0; count < REFERENCES_MAX; count++) {
    if (!isSchema(current)) return undefined;
    const { $ref } = current;
    if (typeof $ref !== "string") return current;
    if (!$ref.startsWith("#")) return undefined;
    current = $ref
      .split("/")
      .slice(1)
      .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"))
      .reduce<unknown>(
        (node, part) => (isSchema(node) && Object.hasOwn(node, part) ? node[part] : undefined),
        root,
      );
  }
  return undefined;
}

function typeOf(schema: JsonSchema): ColumnType | undefined {
  const types = typesOf(schema).filter((type) => type !== "null");
  if (types.length !== 1) return types.length === 0 ? undefined : "json";
  switch (types[0]) {
    case "string":
      return schema.format === "date-time" ? "timestamp" : schema.format === "date" ? "date" : "text";
    case "integer":
    case "number":
    case "boolean":
      return types[0];
    case "object":
    case "array":
      return "json";
    default:
      return undefined;
  }
}

function isNullable(schema: JsonSchema): boolean {
  const types = typesOf(schema);
  return types.length === 0 || types.includes("null");
}

function typesOf({ type, enum: values }: JsonSchema): readonly string[] {
  if (typeof type === "string") return [type];
  if (isStringList(type)) return type;
  return Array.isArray(values) ? [...new Set(values.map(typeOfValue))] : [];
}

function typeOfValue(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "array" : typeof value;
}

function isStringList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((element) => typeof element === "string");
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
